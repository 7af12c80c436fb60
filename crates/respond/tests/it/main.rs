//! The room on a real database: incidents, actions, evidence, notification.

mod actions;
mod crash;
mod evidence;
mod incidents;
mod notify;
mod protected;
mod world;

//! The room on a real database: incidents, actions, evidence, notification.

#[cfg(test)]
mod actions;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod incidents;
#[cfg(test)]
mod notify;
#[cfg(test)]
mod protected;
#[cfg(test)]
mod world;

//! The front door: connections, TLS, who is calling from where, and whether they may come in.
//!
//! Knows nothing of what a request is for. Order: capacity → head → request id → client address → credential →
//! blocked? → rate → permission → the route.

pub(crate) mod access_log;
mod activity;
pub(crate) mod address;
pub(crate) mod admit;
pub(crate) mod blocks;
mod capacity;
mod changes;
pub(crate) mod listener;
pub(crate) mod pipeline;
pub(crate) mod rate;
pub(crate) mod tls;

use std::net::SocketAddr;

/// What the socket knows of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) peer: SocketAddr,
    pub(crate) scheme: Scheme,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

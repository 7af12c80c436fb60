//! Blue-green deploys: one state machine for every target. It knows stages, judgement and the way back; a [`Target`]
//! knows how its colours are started, weighed and stopped.

pub mod approval;
mod back;
mod engine;
mod gates;
mod journal;
mod judge;
pub mod kept;
pub mod migrations;
mod outdated;
mod outside;
mod policy;
mod watch;

use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::release::Release;

pub use crate::operation::Entry;
pub use approval::Approval;
pub use engine::{Engine, Observer, Outcome};
pub use gates::{Check, Freeze, Gates};
pub use journal::{Held, Journal, Journey, Stage};
pub use judge::{Figures, Judge, Probe, Verdict};
pub use policy::{Objective, Policy, Tolerance};

/// One of the two places where a release can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    Blue,
    Green,
}

impl Colour {
    pub const BOTH: [Self; 2] = [Self::Blue, Self::Green];

    pub const fn other(self) -> Self {
        match self {
            Self::Blue => Self::Green,
            Self::Green => Self::Blue,
        }
    }

    /// Where it stands in whatever is kept of both.
    pub const fn place(self) -> usize {
        match self {
            Self::Blue => 0,
            Self::Green => 1,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Green => "green",
        }
    }
}

impl std::fmt::Display for Colour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How one colour stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    pub colour: Colour,
    /// The folder of the release that runs there; `None` if nothing does.
    pub release: Option<String>,
    /// Its share of new requests in per cent.
    pub share: u8,
    /// Whether the load balancer finds it well.
    pub is_up: bool,
}

impl Standing {
    /// Who stays while the other colour is deployed to: who has the traffic; at a tie, who runs.
    pub fn live(both: &[Self; 2]) -> Option<&Self> {
        both.iter()
            .filter(|colour| colour.release.is_some())
            .max_by_key(|colour| (colour.is_up, colour.share))
    }

    /// Where the next release goes.
    pub fn next(both: &[Self; 2]) -> Colour {
        Self::live(both).map_or(Colour::Blue, |live| live.colour.other())
    }
}

/// Whether what was started can take requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    NotYet(String),
    /// It is not running (any more).
    Gone(String),
}

/// What a colour has answered since it was first asked, as seen from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that went to it first, wherever they were answered in the end.
    pub requests: u64,
    /// Of those, answers of 500 and above, broken answers, refused connections; those that a retry elsewhere hid from the
    /// client as well. What a retry brought here from elsewhere is not this colour's.
    pub errors: u64,
    /// Requests that somebody saw pass without knowing what became of them, where that is counted apart.
    pub passed: u64,
    /// Answered since the last look, in milliseconds each, in no order.
    pub latencies: Vec<u32>,
    /// Requests in progress, where somebody counts them.
    pub in_progress: Option<u64>,
    /// Why nobody tells what it does just now: nothing above is news then.
    pub untold: Option<String>,
}

/// Where a release is brought to.
pub trait Target: Send {
    /// What runs where, and who gets which share.
    fn standing(&mut self) -> impl Future<Output = Result<[Standing; 2], Error>> + Send;

    /// Whether there is room for `colour` beside the other one, where somebody other than this machine knows.
    fn capacity(
        &mut self,
        _colour: Colour,
    ) -> impl Future<Output = Result<Option<Check>, Error>> + Send {
        std::future::ready(Ok(None))
    }

    /// The migrations that the release would apply, where the target can tell.
    fn pending(
        &mut self,
        _release: &Release,
    ) -> impl Future<Output = Result<Option<Vec<String>>, Error>> + Send {
        std::future::ready(Ok(None))
    }

    /// Brings the database to the release's schema. Only steps that the running release can live with (expand).
    fn migrate(&mut self, release: &Release) -> impl Future<Output = Result<String, Error>> + Send;

    /// Has the release run as that colour, without a share. Done already is well done; where a colour is many, none of
    /// them is taken away.
    fn start(
        &mut self,
        colour: Colour,
        release: &Release,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Asks the colour itself, not through the load balancer.
    fn readiness(
        &mut self,
        colour: Colour,
    ) -> impl Future<Output = Result<Readiness, Error>> + Send;

    /// A request of our own, straight to the colour, while it has traffic. Where a colour is many, one of them that is to
    /// have traffic is asked: that others come or go is no fault of the release.
    fn probe(&mut self, colour: Colour) -> impl Future<Output = Result<Readiness, Error>> + Send {
        self.readiness(colour)
    }

    /// Whether people would be served by it, be it by fewer than are wanted.
    fn serves(&mut self, colour: Colour) -> impl Future<Output = Result<bool, Error>> + Send {
        async move { Ok(self.readiness(colour).await? == Readiness::Ready) }
    }

    /// Has as much of it run as the other colour has, where a colour is many; never less than runs already.
    fn strengthen(&mut self, _colour: Colour) -> impl Future<Output = Result<(), Error>> + Send {
        std::future::ready(Ok(()))
    }

    /// Requests of an operator's own, straight to the colour; what they found wrong is the error's text.
    fn smoke(&mut self, colour: Colour) -> impl Future<Output = Result<(), String>> + Send;

    /// Gives `colour` that share of new requests in per cent, and the other one the rest.
    fn share(
        &mut self,
        colour: Colour,
        percent: u8,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// What both have answered so far: blue, green.
    fn counts(&mut self) -> impl Future<Output = Result<[Counts; 2], Error>> + Send;

    /// Lets the colour finish what it has and stops it. Done already is well done.
    fn stop(
        &mut self,
        colour: Colour,
        drain: Duration,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

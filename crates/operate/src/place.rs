//! Whichever target `deploy.toml` names.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cluster::Cluster;
use crate::config::Config;
use crate::deploy::{Check, Colour, Counts, Readiness, Standing, Target};
use crate::error::Error;
use crate::local::Host;
use crate::release::Release;

/// A target of either kind.
#[derive(Debug)]
pub struct Place {
    state: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Host(Box<Host>),
    Cluster(Box<Cluster>),
}

impl Place {
    /// # Errors
    /// As [`Host::new`] and [`Cluster::new`].
    pub async fn open(config: &Config) -> Result<Self, Error> {
        match (&config.local, &config.kubernetes) {
            (Some(local), _) => Ok(Self {
                state: local.state.clone(),
                kind: Kind::Host(Box::new(Host::new(local.clone())?)),
            }),
            (None, Some(kubernetes)) => Ok(Self {
                state: kubernetes.state.clone(),
                kind: Kind::Cluster(Box::new(Cluster::new(kubernetes.clone()).await?)),
            }),
            (None, None) => Err(Error::Nonsense("no target".to_owned())),
        }
    }

    /// Where its journal is.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Nobody else deploys here until it is let go. On one host the journal's lock is enough. Whom it was taken from, if
    /// from somebody.
    ///
    /// # Errors
    /// [`Error::Cluster`] names who deploys.
    pub async fn hold(&mut self, take_over: bool) -> Result<Option<String>, Error> {
        match &mut self.kind {
            Kind::Host(_) => Ok(None),
            Kind::Cluster(cluster) => cluster.hold(take_over).await,
        }
    }

    /// # Errors
    /// [`Error::Cluster`].
    pub async fn let_go(&self) -> Result<(), Error> {
        match &self.kind {
            Kind::Host(_) => Ok(()),
            Kind::Cluster(cluster) => cluster.let_go().await,
        }
    }

    /// Whether the release holds what runs here: a binary or an image.
    ///
    /// # Errors
    /// [`Error::Release`] that says which it lacks.
    pub fn fits(&self, release: &Release) -> Result<(), Error> {
        match &self.kind {
            Kind::Host(host) => host.fits(release),
            Kind::Cluster(cluster) => cluster.fits(release),
        }
    }
}

/// Passes a call on to the target.
macro_rules! to {
    ($place:expr, $call:ident ( $($argument:expr),* )) => {
        match &mut $place.kind {
            Kind::Host(host) => host.$call($($argument),*).await,
            Kind::Cluster(cluster) => cluster.$call($($argument),*).await,
        }
    };
}

impl Target for Place {
    async fn standing(&mut self) -> Result<[Standing; 2], Error> {
        to!(self, standing())
    }

    async fn capacity(&mut self, colour: Colour) -> Result<Option<Check>, Error> {
        to!(self, capacity(colour))
    }

    async fn pending(&mut self, release: &Release) -> Result<Option<Vec<String>>, Error> {
        to!(self, pending(release))
    }

    async fn migrate(&mut self, release: &Release) -> Result<String, Error> {
        to!(self, migrate(release))
    }

    async fn start(&mut self, colour: Colour, release: &Release) -> Result<(), Error> {
        to!(self, start(colour, release))
    }

    async fn readiness(&mut self, colour: Colour) -> Result<Readiness, Error> {
        to!(self, readiness(colour))
    }

    async fn probe(&mut self, colour: Colour) -> Result<Readiness, Error> {
        to!(self, probe(colour))
    }

    async fn serves(&mut self, colour: Colour) -> Result<bool, Error> {
        to!(self, serves(colour))
    }

    async fn strengthen(&mut self, colour: Colour) -> Result<(), Error> {
        to!(self, strengthen(colour))
    }

    async fn smoke(&mut self, colour: Colour) -> Result<(), String> {
        to!(self, smoke(colour))
    }

    async fn share(&mut self, colour: Colour, percent: u8) -> Result<(), Error> {
        to!(self, share(colour, percent))
    }

    async fn counts(&mut self) -> Result<[Counts; 2], Error> {
        to!(self, counts())
    }

    async fn stop(&mut self, colour: Colour, drain: Duration) -> Result<(), Error> {
        to!(self, stop(colour, drain))
    }
}

//! Whichever thing it is: passes each step on to it.

use std::sync::Arc;
use std::time::Duration;

use hub_base::{Clock, Timestamp};

use super::database::Database;
use super::redis::Redis;
use super::ring::RingKey;
use super::servers::Servers;
use super::tls::Tls;
use super::{Config, Exchange, Look, Offered, Thing};
use crate::error::Error;

/// One of them.
pub(crate) enum Kind {
    Ring(RingKey),
    Database(Database),
    Tls(Box<Tls>),
    Redis(Redis),
}

impl Kind {
    pub(crate) fn open(
        config: &Config,
        thing: Thing,
        offered: Offered,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let servers = Servers::new(config, offered.token);
        Ok(match (thing, thing.purpose()) {
            (_, Some(purpose)) => {
                let ring = config.ring.as_ref().ok_or(Error::Unconfigured("ring"))?;
                Self::Ring(RingKey::new(purpose, ring, servers, clock)?)
            }
            (Thing::Tls, None) => Self::Tls(Box::new(Tls::new(config, offered.issued)?)),
            (Thing::Redis, None) => Self::Redis(Redis::new(config)?),
            (_, None) => Self::Database(Database::new(config, servers)?),
        })
    }

    /// When the one in use was made, where that is known.
    pub(crate) fn since(&self) -> Result<Option<Timestamp>, Error> {
        let Self::Ring(ring) = self else {
            return Ok(None);
        };
        let keys = ring.keys()?.into_iter();
        Ok({ keys }.find(|key| key.primary).map(|key| key.made_at))
    }
}

macro_rules! to {
    ($kind:expr, $call:ident ( $($argument:expr),* )) => {
        match $kind {
            Kind::Ring(one) => one.$call($($argument),*).await,
            Kind::Database(one) => one.$call($($argument),*).await,
            Kind::Tls(one) => one.$call($($argument),*).await,
            Kind::Redis(one) => one.$call($($argument),*).await,
        }
    };
}

impl Exchange for Kind {
    async fn in_use(&self) -> Result<String, Error> {
        to!(self, in_use())
    }

    async fn stage(&mut self, former: &str) -> Result<String, Error> {
        to!(self, stage(former))
    }

    async fn known(&self, id: &str) -> Result<Look, Error> {
        to!(self, known(id))
    }

    async fn switch(&mut self, id: &str) -> Result<(), Error> {
        to!(self, switch(id))
    }

    async fn used(&self, id: &str) -> Result<Look, Error> {
        to!(self, used(id))
    }

    async fn overlap(&self) -> Result<Duration, Error> {
        to!(self, overlap())
    }

    async fn retire(&mut self, id: &str) -> Result<(), Error> {
        to!(self, retire(id))
    }

    async fn gone(&self, id: &str) -> Result<Look, Error> {
        to!(self, gone(id))
    }
}

//! Exchanging keys, passwords and certificates while everything serves. Whatever it is, the order is the same: the new one
//! is made and everybody would accept it; only then is it used; the old one goes when nothing that it vouched for is good
//! any more.
//!
//! Knows nothing of what the keys protect; how long a signature of theirs is good the servers say themselves.

mod config;
mod database;
mod engine;
mod files;
mod journal;
mod kind;
pub(crate) mod redis;
mod ring;
mod servers;
mod tls;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hub_base::{SystemClock, Timestamp};
use hub_vault::Purpose;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub use config::Config;
pub use engine::{Due, Rotation};
pub use journal::{Journal, Journey, Stage};
pub use tls::Issued;

use crate::error::Error;

/// What can be exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Thing {
    /// Signs access tokens.
    TokenSigning,
    /// Signs the ledger's checkpoints.
    CheckpointSigning,
    /// Signs the cookies by which known devices are told.
    DeviceCookies,
    /// The application's password in PostgreSQL.
    Database,
    /// The servers' certificate and its key.
    Tls,
    /// The password of Redis.
    Redis,
}

impl Thing {
    /// All of them, in the order of lists.
    pub const ALL: &[Self] = &[
        Self::TokenSigning,
        Self::CheckpointSigning,
        Self::DeviceCookies,
        Self::Database,
        Self::Tls,
        Self::Redis,
    ];

    /// As people name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TokenSigning => "token-signing",
            Self::CheckpointSigning => "checkpoint-signing",
            Self::DeviceCookies => "device-cookies",
            Self::Database => "database",
            Self::Tls => "tls",
            Self::Redis => "redis",
        }
    }

    /// The purpose in the key ring, for what stands there.
    pub const fn purpose(self) -> Option<Purpose> {
        match self {
            Self::TokenSigning => Some(Purpose::AccessToken),
            Self::CheckpointSigning => Some(Purpose::Checkpoint),
            Self::DeviceCookies => Some(Purpose::Device),
            Self::Database | Self::Tls | Self::Redis => None,
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Thing {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self::ALL.iter();
        all.find(|thing| thing.name() == text)
            .copied()
            .ok_or_else(|| {
                let names: Vec<&str> = Self::ALL.iter().map(|thing| thing.name()).collect();
                format!("expected one of {}", names.join(", "))
            })
    }
}

/// What is in use of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub in_use: String,
    /// When it was made, where that is known.
    pub since: Option<Timestamp>,
}

/// What is in use; `None` if the configuration says nothing of it.
///
/// # Errors
/// [`Error::Vault`], [`Error::File`].
pub async fn standing(config: &Config, thing: Thing) -> Result<Option<Standing>, Error> {
    match kind::Kind::open(config, thing, Offered::default(), Arc::new(SystemClock)) {
        Err(Error::Unconfigured(_)) => Ok(None),
        Err(error) => Err(error),
        Ok(kind) => Ok(Some(Standing {
            in_use: kind.in_use().await?,
            since: kind.since()?,
        })),
    }
}

/// What an exchange needs besides its configuration.
#[derive(Debug, Default)]
pub struct Offered {
    /// A credential of an operator, for the servers' own state.
    pub token: Option<SecretString>,
    /// A certificate that was issued.
    pub issued: Option<Issued>,
}

/// Whether everybody is as far as they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Look {
    /// In words.
    Everywhere(String),
    /// Who is not, and why.
    NotYet(String),
}

/// What differs from thing to thing. An `id` names one of two, and is no secret. Every step may be done twice.
pub(crate) trait Exchange {
    /// The one in use.
    async fn in_use(&self) -> Result<String, Error>;
    /// Makes the new one, so that it would be accepted and nobody uses it; or finds the one that was made before.
    async fn stage(&mut self, former: &str) -> Result<String, Error>;
    /// Whether everybody would accept it.
    async fn known(&self, id: &str) -> Result<Look, Error>;
    /// Puts it into use.
    async fn switch(&mut self, id: &str) -> Result<(), Error>;
    /// Whether everybody uses it, and nothing else.
    async fn used(&self, id: &str) -> Result<Look, Error>;
    /// How long something that the other one made is still good.
    async fn overlap(&self) -> Result<Duration, Error>;
    /// Takes it away for good.
    async fn retire(&mut self, id: &str) -> Result<(), Error>;
    /// Whether nobody would accept it any more.
    async fn gone(&self, id: &str) -> Result<Look, Error>;
}

//! The key ring while serving: read again when its file changes, known to everything that signs or verifies.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use hub_base::Clock;
use hub_vault::{Checkpoints, KeyInfo, KeyRing, TokenVerifier};

use crate::config::Config;

/// The ring's place and what is made of it.
#[derive(Debug)]
pub(crate) struct Keys {
    place: Place,
    ring: RwLock<Arc<KeyRing>>,
    pub(crate) tokens: Arc<TokenVerifier>,
    pub(crate) checkpoints: Arc<Checkpoints>,
}

#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// Made here, readable by nobody else.
    Own(PathBuf),
    /// Handed in, readable by its group too.
    Mounted(PathBuf),
}

impl Place {
    fn of(config: &Config) -> Self {
        match &config.keys_file {
            Some(path) => Self::Mounted(path.clone()),
            None => Self::Own(config.data_dir.join("keys.json")),
        }
    }

    const fn path(&self) -> &PathBuf {
        match self {
            Self::Own(path) | Self::Mounted(path) => path,
        }
    }

    fn read(&self) -> Result<KeyRing, hub_vault::Error> {
        match self {
            Self::Own(path) => KeyRing::load(path),
            Self::Mounted(path) => KeyRing::load_mounted(path),
        }
    }
}

/// The ring as it is at the start; made where it is ours to make.
pub(crate) fn open(config: &Config, clock: &dyn Clock) -> Result<KeyRing, hub_vault::Error> {
    match Place::of(config) {
        Place::Own(path) => KeyRing::load_or_create(&path, clock),
        Place::Mounted(path) => KeyRing::load_mounted(&path),
    }
}

/// The ring that would be made anew, if it is not there.
pub(crate) fn missing(config: &Config) -> Option<PathBuf> {
    match Place::of(config) {
        Place::Own(path) => (!path.exists()).then_some(path),
        // Whoever hands it in has it; without it the hub does not start.
        Place::Mounted(_) => None,
    }
}

impl Keys {
    pub(crate) fn new(
        config: &Config,
        clock: &dyn Clock,
        url: &str,
    ) -> Result<Self, hub_vault::Error> {
        let ring = open(config, clock)?;
        Ok(Self {
            place: Place::of(config),
            tokens: Arc::new(TokenVerifier::new(&ring, url)?),
            checkpoints: Arc::new(Checkpoints::new(&ring)?),
            ring: RwLock::new(Arc::new(ring)),
        })
    }

    pub(crate) const fn path(&self) -> &PathBuf {
        self.place.path()
    }

    /// Reads the file again; on a fault everything stays as it was. True if a key is gone: what it vouched for holds no
    /// longer.
    pub(crate) fn reload(&self) -> Result<bool, hub_vault::Error> {
        let fresh = self.place.read()?;
        let before = self.ring();
        self.tokens.renew(&fresh)?;
        self.checkpoints.renew(&fresh)?;
        let now = fresh.info();
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        let stays = |key: &KeyInfo| now.iter().any(|other| other.id == key.id);
        Ok(!before.info().iter().all(stays))
    }

    pub(crate) fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }
}

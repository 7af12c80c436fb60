//! Keys of the key ring: every server knows a new one before any of them signs with it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hub_base::Clock;
use hub_vault::{KeyInfo, KeyRing, Purpose};

use super::config::Publish;
use super::servers::Servers;
use super::{Exchange, Look};
use crate::error::{Error, fault};

/// Servers' clocks may differ by this much.
const SKEW: Duration = Duration::from_mins(1);

/// The keys of one purpose.
pub(crate) struct RingKey {
    purpose: Purpose,
    file: PathBuf,
    publish: Publish,
    servers: Servers,
    clock: Arc<dyn Clock>,
}

impl RingKey {
    pub(crate) fn new(
        purpose: Purpose,
        config: &super::config::Ring,
        servers: Servers,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        // A link's goal is exchanged, not the link.
        let file = fs::canonicalize(&config.file).map_err(fault(&config.file, "read"))?;
        Ok(Self {
            purpose,
            file,
            publish: config.publish.clone(),
            servers,
            clock,
        })
    }

    fn load(&self) -> Result<KeyRing, Error> {
        Ok(KeyRing::load_mounted(&self.file)?)
    }

    /// The keys of this purpose, oldest first.
    pub(crate) fn keys(&self) -> Result<Vec<KeyInfo>, Error> {
        let mut keys = self.load()?.info();
        keys.retain(|key| key.purpose == self.purpose);
        Ok(keys)
    }

    /// Changes the ring, and hands it on even if it was as it should be: the last attempt may have come to the file only.
    async fn change(
        &self,
        change: impl FnOnce(&mut KeyRing) -> Result<(), hub_vault::Error>,
    ) -> Result<(), Error> {
        let mut ring = self.load()?;
        change(&mut ring)?;
        ring.save(&self.file)?;
        self.publish.run().await
    }

    async fn all(&self, what: &str, is: impl Fn(&super::servers::Keys) -> bool) -> Look {
        let purpose = self.purpose.name();
        let has = |answer: &super::servers::Answer| answer.of(purpose).is_some_and(&is);
        self.servers.all(what, has).await
    }
}

impl Exchange for RingKey {
    async fn in_use(&self) -> Result<String, Error> {
        let keys = self.keys()?;
        let primary = keys.into_iter().find(|key| key.primary);
        let none = hub_vault::Error::NoPrimary(self.purpose.name());
        Ok(primary.ok_or(none)?.id)
    }

    async fn stage(&mut self, former: &str) -> Result<String, Error> {
        let mut keys = self.keys()?.into_iter();
        // Keys stand in the order in which they were made: what follows the former one was made to take its place.
        keys.find(|key| key.id == former)
            .ok_or_else(|| hub_vault::Error::NoKey(former.to_owned()))?;
        let mut id = keys.next_back().map(|key| key.id);
        let (purpose, clock) = (self.purpose, Arc::clone(&self.clock));
        self.change(|ring| {
            if id.is_none() {
                id = Some(ring.stage(purpose, &*clock)?);
            }
            Ok(())
        })
        .await?;
        Ok(id.unwrap_or_default())
    }

    async fn known(&self, id: &str) -> Result<Look, Error> {
        let knows = |keys: &super::servers::Keys| keys.known.iter().any(|known| known == id);
        Ok(self.all("know the new key", knows).await)
    }

    async fn switch(&mut self, id: &str) -> Result<(), Error> {
        self.change(|ring| ring.promote(id)).await
    }

    async fn used(&self, id: &str) -> Result<Look, Error> {
        let uses = |keys: &super::servers::Keys| keys.primary.as_deref() == Some(id);
        Ok(self.all("sign with it", uses).await)
    }

    async fn overlap(&self) -> Result<Duration, Error> {
        let answers = self.servers.ask().await.map_err(Error::Unsettled)?;
        let purpose = self.purpose.name();
        let lifetimes = answers.iter().filter_map(|(_, answer)| answer.of(purpose));
        let longest = lifetimes.map(|keys| keys.lifetime_s).max().unwrap_or(0);
        Ok(match longest {
            0 => Duration::ZERO,
            seconds => Duration::from_secs(seconds) + SKEW,
        })
    }

    async fn retire(&mut self, id: &str) -> Result<(), Error> {
        self.change(|ring| ring.remove(id)).await
    }

    async fn gone(&self, id: &str) -> Result<Look, Error> {
        let without = |keys: &super::servers::Keys| keys.known.iter().all(|known| known != id);
        Ok(self.all("hold only what is used", without).await)
    }
}

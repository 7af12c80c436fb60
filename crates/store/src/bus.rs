//! What has just been committed by this process, for those who must react at once (caches, the sequencer,
//! the console's live view). A hint only: every listener can rebuild its view from the database.

use std::sync::{Arc, PoisonError, RwLock};

use hub_base::TenantId;
use hub_events::Event;
use tokio::sync::broadcast;

/// One committed transaction's act.
#[derive(Debug, Clone)]
pub struct Committed {
    pub tenant: TenantId,
    /// `noun.verb` of the act.
    pub operation: &'static str,
    pub event: Arc<Event>,
}

type Reflex = Arc<dyn Fn(&Committed) + Send + Sync>;

/// Tells committed acts: to reflexes before the commit returns, to listeners as soon as they look. A slow listener loses
/// the oldest and is told so by `RecvError::Lagged`.
#[derive(Clone)]
pub struct Bus {
    sender: broadcast::Sender<Committed>,
    reflexes: Arc<RwLock<Vec<Reflex>>>,
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus").finish_non_exhaustive()
    }
}

impl Bus {
    pub fn new() -> Self {
        Self {
            sender: broadcast::channel(16_384).0,
            reflexes: Arc::default(),
        }
    }

    pub fn listen(&self) -> broadcast::Receiver<Committed> {
        self.sender.subscribe()
    }

    /// Has `reflex` called with every act from now on, before whoever committed it goes on: a session that is said to be
    /// ended is refused from then on. It must neither wait nor panic.
    pub fn attach(&self, reflex: impl Fn(&Committed) + Send + Sync + 'static) {
        self.reflexes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::new(reflex));
    }

    pub(crate) fn tell(&self, committed: Committed) {
        for reflex in &*self.reflexes.read().unwrap_or_else(PoisonError::into_inner) {
            reflex(&committed);
        }
        // No listener is no fault.
        let _unheard = self.sender.send(committed);
    }
}

impl Default for Bus {
    fn default() -> Self {
        Self::new()
    }
}

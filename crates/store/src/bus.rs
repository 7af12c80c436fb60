//! What has just been committed by this process, for those who must react at once (caches, the sequencer,
//! the console's live view). A hint only: every listener can rebuild its view from the database.

use hub_base::TenantId;
use hub_events::Event;
use std::sync::Arc;
use tokio::sync::broadcast;

/// One committed transaction's act.
#[derive(Debug, Clone)]
pub struct Committed {
    pub tenant: TenantId,
    /// `noun.verb` of the act.
    pub operation: &'static str,
    pub event: Arc<Event>,
}

/// A broadcast of committed acts. A slow listener loses the oldest and is told so by `RecvError::Lagged`.
#[derive(Debug, Clone)]
pub struct Bus(broadcast::Sender<Committed>);

impl Bus {
    pub fn new() -> Self {
        Self(broadcast::channel(16_384).0)
    }

    pub fn listen(&self) -> broadcast::Receiver<Committed> {
        self.0.subscribe()
    }

    pub(crate) fn tell(&self, committed: Committed) {
        // No listener is no fault.
        let _unheard = self.0.send(committed);
    }
}

impl Default for Bus {
    fn default() -> Self {
        Self::new()
    }
}

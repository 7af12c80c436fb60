//! What every room shares: ids, time, who acts, how errors are classed, pages, what a terminal can bear.
//!
//! Knows nothing of databases, HTTP, or any one room's domain; does no I/O. Something that a single
//! room needs belongs to that room, not here.

pub mod clock;
pub mod duration;
pub mod error;
pub mod id;
pub mod page;
pub mod plain;
pub mod principal;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use duration::HumanDuration;
pub use error::{ErrorKind, chain};
pub use id::{
    ActionId, ApiKeyId, BatchId, BlockId, EntryId, EvidenceId, FindingId, HoldId, IncidentId,
    NoteId, OperationId, RequestId, SessionId, TenantId, UserId,
};
pub use page::{Page, PageRequest};
pub use plain::{orders, plain};
pub use principal::{Actor, Origin, Principal};

//! What an emulation says of itself while it goes on.

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A new stage begins, with as many steps as it will take (0 if that is not known).
    Stage {
        name: &'static str,
        steps: u64,
    },
    /// One step of the stage is done.
    Step,
    AttackBegan {
        id: String,
        technique: String,
    },
    Detected {
        id: String,
        technique: String,
        after_ms: u64,
    },
    Contained {
        id: String,
        technique: String,
        after_ms: u64,
    },
    /// Requests so far: of everybody, and of attackers.
    Requests {
        all: u64,
        hostile: u64,
    },
}

/// Who is told. Called often; must be quick.
pub type Listener = std::sync::Arc<dyn Fn(Progress) + Send + Sync>;

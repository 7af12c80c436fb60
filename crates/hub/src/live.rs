//! What happens right now, for the console's live view: totals per tenant, fed by the bus of committed acts.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hub_base::TenantId;
use hub_store::Committed;
use serde_json::Value;

/// Events and findings of a tenant since this process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) events: u64,
    pub(crate) findings: u64,
}

/// Running totals of every tenant.
#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<HashMap<TenantId, Totals>>);

/// What a committed act means to somebody who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Finding,
    Incident,
    Action,
}

impl Kind {
    pub(crate) fn of(operation: &str) -> Option<Self> {
        match operation.split_once('.')?.0 {
            "finding" => Some(Self::Finding),
            "incident" => Some(Self::Incident),
            "containment" | "evidence" | "notification" | "address" => Some(Self::Action),
            _ => None,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Finding => "finding",
            Self::Incident => "incident",
            Self::Action => "action",
        }
    }
}

impl Live {
    pub(crate) fn count(&self, committed: &Committed) {
        let batch = committed
            .event
            .at("unmapped.batch.accepted")
            .and_then(Value::as_u64)
            .unwrap_or(0);
        let finding = u64::from(committed.operation == "finding.create");
        let mut totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = totals.entry(committed.tenant).or_default();
        // A batch's own act stands for its events.
        of_tenant.events += if committed.operation == hub_store::ingest::OPERATION {
            batch
        } else {
            1
        };
        of_tenant.findings += finding;
    }

    pub(crate) fn totals(&self, tenant: TenantId) -> Totals {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&tenant)
            .copied()
            .unwrap_or_default()
    }
}

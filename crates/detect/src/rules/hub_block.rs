//! The `hub:` block of a rule: what the hub needs to know beyond Sigma. All of it is optional.
//!
//! ```yaml
//! hub:
//!   primary: address            # which kind of entity the finding is about
//!   campaign: credential-stuffing   # or a campaign of that name, made of many addresses
//!   entities: [address, user]   # kinds to name; all that the event has if left out
//!   while: hub-credential-stuffing  # only during (up to a window before or after) hits of that rule
//!   window: 10m                 # quiet after which the next hit starts a new stream of findings
//!   summary: "…"                # one sentence for people
//! ```

use std::time::Duration;

use hub_base::HumanDuration;
use serde::Deserialize;
use serde_json::Value;

use crate::finding::EntityKind;

/// Quiet that ends a stream of findings of a plain detection rule.
const WINDOW: Duration = Duration::from_mins(10);

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct HubBlock {
    #[serde(default)]
    pub(crate) primary: Option<EntityKind>,
    #[serde(default)]
    pub(crate) campaign: Option<String>,
    #[serde(default)]
    pub(crate) entities: Option<Vec<EntityKind>>,
    #[serde(default, rename = "while")]
    pub(crate) during: Option<String>,
    #[serde(default)]
    window: Option<HumanDuration>,
    #[serde(default)]
    pub(crate) summary: Option<String>,
}

impl HubBlock {
    pub(crate) fn parse(value: Option<&Value>) -> Result<Self, String> {
        let Some(value) = value else {
            return Ok(Self::default());
        };
        serde_json::from_value(value.clone()).map_err(|fault| format!("`hub`: {fault}"))
    }

    pub(crate) fn window(&self) -> Duration {
        self.window.map_or(WINDOW, |window| window.0)
    }

    /// Whether findings of the rule name entities of `kind`.
    pub(crate) fn names(&self, kind: EntityKind) -> bool {
        self.entities
            .as_ref()
            .is_none_or(|kinds| kinds.contains(&kind))
            || self.primary == Some(kind)
    }
}

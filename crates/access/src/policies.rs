//! The policies: parsed and validated against their schema before any is used; every fault is told with its place.

use std::str::FromStr;

use cedar_policy::{PolicySet, Schema, ValidationMode, Validator};

use crate::error::Error;

/// The built-in policies and their schema.
const POLICIES: (&str, &str) = (
    "content/policies/hub.cedar",
    include_str!("../../../content/policies/hub.cedar"),
);
const SCHEMA: (&str, &str) = (
    "content/policies/hub.cedarschema",
    include_str!("../../../content/policies/hub.cedarschema"),
);

/// One fault of a policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub file: String,
    /// From 1; 0 if the fault has no place.
    pub line: usize,
    pub what: String,
}

/// Validated policies.
#[derive(Debug, Clone)]
pub struct Policies {
    pub(crate) set: PolicySet,
}

impl Policies {
    /// The policies that are built in.
    ///
    /// # Errors
    /// [`Error::Policies`] with every fault.
    pub fn built_in() -> Result<Self, Error> {
        Self::parse(POLICIES, SCHEMA)
    }

    /// Policies and schema from (file, text) pairs.
    ///
    /// # Errors
    /// [`Error::Policies`] with every fault.
    pub fn parse(policies: (&str, &str), schema: (&str, &str)) -> Result<Self, Error> {
        let fault = |file: &str, line, what: String| Fault {
            file: file.to_owned(),
            line,
            what,
        };
        let schema = match Schema::from_cedarschema_str(schema.1) {
            Ok((schema, _warnings)) => schema,
            Err(error) => return Err(Error::Policies(vec![fault(schema.0, 0, error.to_string())])),
        };
        let set = PolicySet::from_str(policies.1).map_err(|errors| {
            let faults = errors.iter().map(|error| {
                let at = miette_line(error, policies.1);
                fault(policies.0, at, error.to_string())
            });
            Error::Policies(faults.collect())
        })?;
        let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
        let faults: Vec<Fault> = result
            .validation_errors()
            .map(|error| fault(policies.0, 0, error.to_string()))
            .chain(
                result
                    .validation_warnings()
                    .map(|warning| fault(policies.0, 0, warning.to_string())),
            )
            .collect();
        if faults.is_empty() {
            Ok(Self { set })
        } else {
            Err(Error::Policies(faults))
        }
    }

    /// The `@id` of a policy, or Cedar's own name for it.
    pub(crate) fn name(&self, id: &cedar_policy::PolicyId) -> String {
        self.set
            .annotation(id, "id")
            .map_or_else(|| id.to_string(), str::to_owned)
    }
}

/// The line at which a parse error begins.
fn miette_line<E: std::error::Error>(error: &E, text: &str) -> usize {
    // Cedar's display names the offending token; the line is found by the offset it reports, if it reports one.
    let shown = error.to_string();
    let token = shown.split('`').nth(1).unwrap_or_default();
    match (token.is_empty(), text.find(token)) {
        (false, Some(at)) => text.get(..at).unwrap_or_default().matches('\n').count() + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_policies_are_valid_and_named() {
        let policies = Policies::built_in().unwrap();
        for policy in policies.set.policies() {
            assert!(policies.set.annotation(policy.id(), "id").is_some());
        }
    }

    #[test]
    fn a_policy_that_does_not_fit_the_schema_is_refused() {
        let text = "permit (principal is Hub::User, action, resource) when { principal.nope };";
        let error = Policies::parse(("mine.cedar", text), SCHEMA).unwrap_err();
        let Error::Policies(faults) = error else {
            panic!("{error}")
        };
        assert!(faults[0].what.contains("nope"), "{faults:?}");
        assert!(Policies::parse(("mine.cedar", "permit ("), SCHEMA).is_err());
    }
}

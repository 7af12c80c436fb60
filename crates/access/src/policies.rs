//! The policies: parsed and validated against their schema before any is used; every fault is told with its place.

use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;

use cedar_policy::{PolicyId, PolicySet, Schema, ValidationMode, Validator};

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
    /// Each policy's `@id`; looked up at every decision that is not remembered.
    names: HashMap<PolicyId, String>,
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
    /// [`Error::Policies`] with every fault of both.
    pub fn parse(policies: (&str, &str), schema: (&str, &str)) -> Result<Self, Error> {
        let mut faults = Vec::new();
        let rules = Schema::from_cedarschema_str(schema.1)
            .map(|(rules, _warnings)| rules)
            .map_err(|error| faults.push(Fault::at(schema, &error)))
            .ok();
        let set = PolicySet::from_str(policies.1)
            .map_err(|errors| faults.extend(errors.iter().map(|e| Fault::at(policies, e))))
            .ok();
        if let Some(set) = &set {
            faults.extend(unnamed(policies, set));
        }
        if let (Some(rules), Some(set)) = (rules, &set) {
            let result = Validator::new(rules).validate(set, ValidationMode::Strict);
            faults.extend(result.validation_errors().map(|e| Fault::at(policies, e)));
            faults.extend(result.validation_warnings().map(|w| Fault::at(policies, w)));
        }
        match set {
            Some(set) if faults.is_empty() => Ok(Self {
                names: names(&set),
                set,
            }),
            _ => {
                faults.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
                Err(Error::Policies(faults))
            }
        }
    }

    /// The `@id` of a policy, or Cedar's own name for it.
    pub(crate) fn name<'p>(&'p self, id: &'p PolicyId) -> &'p str {
        self.names.get(id).map_or(id.as_ref(), String::as_str)
    }
}

fn names(set: &PolicySet) -> HashMap<PolicyId, String> {
    let name = |id: &PolicyId| Some((id.clone(), set.annotation(id, "id")?.to_owned()));
    set.policies()
        .filter_map(|policy| name(policy.id()))
        .collect()
}

impl Fault {
    /// What Cedar says, with the line that it points at.
    fn at(file: (&str, &str), error: &dyn miette::Diagnostic) -> Self {
        let offset = error
            .labels()
            .and_then(|mut labels| labels.next())
            .map(|l| l.offset());
        Self {
            file: file.0.to_owned(),
            line: offset.map_or(0, |offset| line_of(file.1, offset)),
            what: error.to_string(),
        }
    }
}

/// The line, from 1, that holds the byte at `offset`.
fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

/// Policies without an `@id`, or with another's: a decision could not say by which policy it was made.
fn unnamed(file: (&str, &str), set: &PolicySet) -> Vec<Fault> {
    let mut names = BTreeSet::new();
    let mut faults = Vec::new();
    for policy in set.policies() {
        let what = match set.annotation(policy.id(), "id") {
            None => "a policy has no @id".to_owned(),
            Some(name) if names.insert(name) => continue,
            Some(name) => format!("two policies have the @id \"{name}\""),
        };
        let line = file
            .1
            .find(&policy.to_string())
            .map_or(0, |offset| line_of(file.1, offset));
        faults.push(Fault {
            file: file.0.to_owned(),
            line,
            what,
        });
    }
    faults
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

    fn faults(policies: &str, schema: &str) -> Vec<(String, usize, String)> {
        match Policies::parse(("mine.cedar", policies), ("mine.cedarschema", schema)) {
            Err(Error::Policies(faults)) => faults
                .into_iter()
                .map(|f| (f.file, f.line, f.what))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_policy_that_does_not_fit_the_schema_is_told_with_its_line() {
        let text = "@id(\"a\")\npermit (principal is Hub::User, action, resource)\nwhen { principal.nope };";
        let found = faults(text, SCHEMA.1);
        assert_eq!((found.len(), found[0].1), (1, 3), "{found:?}");
        assert!(found[0].2.contains("nope"), "{found:?}");
    }

    #[test]
    fn every_fault_of_both_files_is_told() {
        let found = faults(
            "permit (\n  principal, action, resource\n) when { 1 + };",
            "entity User {\n x: };",
        );
        let places: Vec<(&str, usize)> = found
            .iter()
            .map(|(file, line, _)| (file.as_str(), *line))
            .collect();
        assert_eq!(
            places,
            [("mine.cedar", 3), ("mine.cedarschema", 2)],
            "{found:?}"
        );
    }

    #[test]
    fn policies_have_names_of_their_own() {
        let rule = "permit (principal is Hub::System, action, resource);";
        let found = faults(
            &format!("@id(\"a\")\n{rule}\n@id(\"a\")\n{rule}\n\n{rule}"),
            SCHEMA.1,
        );
        let what: Vec<&str> = found.iter().map(|(_, _, what)| what.as_str()).collect();
        assert_eq!(what.len(), 2, "{found:?}");
        assert!(what.contains(&"a policy has no @id"), "{found:?}");
    }
}

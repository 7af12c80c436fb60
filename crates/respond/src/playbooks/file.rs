//! A playbook file's shape, and reading it so that every fault is found with its place.

use std::time::Duration;

use hub_base::HumanDuration;
use hub_detect::EntityKind;
use hub_events::Severity;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_yaml_ng::{Mapping, Value};

use super::locate::{Seg, locate};
use super::{Fault, Playbook, Step, Target, Trigger, When};
use crate::actions::Kind;

/// Steps of one playbook at most.
const STEPS: usize = 32;
/// The longest time that a containment may stand by itself.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// What answers a kind of finding: preserve evidence, contain, notify.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "Security Hub playbook")]
#[expect(
    dead_code,
    reason = "the published shape; files are read field by field to find every fault"
)]
struct PlaybookFile {
    /// Lower-case words joined by hyphens; a file in the operator's folder replaces the built-in one of this name.
    name: String,
    /// One line for people.
    title: String,
    /// Why it does what it does.
    description: Option<String>,
    trigger: TriggerFile,
    /// Taken in the order evidence, containment, notification, whatever their order here.
    steps: Vec<StepFile>,
}

/// Which findings are answered. The best-knowing playbooks win: by rule, by technique, by severity alone.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "see PlaybookFile")]
struct TriggerFile {
    /// Ids of rules.
    rules: Option<Vec<String>>,
    /// ATT&CK ids; `T1110` also covers `T1110.003`.
    techniques: Option<Vec<String>>,
    /// At least this severe.
    severity: Option<Level>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "see PlaybookFile")]
struct StepFile {
    action: ActionName,
    /// Which of the finding's entities; what fits the action if left out.
    target: Option<TargetName>,
    /// After this time the containment is released by itself (`block_address` and `lock_account`).
    ttl: Option<HumanDuration>,
    when: Option<WhenFile>,
}

/// A further condition of one step: all that is given must hold.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "see PlaybookFile")]
struct WhenFile {
    severity: Option<Level>,
    techniques: Option<Vec<String>>,
    primary: Option<KindName>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Level {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ActionName {
    PreserveEvidence,
    BlockAddress,
    LockAccount,
    EndSessions,
    RevokeApiKey,
    Notify,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TargetName {
    Primary,
    Address,
    User,
    Session,
    ApiKey,
    CreatedApiKey,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum KindName {
    User,
    Address,
    Session,
    ApiKey,
    Campaign,
    Host,
    CloudIdentity,
}

/// The JSON Schema of a playbook file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(PlaybookFile).to_value()
}

/// The playbook in `text`; its faults are added to `faults`, and any makes it `None`.
pub(super) fn parse(file: &str, text: &str, faults: &mut Vec<Fault>) -> Option<Playbook> {
    let before = faults.len();
    let mut reader = Reader { file, text, faults };
    let playbook = reader.playbook();
    if let Some(new) = faults.get_mut(before..) {
        new.sort_by_key(|fault| (fault.line, fault.column));
    }
    playbook.filter(|_| faults.len() == before)
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    faults: &'a mut Vec<Fault>,
}

impl Reader<'_> {
    fn fault(&mut self, path: &[Seg<'_>], message: impl Into<String>) {
        let (line, column) = locate(self.text, path);
        let message = message.into();
        self.faults.push(Fault {
            file: self.file.to_owned(),
            line,
            column,
            message,
        });
    }

    /// Takes `key` out of `map` and reads it.
    fn take<T: DeserializeOwned>(
        &mut self,
        map: &mut Mapping,
        path: &[Seg<'_>],
        key: &str,
    ) -> Option<T> {
        let value = map.remove(key)?;
        match serde_yaml_ng::from_value(value) {
            Ok(read) => Some(read),
            Err(error) => {
                self.fault(&join(path, Seg::Key(key)), format!("`{key}`: {error}"));
                None
            }
        }
    }

    fn need<T: DeserializeOwned>(
        &mut self,
        map: &mut Mapping,
        path: &[Seg<'_>],
        key: &str,
    ) -> Option<T> {
        if !map.contains_key(key) {
            self.fault(path, format!("`{key}` is missing"));
        }
        self.take(map, path, key)
    }

    /// Whatever nobody took is unknown.
    fn end(&mut self, map: &Mapping, path: &[Seg<'_>]) {
        for key in map.keys() {
            match key.as_str() {
                Some(key) => self.fault(&join(path, Seg::Key(key)), format!("unknown key `{key}`")),
                None => self.fault(path, "a key must be text"),
            }
        }
    }

    fn playbook(&mut self) -> Option<Playbook> {
        let mut map: Mapping = match serde_yaml_ng::from_str(self.text) {
            Ok(map) => map,
            Err(error) => {
                let (line, column) = error.location().map_or((1, 1), |l| (l.line(), l.column()));
                let message = error.to_string();
                self.faults.push(Fault {
                    file: self.file.to_owned(),
                    line,
                    column,
                    message,
                });
                return None;
            }
        };
        let name: Option<String> = self.need(&mut map, &[], "name");
        if let Some(name) = &name
            && !is_name(name)
        {
            let message = format!("`{name}` is not a name (lower-case words joined by hyphens)");
            self.fault(&[Seg::Key("name")], message);
        }
        let title: Option<String> = self.need(&mut map, &[], "title");
        let _for_people: Option<String> = self.take(&mut map, &[], "description");
        let trigger: Option<Mapping> = self.need(&mut map, &[], "trigger");
        let trigger = trigger.map(|map| self.trigger(map));
        let steps: Option<Vec<Value>> = self.need(&mut map, &[], "steps");
        let steps = steps.map(|steps| self.steps(steps));
        self.end(&map, &[]);
        Some(Playbook {
            name: name?,
            title: title?,
            trigger: trigger?,
            steps: steps?,
        })
    }

    fn trigger(&mut self, mut map: Mapping) -> Trigger {
        let path = [Seg::Key("trigger")];
        let is_empty = map.is_empty();
        let rules: Vec<String> = self.take(&mut map, &path, "rules").unwrap_or_default();
        let techniques = self.techniques(&mut map, &path);
        let severity = self
            .take::<Level>(&mut map, &path, "severity")
            .map(Level::severity);
        self.end(&map, &path);
        if is_empty {
            self.fault(&path, "a trigger needs `rules`, `techniques` or `severity`");
        }
        Trigger {
            rules,
            techniques,
            severity,
        }
    }

    fn techniques(&mut self, map: &mut Mapping, path: &[Seg<'_>]) -> Vec<String> {
        let techniques: Vec<String> = self.take(map, path, "techniques").unwrap_or_default();
        for (i, technique) in techniques.iter().enumerate() {
            if !is_technique(technique) {
                let at = join(&join(path, Seg::Key("techniques")), Seg::Item(i));
                self.fault(
                    &at,
                    format!("`{technique}` is not an ATT&CK id (`T1110` or `T1110.003`)"),
                );
            }
        }
        techniques
    }

    fn steps(&mut self, values: Vec<Value>) -> Vec<Step> {
        let path = [Seg::Key("steps")];
        if values.is_empty() || values.len() > STEPS {
            self.fault(&path, format!("a playbook has 1 to {STEPS} steps"));
        }
        let mut steps = Vec::new();
        for (i, value) in values.into_iter().enumerate() {
            let path = join(&path, Seg::Item(i));
            match value {
                Value::Mapping(map) => steps.extend(self.step(map, &path)),
                _ => self.fault(&path, "a step is a mapping with `action`"),
            }
        }
        let contains = steps.iter().any(|s| s.action.phase() == 1);
        if contains && !steps.iter().any(|s| s.action == Kind::PreserveEvidence) {
            self.fault(
                &path,
                "a playbook that contains must also `preserve_evidence`",
            );
        }
        steps
    }

    fn step(&mut self, mut map: Mapping, path: &[Seg<'_>]) -> Option<Step> {
        let action = self
            .need::<ActionName>(&mut map, path, "action")
            .map(ActionName::kind);
        let target = self
            .take::<TargetName>(&mut map, path, "target")
            .map(TargetName::target);
        let ttl = self
            .take::<HumanDuration>(&mut map, path, "ttl")
            .map(|ttl| ttl.0);
        let when = self.take::<Mapping>(&mut map, path, "when");
        let when = when.map(|map| self.when(map, path)).unwrap_or_default();
        self.end(&map, path);
        let action = action?;
        if let Some(target) = target
            && !may_target(action, target)
        {
            let message = format!("`{}` cannot be done to this target", action.name());
            self.fault(&join(path, Seg::Key("target")), message);
        }
        if let Some(ttl) = ttl {
            let at = join(path, Seg::Key("ttl"));
            if !matches!(action, Kind::BlockAddress | Kind::LockAccount) {
                self.fault(&at, format!("`{}` has no end in time", action.name()));
            } else if ttl.is_zero() || ttl > LONGEST {
                self.fault(&at, "a ttl is longer than nothing and at most 365d");
            }
        }
        Some(Step {
            action,
            target: target.unwrap_or_else(|| usual_target(action)),
            ttl,
            when,
        })
    }

    fn when(&mut self, mut map: Mapping, path: &[Seg<'_>]) -> When {
        let path = join(path, Seg::Key("when"));
        let severity = self
            .take::<Level>(&mut map, &path, "severity")
            .map(Level::severity);
        let techniques = self.techniques(&mut map, &path);
        let primary = self
            .take::<KindName>(&mut map, &path, "primary")
            .map(KindName::kind);
        self.end(&map, &path);
        When {
            severity,
            techniques,
            primary,
        }
    }
}

fn join<'a>(path: &[Seg<'a>], seg: Seg<'a>) -> Vec<Seg<'a>> {
    path.iter().copied().chain(std::iter::once(seg)).collect()
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_technique(text: &str) -> bool {
    let digits = |part: &str, n| part.len() == n && part.bytes().all(|b| b.is_ascii_digit());
    text.strip_prefix('T')
        .is_some_and(|rest| match rest.split_once('.') {
            Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
            None => digits(rest, 4),
        })
}

const fn usual_target(action: Kind) -> Target {
    match action {
        Kind::PreserveEvidence | Kind::Notify => Target::Incident,
        Kind::BlockAddress => Target::Address,
        Kind::LockAccount | Kind::EndSessions => Target::User,
        Kind::RevokeApiKey => Target::ApiKey,
    }
}

const fn may_target(action: Kind, target: Target) -> bool {
    match action {
        Kind::PreserveEvidence | Kind::Notify => false,
        Kind::BlockAddress => matches!(target, Target::Address | Target::Primary),
        Kind::LockAccount => matches!(target, Target::User | Target::Primary),
        Kind::EndSessions => matches!(target, Target::User | Target::Session | Target::Primary),
        Kind::RevokeApiKey => {
            matches!(
                target,
                Target::ApiKey | Target::CreatedApiKey | Target::Primary
            )
        }
    }
}

impl Level {
    const fn severity(self) -> Severity {
        match self {
            Self::Informational => Severity::Informational,
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
        }
    }
}

impl ActionName {
    const fn kind(self) -> Kind {
        match self {
            Self::PreserveEvidence => Kind::PreserveEvidence,
            Self::BlockAddress => Kind::BlockAddress,
            Self::LockAccount => Kind::LockAccount,
            Self::EndSessions => Kind::EndSessions,
            Self::RevokeApiKey => Kind::RevokeApiKey,
            Self::Notify => Kind::Notify,
        }
    }
}

impl TargetName {
    const fn target(self) -> Target {
        match self {
            Self::Primary => Target::Primary,
            Self::Address => Target::Address,
            Self::User => Target::User,
            Self::Session => Target::Session,
            Self::ApiKey => Target::ApiKey,
            Self::CreatedApiKey => Target::CreatedApiKey,
        }
    }
}

impl KindName {
    const fn kind(self) -> EntityKind {
        match self {
            Self::User => EntityKind::User,
            Self::Address => EntityKind::Address,
            Self::Session => EntityKind::Session,
            Self::ApiKey => EntityKind::ApiKey,
            Self::Campaign => EntityKind::Campaign,
            Self::Host => EntityKind::Host,
            Self::CloudIdentity => EntityKind::CloudIdentity,
        }
    }
}

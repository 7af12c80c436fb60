//! An act of the hub: what a state change says of itself, for the ledger and for detection alike.

use hub_base::{Actor, Origin, Principal, Timestamp};
use serde_json::{Map, Value, json};

use crate::class::{Class, Outcome, Severity};
use crate::event::{Event, LogSource, set};

/// The thing an act was done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// `user`, `session`, `api_key`, `role`, `incident`, `address`, `tenant`, …
    pub kind: &'static str,
    pub uid: String,
    pub name: Option<String>,
}

impl Subject {
    pub fn new(kind: &'static str, uid: impl ToString) -> Self {
        Self {
            kind,
            uid: uid.to_string(),
            name: None,
        }
    }

    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

/// What was done, to what, with which outcome. Who, when and from where come from the context that commits it.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// `noun.verb`, stable for ever: `user.lock`, `session.begin`, `api_key.create`.
    pub operation: &'static str,
    pub class: Class,
    /// OCSF's `activity_id` within the class.
    pub activity: u8,
    pub outcome: Outcome,
    pub severity: Severity,
    /// Which log it belongs to, for Sigma's `service`: `auth`, `admin`, `api` or `response`.
    pub log: &'static str,
    pub subject: Option<Subject>,
    fields: Map<String, Value>,
}

impl Act {
    pub fn new(operation: &'static str, class: Class, activity: u8, log: &'static str) -> Self {
        Self {
            operation,
            class,
            activity,
            outcome: Outcome::Success,
            severity: Severity::Informational,
            log,
            subject: None,
            fields: Map::new(),
        }
    }

    #[must_use]
    pub fn on(mut self, subject: Subject) -> Self {
        self.subject = Some(subject);
        self
    }

    #[must_use]
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Sets an OCSF field by dotted path (`status_detail`, `unmapped.reason`). Never a secret.
    #[must_use]
    pub fn with(mut self, path: &str, value: impl Into<Value>) -> Self {
        set(&mut self.fields, path, value.into());
        self
    }

    /// The OCSF event of this act. `uid` becomes `metadata.uid`.
    pub fn into_event(
        self,
        uid: &str,
        at: Timestamp,
        principal: &Principal,
        origin: Option<&Origin>,
    ) -> Event {
        let mut body = Map::new();
        let mut put = |path: &str, value: Value| set(&mut body, path, value);
        put("class_uid", json!(self.class.uid()));
        put("class_name", json!(self.class.name()));
        put("category_uid", json!(self.class.category_uid()));
        put("activity_id", json!(self.activity));
        put(
            "type_uid",
            json!(self.class.uid() * 100 + u32::from(self.activity)),
        );
        put("time", json!(at.unix_millis()));
        put("severity_id", json!(self.severity.id()));
        put("status_id", json!(self.outcome.id()));
        put("status", json!(self.outcome.name()));
        put("api.operation", json!(self.operation));
        put("api.service.name", json!("security-hub"));
        put("metadata.version", json!("1.8.0"));
        put("metadata.uid", json!(uid));
        put("metadata.product.name", json!("Security Hub"));
        put("metadata.product.vendor_name", json!("Security Hub"));
        put("metadata.log_provider", json!("security_hub"));
        put("metadata.log_name", json!(self.log));
        put("metadata.tenant_uid", json!(principal.tenant.to_string()));
        put_actor(&mut put, principal);
        if let Some(origin) = origin {
            put_origin(&mut put, origin);
        }
        if let Some(subject) = &self.subject {
            put_subject(&mut put, subject);
        }
        merge(&mut body, self.fields);
        Event {
            time: at,
            source: LogSource::new("security_hub", self.log),
            body,
        }
    }
}

fn put_actor(put: &mut impl FnMut(&str, Value), principal: &Principal) {
    match &principal.actor {
        Actor::Anonymous => {}
        Actor::User {
            user,
            session,
            username,
            ..
        } => {
            put("actor.user.uid", json!(user.to_string()));
            put("actor.user.name", json!(username));
            put("actor.user.type", json!("User"));
            put("actor.session.uid", json!(session.to_string()));
        }
        Actor::ApiKey { key, name, .. } => {
            put("actor.user.uid", json!(key.to_string()));
            put("actor.user.name", json!(name));
            put("actor.user.type", json!("Service"));
            put("actor.user.credential_uid", json!(key.to_string()));
        }
        Actor::System { component } => {
            put("actor.app_name", json!(component));
            put("actor.user.type", json!("System"));
        }
    }
}

fn put_origin(put: &mut impl FnMut(&str, Value), origin: &Origin) {
    put("src_endpoint.ip", json!(origin.address.to_string()));
    put("http_request.uid", json!(origin.request.to_string()));
    if let Some(agent) = &origin.user_agent {
        put("http_request.user_agent", json!(agent));
    }
    if let Some(device) = &origin.device {
        put("device.uid", json!(device));
    }
}

fn put_subject(put: &mut impl FnMut(&str, Value), subject: &Subject) {
    // A user as subject is OCSF's `user`; everything else a resource.
    let base = if subject.kind == "user" {
        "user"
    } else {
        "resource"
    };
    put(&format!("{base}.uid"), json!(subject.uid));
    put(
        &format!("{base}.type"),
        json!(if base == "user" { "User" } else { subject.kind }),
    );
    if let Some(name) = &subject.name {
        put(&format!("{base}.name"), json!(name));
    }
}

/// Lays `over` onto `under`; objects are merged, everything else is replaced.
fn merge(under: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => merge(below, above),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

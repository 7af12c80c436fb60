//! A tenant with people, and findings written as `kind:value`, for these tests.

use std::sync::Arc;

use hub_base::{
    Actor, Clock, FindingId, IncidentId, ManualClock, Principal, SessionId, TenantId, UserId,
};
use hub_detect::{Entity, Finding};
use hub_events::Severity;
use hub_respond::actions::{self, Action, Deps};
use hub_respond::incidents::{self, Case};
use hub_respond::{Playbooks, RespondConfig};
use hub_store::{Cx, Store};
use hub_testkit::TestDb;
use serde_json::Value;
use uuid::Uuid;

pub(crate) struct World {
    pub(crate) db: TestDb,
    pub(crate) store: Store,
    pub(crate) tenant: TenantId,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) deps: Deps,
    pub(crate) playbooks: Playbooks,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(RespondConfig::default()).await
    }

    pub(crate) async fn with(config: RespondConfig) -> Self {
        let db = hub_testkit::database().await;
        let store = db.store();
        let tenant = hub_testkit::tenant(&store, "acme").await;
        let clock = Arc::clone(&db.clock);
        let deps = Deps {
            config: Arc::new(config),
        };
        let playbooks = Playbooks::built_in().unwrap();
        Self {
            db,
            store,
            tenant,
            clock,
            deps,
            playbooks,
        }
    }

    /// A person with no password that could be proven, straight into the table.
    pub(crate) async fn user(&self, name: &str) -> String {
        let id = UserId::new(&*self.clock);
        let mut tx = self.system().write().await.unwrap();
        let now = tx.now().to_offset();
        sqlx::query(
            "insert into app_user (tenant_id, id, username, email, display_name, password_phc, \
             password_changed_at, created_at) values ($1, $2, $3, $3 || '@example.org', $3, '-', $4, $4)",
        )
        .bind(self.tenant.uuid())
        .bind(id.uuid())
        .bind(name)
        .bind(now)
        .execute(tx.conn())
        .await
        .unwrap();
        tx.commit_progress().await.unwrap();
        id.to_string()
    }

    pub(crate) async fn session(&self, user: &str) -> String {
        let id = SessionId::new(&*self.clock);
        let mut tx = self.system().write().await.unwrap();
        let now = tx.now();
        sqlx::query(
            "insert into session (tenant_id, id, user_id, secret_hash, created_at, last_seen_at, \
             expires_at) values ($1, $2, $3::uuid, '\\x00', $4, $4, $5)",
        )
        .bind(self.tenant.uuid())
        .bind(id.uuid())
        .bind(user.parse::<Uuid>().unwrap())
        .bind(now.to_offset())
        .bind(now.plus(std::time::Duration::from_hours(24)).to_offset())
        .execute(tx.conn())
        .await
        .unwrap();
        tx.commit_progress().await.unwrap();
        id.to_string()
    }

    pub(crate) async fn api_key(&self, name: &str, by: &str) -> String {
        let id = hub_base::ApiKeyId::new(&*self.clock);
        let mut tx = self.system().write().await.unwrap();
        let now = tx.now().to_offset();
        sqlx::query(
            "insert into api_key (tenant_id, id, name, secret_hash, scopes, created_by, created_at) \
             values ($1, $2, $3, '\\x00', '{}', $4, $5)",
        )
        .bind(self.tenant.uuid())
        .bind(id.uuid())
        .bind(name)
        .bind(by.parse::<Uuid>().unwrap())
        .bind(now)
        .execute(tx.conn())
        .await
        .unwrap();
        tx.commit_progress().await.unwrap();
        id.to_string()
    }

    /// One number from one statement about the tenant.
    pub(crate) async fn count(&self, sql: &'static str, of: &str) -> i64 {
        let mut tx = self.store.read(self.tenant).await.unwrap();
        let (n,): (i64,) = sqlx::query_as(sql)
            .bind(of)
            .fetch_one(tx.conn())
            .await
            .unwrap();
        n
    }

    /// How many acts of this operation were committed.
    pub(crate) async fn acts(&self, operation: &str) -> i64 {
        self.count(
            "select count(*) from ledger_outbox where operation = $1",
            operation,
        )
        .await
    }

    pub(crate) async fn is_locked(&self, user: &str) -> bool {
        let sql = "select count(*) from app_user where id = $1::uuid and locked_at is not null";
        self.count(sql, user).await == 1
    }

    pub(crate) async fn live_sessions(&self, user: &str) -> i64 {
        self.count(
            "select count(*) from session where user_id = $1::uuid and ended_at is null",
            user,
        )
        .await
    }

    pub(crate) fn system(&self) -> Cx {
        Cx::system(self.store.clone(), self.tenant, "test")
    }

    pub(crate) fn operator(&self) -> Cx {
        let actor = Actor::User {
            user: UserId::new(&*self.clock),
            session: SessionId::new(&*self.clock),
            username: "olga".to_owned(),
            authenticated_at: self.clock.now(),
        };
        let principal = Principal {
            tenant: self.tenant,
            actor,
            roles: vec!["analyst".to_owned()],
        };
        Cx::new(self.store.clone(), principal, None)
    }

    pub(crate) fn finding(&self, technique: &str, primary: &str, entities: &[&str]) -> Finding {
        let now = self.clock.now();
        Finding {
            id: FindingId::new(&*self.clock),
            rule: "some-rule".to_owned(),
            title: format!("Something like {technique}"),
            severity: Severity::High,
            techniques: vec![technique.to_owned()],
            tactics: Vec::new(),
            primary: entity(primary),
            entities: entities.iter().map(|text| entity(text)).collect(),
            events: Vec::new(),
            first_event_at: now,
            last_event_at: now,
            detected_at: now,
            count: 1,
            authors: None,
            dedup_key: format!("{technique}|{primary}"),
            summary: "seen".to_owned(),
        }
    }

    pub(crate) async fn absorb(&self, findings: &[Finding]) -> Vec<IncidentId> {
        let mut tx = self.system().write().await.unwrap();
        let ids = incidents::absorb(&mut tx, findings, &self.playbooks)
            .await
            .unwrap();
        tx.commit_progress().await.unwrap();
        ids
    }

    pub(crate) async fn run(&self) -> usize {
        actions::run_pending(&self.store, self.tenant, &self.deps)
            .await
            .unwrap()
    }

    pub(crate) async fn case(&self, id: IncidentId) -> Case {
        incidents::show(&self.operator(), id).await.unwrap()
    }

    pub(crate) async fn action(&self, id: IncidentId, kind: actions::Kind) -> Action {
        let case = self.case(id).await;
        case.actions
            .into_iter()
            .find(|action| action.kind == kind)
            .unwrap()
    }
}

/// `kind target: state`, in the order of the case.
pub(crate) fn actions_of(case: &Case) -> Vec<String> {
    let mut lines: Vec<String> = case
        .actions
        .iter()
        .filter(|action| action.kind.is_containment())
        .map(|a| format!("{} {}: {}", a.kind.name(), a.target.value, a.state.name()))
        .collect();
    lines.sort();
    lines
}

pub(crate) fn entity(text: &str) -> Entity {
    let (kind, value) = text.split_once(':').unwrap();
    Entity {
        kind: kind.parse().unwrap(),
        value: value.to_owned(),
        name: None,
    }
}

/// The lines of an NDJSON text.
pub(crate) fn lines(bytes: &[u8]) -> Vec<Value> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

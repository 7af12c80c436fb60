//! Taking findings in: each goes to its incident, and its playbooks' actions are queued, in the transaction
//! that found it.

use hub_base::{ActionId, IncidentId, ManualClock, UserId};
use hub_detect::{Entity, EntityKind, Finding};
use hub_store::WriteTx;
use serde_json::{Value, json};

use super::correlate::{correlate, role};
use super::{Incident, Role, Status, repo, shown};
use crate::accounts::repo as accounts;
use crate::actions::{self, Draft, Kind, Target};
use crate::error::Error;
use crate::playbooks::{self, Playbook, Playbooks, Step};
use crate::timeline;

/// Who writes into the timeline here.
const ACTOR: &str = "security hub (respond)";
/// Targets of one step for one finding. A finding that names more people than this is not a reason to stop
/// them all without anybody having looked.
const MOST_PEOPLE: usize = 10;
const MOST_ADDRESSES: usize = 500;
/// Evidence bundles that playbooks collect of one incident.
const MOST_BUNDLES: i64 = 16;
/// After this many findings the timeline takes no more of them; the incident counts on.
const MOST_ENTRIES: i64 = 200;

/// Attaches each finding to the incident of its attack, or opens one, and queues what the playbooks ask for.
/// A finding that was taken in before changes nothing. Returns the incidents concerned, in the order of their
/// first finding.
///
/// # Errors
/// [`Error::Store`]; the caller's transaction is then lost.
pub async fn absorb(
    tx: &mut WriteTx,
    findings: &[Finding],
    playbooks: &Playbooks,
) -> Result<Vec<IncidentId>, Error> {
    if findings.is_empty() {
        return Ok(Vec::new());
    }
    repo::lock_counter(tx).await?;
    let mut touched: Vec<(IncidentId, Touched)> = Vec::new();
    for finding in findings {
        if repo::holder(tx, finding.id).await?.is_some() {
            continue;
        }
        let (incident, how) = place(tx, finding).await?;
        if !touched.iter().any(|(id, _)| *id == incident.id) {
            touched.push((incident.id, how));
        }
        queue(tx, &incident, how, finding, playbooks).await?;
    }
    for (id, how) in &touched {
        let Some(incident) = repo::find(tx, *id).await? else {
            continue;
        };
        let act = match how {
            Touched::Opened => super::act("incident.open", 1, &incident),
            Touched::Grew => super::act("incident.update", 2, &incident),
        };
        tx.record(act.with("unmapped.incident.finding_count", incident.finding_count))
            .await?;
    }
    Ok(touched.into_iter().map(|(id, _)| id).collect())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touched {
    Opened,
    Grew,
}

/// Puts the finding into its incident.
async fn place(tx: &mut WriteTx, finding: &Finding) -> Result<(Incident, Touched), Error> {
    let open = repo::candidates(tx, finding).await?;
    let found = match correlate(&open, finding) {
        Some(id) => repo::lock(tx, id).await?,
        None => None,
    };
    let (mut incident, how) = match found {
        Some(incident) => (incident, Touched::Grew),
        None => (open_for(tx, finding).await?, Touched::Opened),
    };
    grow(&mut incident, finding);
    repo::save(tx, &incident).await?;
    let body = if incident.finding_count <= repo::FINDINGS {
        body(finding)
    } else {
        json!({"id": finding.id, "rule": finding.rule, "title": finding.title})
    };
    repo::attach(tx, incident.id, finding.id, &body).await?;
    for entity in &finding.entities {
        repo::involve(tx, incident.id, entity, role(finding, entity)).await?;
    }
    if incident.primary != finding.primary {
        let part = role(finding, &finding.primary);
        repo::involve(tx, incident.id, &finding.primary, part).await?;
    }
    if incident.finding_count <= MOST_ENTRIES {
        let text = format!("{}: {}", finding.title, finding.summary);
        let kind = timeline::Kind::Finding;
        let (at, ids) = (finding.detected_at, &finding.techniques);
        timeline::repo::add(tx, incident.id, at, kind, ACTOR, &text, ids).await?;
    }
    Ok((incident, how))
}

async fn open_for(tx: &mut WriteTx, finding: &Finding) -> Result<Incident, Error> {
    let now = tx.now();
    let incident = Incident {
        id: IncidentId::new(&ManualClock::at(now)),
        number: repo::next_number(tx).await?,
        title: format!("{}: {}", finding.title, shown(&finding.primary))
            .chars()
            .take(300)
            .collect(),
        severity: finding.severity,
        status: Status::New,
        verdict: None,
        primary: finding.primary.clone(),
        techniques: finding.techniques.clone(),
        finding_count: 0,
        first_activity_at: finding.first_event_at,
        last_activity_at: finding.last_event_at,
        detected_at: finding.detected_at,
        opened_at: now,
        acknowledged_at: None,
        contained_at: None,
        eradicated_at: None,
        recovered_at: None,
        closed_at: None,
    };
    repo::insert(tx, &incident).await?;
    repo::involve(tx, incident.id, &incident.primary, Role::Primary).await?;
    Ok(incident)
}

fn grow(incident: &mut Incident, finding: &Finding) {
    incident.finding_count += 1;
    incident.severity = incident.severity.max(finding.severity);
    incident.first_activity_at = incident.first_activity_at.min(finding.first_event_at);
    incident.last_activity_at = incident.last_activity_at.max(finding.last_event_at);
    for technique in &finding.techniques {
        if !incident.techniques.contains(technique) {
            incident.techniques.push(technique.clone());
        }
    }
}

/// Queues what the finding's playbooks ask for and the incident does not have yet.
async fn queue(
    tx: &mut WriteTx,
    incident: &Incident,
    how: Touched,
    finding: &Finding,
    playbooks: &Playbooks,
) -> Result<(), Error> {
    let matching = playbooks.matching(finding);
    // Gathered first: an iterator with closures in it cannot be held across an await by a future that is Send.
    let mut containments = Vec::new();
    let mut others = Vec::new();
    for playbook in matching {
        for step in &playbook.steps {
            let list = if step.action.is_containment() {
                &mut containments
            } else {
                &mut others
            };
            list.push((playbook, step));
        }
    }
    let mut grew = how == Touched::Opened;
    for (playbook, step) in containments {
        grew |= contain(tx, incident, finding, playbook, step).await?;
    }
    for (playbook, step) in others {
        if !step.when.is_met(finding) {
            continue;
        }
        let target = match step.action {
            Kind::PreserveEvidence => {
                let (waits, bundles) = actions::repo::awaits_evidence(tx, incident.id).await?;
                if !grew || waits || bundles >= MOST_BUNDLES {
                    continue;
                }
                Target {
                    kind: "finding".into(),
                    value: finding.id.to_string(),
                    name: None,
                }
            }
            // Told once, and again when it gets worse.
            _ => Target {
                kind: "incident".into(),
                value: incident.severity.name().into(),
                name: None,
            },
        };
        let draft = draft(playbook, step, finding, target);
        let id = ActionId::new(&ManualClock::at(tx.now()));
        actions::repo::queue(tx, id, incident.id, &draft).await?;
    }
    Ok(())
}

/// Queues one containment step; says whether anything was new.
async fn contain(
    tx: &mut WriteTx,
    incident: &Incident,
    finding: &Finding,
    playbook: &Playbook,
    step: &Step,
) -> Result<bool, Error> {
    let mut targets: Vec<Entity> = step.targets(finding).into_iter().cloned().collect();
    if step.target == playbooks::Target::CreatedApiKey && step.when.is_met(finding) {
        keys_made(tx, finding, &mut targets).await?;
    }
    let most = if step.action == Kind::BlockAddress {
        MOST_ADDRESSES
    } else {
        MOST_PEOPLE
    };
    let mut is_new = false;
    for entity in targets.iter().take(most) {
        // An address that another open attack came from is that incident's to contain, and to release.
        if entity.kind == EntityKind::Address
            && *entity != finding.primary
            && repo::is_held_elsewhere(tx, incident.id, entity).await?
        {
            continue;
        }
        let target = Target {
            kind: entity.kind.name().to_owned(),
            value: entity.value.clone(),
            name: entity.name.clone(),
        };
        let draft = draft(playbook, step, finding, target);
        let id = ActionId::new(&ManualClock::at(tx.now()));
        is_new |= actions::repo::queue(tx, id, incident.id, &draft).await?;
    }
    if targets.len() > most {
        let text = format!(
            "{}: {} targets at once; the first {most} are contained, the others are left to an operator",
            step.action.name(),
            targets.len(),
        );
        let (now, kind) = (tx.now(), timeline::Kind::Action);
        timeline::repo::add(tx, incident.id, now, kind, ACTOR, &text, &[]).await?;
    }
    Ok(is_new)
}

/// Adds the keys that the finding's users made since the attack began: an event may be still to come, or lost
/// among many.
async fn keys_made(
    tx: &mut WriteTx,
    finding: &Finding,
    targets: &mut Vec<Entity>,
) -> Result<(), Error> {
    let all = std::iter::once(&finding.primary).chain(&finding.entities);
    for user in all.filter(|e| e.kind == EntityKind::User) {
        let Ok(user) = user.value.parse::<UserId>() else {
            continue;
        };
        for (key, name) in accounts::keys_made_by(tx, user, finding.first_event_at).await? {
            let value = key.to_string();
            if !targets.iter().any(|target| target.value == value) {
                targets.push(Entity {
                    kind: EntityKind::ApiKey,
                    value,
                    name: Some(name),
                });
            }
        }
    }
    Ok(())
}

fn draft(playbook: &Playbook, step: &Step, finding: &Finding, target: Target) -> Draft {
    Draft {
        kind: step.action,
        target,
        playbook: Some(playbook.name.clone()),
        reason: format!("playbook {} on rule {}", playbook.name, finding.rule),
        ttl: step.ttl,
    }
}

/// The finding as the incident keeps it.
fn body(finding: &Finding) -> Value {
    let entity = |e: &Entity| json!({"kind": e.kind.name(), "value": e.value, "name": e.name});
    json!({
        "id": finding.id,
        "rule": finding.rule,
        "title": finding.title,
        "summary": finding.summary,
        "severity": finding.severity.name(),
        "techniques": finding.techniques,
        "tactics": finding.tactics,
        "primary": entity(&finding.primary),
        "entities": finding.entities.iter().take(200).map(entity).collect::<Vec<_>>(),
        "events": finding.events,
        "first_event_at": finding.first_event_at,
        "last_event_at": finding.last_event_at,
        "detected_at": finding.detected_at,
        "count": finding.count,
        "authors": finding.authors,
    })
}

//! Taking what was decided: one transaction with its act, in the order in which rows refer to each other.

use std::collections::BTreeMap;

use hub_base::OperationId;
use hub_events::{Act, Class, Severity, Subject};
use hub_ledger::{Frontier, leaf_hash};
use hub_store::{WriteTx, sequence};
use serde::Serialize;
use serde_json::json;

use super::decide::{Decisions, What};
use super::repo::Left;
use super::repo::rules::May;
use super::shape::{Table, in_order};
use super::{Copied, repo, rule};
use crate::error::Error;

/// OCSF's `activity_id` of an entity's update (class 3004).
const UPDATE: u8 = 3;
/// Entries of a ledger that are read at once.
const AT_ONCE: i64 = 5000;

/// What came of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub added: u64,
    pub changed: u64,
    /// Chosen with their table, and left as they are.
    pub left: u64,
}

/// A row that was chosen with its table and left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    pub table: String,
    pub key: String,
    pub label: Option<String>,
    pub why: String,
}

/// What a merge did, or would do.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Tables of which something was chosen.
    pub tables: BTreeMap<String, Counts>,
    pub left_out: Vec<LeftOut>,
    /// Rows that came back to life because somebody said so of each.
    pub revived: Vec<String>,
    /// Entries of a ledger that came back with its tenant, computed anew.
    pub ledger_entries: Option<u64>,
}

/// Takes it within `tx`, which is the caller's to commit.
pub(super) async fn take(
    tx: &mut WriteTx,
    copy: &Copied,
    decisions: &Decisions,
) -> Result<Report, Error> {
    let is_lost = super::is_lost(tx).await?;
    repo::prepare(tx, &copy.name).await?;
    let tables = in_order(repo::tables(tx).await?);
    let mut faults = decisions.faults(&tables, is_lost);
    refused(&faults)?;
    let rows = decisions.rows.iter();
    let rows: Vec<_> = rows
        .map(|(table, key, what)| (table.clone(), key.clone(), what.name().to_owned()))
        .collect();
    repo::decide(tx, &rows).await?;
    let mut report = Report::default();
    for table in &tables {
        let lefts = choose(tx, copy, table, &tables, decisions, is_lost).await?;
        for (left, why) in lefts {
            let out = LeftOut {
                table: table.name.clone(),
                key: left.key,
                label: left.label,
                why,
            };
            if left.by_name {
                faults.push(format!("{} {}: {}", out.table, out.key, out.why));
            } else {
                report.tables.entry(table.name.clone()).or_default().left += 1;
                report.left_out.push(out);
            }
        }
        for key in repo::unknown(tx, &copy.name, table).await? {
            faults.push(format!(
                "{} {key}: there is no such row, neither live nor in the backup",
                table.name
            ));
        }
    }
    refused(&faults)?;
    report.revived = repo::revived(tx).await?;
    for table in &tables {
        let (added, changed) = apply(tx, copy, table, is_lost).await?;
        if added + changed > 0 {
            let counts = report.tables.entry(table.name.clone()).or_default();
            (counts.added, counts.changed) = (added, changed);
        }
    }
    let brings_ledger = report
        .tables
        .get("ledger_head")
        .is_some_and(|counts| counts.added > 0);
    if is_lost && brings_ledger {
        report.ledger_entries = Some(proven(tx, copy).await?);
    }
    Ok(report)
}

/// All faults at once.
fn refused(faults: &[String]) -> Result<(), Error> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::Decided(faults.join("\n")))
}

/// Picks the rows of a table; what cannot be taken, and why.
async fn choose(
    tx: &mut WriteTx,
    copy: &Copied,
    table: &Table,
    tables: &[Table],
    decisions: &Decisions,
    is_lost: bool,
) -> Result<Vec<(Left, String)>, Error> {
    let rule = rule(&table.name, is_lost);
    if rule.may == May::Compare {
        return Ok(Vec::new());
    }
    let whole = match (rule.may, decisions.of(&table.name)) {
        (May::Add, What::Backup) => What::Missing,
        (_, what) => what,
    };
    repo::pick(tx, &copy.name, table, &rule, whole.name()).await?;
    let mut out = Vec::new();
    for left in repo::undecided(tx, table).await? {
        let why = left.why.clone().map_or_else(
            || format!("it is there, and rows are only added: {}", rule.why),
            |why| format!("needs a decision of its own: {why}"),
        );
        out.push((left, why));
    }
    for unique in &table.unique {
        let names: Vec<&str> = unique
            .iter()
            .map(String::as_str)
            .filter(|name| *name != "tenant_id")
            .collect();
        let why = format!("another row has its {} now", names.join(" and "));
        let taken = repo::taken(tx, &copy.name, table, unique).await?;
        out.extend(taken.into_iter().map(|left| (left, why.clone())));
    }
    for parent in &table.parents {
        let Some(above) = tables.iter().find(|one| one.name == parent.table) else {
            continue;
        };
        let why = format!("the row of {} that it belongs to is missing", parent.table);
        let orphans = repo::orphans(tx, &copy.name, table, parent, above).await?;
        out.extend(orphans.into_iter().map(|left| (left, why.clone())));
    }
    Ok(out)
}

async fn apply(
    tx: &mut WriteTx,
    copy: &Copied,
    table: &Table,
    is_lost: bool,
) -> Result<(u64, u64), Error> {
    let picked = repo::picked(tx, table).await?;
    let added = if picked.0 > 0 {
        repo::insert(tx, &copy.name, table).await?
    } else {
        0
    };
    let changed = if picked.1 > 0 {
        repo::replace(tx, &copy.name, table, &rule(&table.name, is_lost)).await?
    } else {
        0
    };
    // INVARIANT: what is reported is what was done.
    if (added, changed) != picked {
        return Err(Error::NotProven(format!(
            "of {} rows of {} that were chosen, {} were taken",
            picked.0 + picked.1,
            table.name,
            added + changed
        )));
    }
    Ok((added, changed))
}

/// A ledger that came back is what was proven when the copy was taken.
async fn proven(tx: &mut WriteTx, copy: &Copied) -> Result<u64, Error> {
    let mut tree = Frontier::default();
    loop {
        let after = i64::try_from(tree.size()).unwrap_or(i64::MAX) - 1;
        let entries = sequence::entries(tx, Some(after), AT_ONCE).await?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            tree.push(leaf_hash(entry.body.as_bytes()));
        }
    }
    let root = hex::encode(tree.root().0);
    let head = sequence::head(tx).await?;
    let is_head =
        head.is_none_or(|head| head.size == tree.size() && hex::encode(head.root.0) == root);
    if !is_head || tree.size() != copy.ledger_size || root != copy.ledger_root {
        return Err(Error::NotProven(format!(
            "the ledger in {} is not the one that was proven when it was taken: drop it and extract again",
            copy.name
        )));
    }
    Ok(tree.size())
}

/// What the tenant's ledger says of it.
pub(super) fn act(copy: &Copied, operation: OperationId, report: &Report) -> Act {
    Act::new("tenant.restore", Class::EntityManagement, UPDATE, "admin")
        .severity(Severity::Medium)
        .on(Subject::new("tenant", copy.id).named(copy.tenant.clone()))
        .with("unmapped.restore.operation", operation.to_string())
        .with("unmapped.restore.backup", copy.backup.as_str())
        .with("unmapped.restore.point", copy.point.as_str())
        .with("unmapped.restore.tables", json!(report.tables))
        .with("unmapped.restore.revived", report.revived.clone())
        .with(
            "unmapped.restore.ledger_entries",
            json!(report.ledger_entries),
        )
}

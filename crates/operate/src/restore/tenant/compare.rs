//! What differs between a copy and what is live: by primary key, with the columns, secrets only as differing.

use std::collections::BTreeMap;

use hub_store::WriteTx;
use serde::Serialize;
use serde_json::Value;

use super::repo::rules::May;
use super::{Copied, repo, rule};
use crate::error::Error;

/// Which side has a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Only the backup.
    Backup,
    /// Only what is live.
    Live,
    /// Both, and they are not the same.
    Differs,
}

impl Side {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backup => "only in the backup",
            Self::Live => "only live",
            Self::Differs => "differs",
        }
    }
}

/// A row that is not the same on both sides.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub side: Side,
    /// Its primary key, without the tenant; hashes of secrets are hashed once more.
    pub key: String,
    /// By what a person knows it.
    pub label: Option<String>,
    /// Each column that differs: the backup's value and the live one, or only that it differs.
    pub changed: BTreeMap<String, Value>,
    /// Why it is only taken by a decision of its own.
    pub own: Option<String>,
}

/// One table.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    pub name: String,
    pub only_backup: i64,
    pub differ: i64,
    pub only_live: i64,
    /// Whether nothing of it can be taken.
    pub only_compared: bool,
    /// Whether only rows that are missing can be.
    pub only_added: bool,
    /// Why not more can be done with it.
    pub why: &'static str,
    /// At most as many of each side as were asked for.
    pub rows: Vec<Row>,
}

impl Compared {
    pub const fn is_different(&self) -> bool {
        self.only_backup + self.differ + self.only_live > 0
    }
}

/// A copy beside what is live.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    pub copy: Copied,
    /// Whether the tenant itself is gone.
    pub tenant_is_lost: bool,
    pub tables: Vec<Compared>,
}

/// Of every table of tenants; `tx` is not to be committed.
pub(super) async fn all(tx: &mut WriteTx, copy: &Copied, limit: i64) -> Result<Comparison, Error> {
    let is_lost = super::is_lost(tx).await?;
    repo::prepare(tx, &copy.name).await?;
    let mut tables = Vec::new();
    for table in repo::tables(tx).await? {
        let rule = rule(&table.name, is_lost);
        let pairs = repo::compare(tx, &copy.name, &table, &rule, limit).await?;
        let total = |side: &str| {
            let mut of = pairs.iter().filter(|pair| pair.side == side);
            of.next().map_or(0, |pair| pair.total)
        };
        let (only_backup, differ, only_live) = (total("backup"), total("differs"), total("live"));
        tables.push(Compared {
            name: table.name,
            only_backup,
            differ,
            only_live,
            only_compared: rule.may == May::Compare,
            only_added: rule.may == May::Add,
            why: rule.why,
            rows: pairs.into_iter().map(row).collect(),
        });
    }
    Ok(Comparison {
        copy: copy.clone(),
        tenant_is_lost: is_lost,
        tables,
    })
}

fn row(pair: repo::Pair) -> Row {
    let changed = match pair.changed {
        Some(Value::Object(changed)) => changed.into_iter().collect(),
        _ => BTreeMap::new(),
    };
    Row {
        side: match &*pair.side {
            "backup" => Side::Backup,
            "live" => Side::Live,
            _ => Side::Differs,
        },
        key: pair.key,
        label: pair.label,
        changed,
        own: pair.own,
    }
}

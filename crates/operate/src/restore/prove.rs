//! The proof of a restore: what it holds is what was there, and a hub works on it.

use std::time::Duration;

use hub_base::{SystemClock, Timestamp};
use hub_ledger::Checkpoint;
use hub_store::survey::{Overseer, Table, Tree};
use hub_vault::{Checkpoints, KeyRing};
use serde::Serialize;
use serde_json::json;

use super::{Plan, Restore};
use crate::error::Error;
use crate::operation::Operation;
use crate::serving::{Serving, UP, client};
use crate::smoke;

/// What was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Proof {
    /// Each ledger whose root was computed anew from its entries.
    pub ledgers: Vec<Ledger>,
    /// Every table, counted and summed.
    pub tables: Vec<Table>,
    /// When the newest entry of any ledger got its place: what came later is lost.
    pub newest: Option<Timestamp>,
}

/// One ledger.
#[derive(Debug, Clone, Serialize)]
pub struct Ledger {
    pub tenant: String,
    pub size: u64,
    pub root: String,
    /// Its size when the backup began: up to there its root is the one that was written down outside the database then.
    pub proven_to: u64,
}

impl Restore<'_> {
    pub(super) async fn prove(
        &self,
        plan: &Plan,
        operation: &mut Operation<'_>,
    ) -> Result<Proof, Error> {
        let overseer = self.cluster.overseer()?;
        operation.at("ledgers", "every root computed anew from its entries");
        let heads = overseer.trees().await?;
        let keys = self.keys_open(&heads)?;
        let mut proof = Proof::default();
        for head in &heads {
            is_signed(head, keys.as_ref())?;
            let written = plan
                .manifest
                .trees
                .iter()
                .find(|tree| tree.tenant == head.tenant);
            let written = written.map(|tree| told(tree, keys.as_ref())).transpose()?;
            let (ledger, newest) = ledger(&overseer, head, written).await?;
            proof.newest = proof.newest.max(newest);
            proof.ledgers.push(ledger);
        }
        let lost = plan.manifest.trees.iter();
        let lost = lost.filter(|tree| heads.iter().all(|head| head.tenant != tree.tenant));
        if let Some(tree) = lost.into_iter().next() {
            return Err(Error::NotProven(format!(
                "the ledger of `{}` is not there, and had {} entries",
                tree.slug, tree.size
            )));
        }
        let entries: u64 = proof.ledgers.iter().map(|ledger| ledger.size).sum();
        let count = proof.ledgers.len();
        let said = match keys {
            Some(_) => format!(
                "{count} ledgers, {entries} entries: roots, signatures and the checkpoints of then agree"
            ),
            None => format!(
                "{count} ledgers, {entries} entries: roots and the checkpoints of then agree; no key ring is here to check \
                 signatures with"
            ),
        };
        operation.did("ledgers", said, json!(proof.ledgers));
        operation.at("tables", "counted and summed");
        proof.tables = overseer.tables().await?;
        let rows: i64 = proof.tables.iter().map(|table| table.rows).sum();
        let said = format!("{} tables, {rows} rows, all readable", proof.tables.len());
        operation.did("tables", said, json!(proof.tables));
        Ok(proof)
    }

    /// The restored ring made the restored signatures, with the key of today or one of before; a ring of another hub did not.
    pub(super) fn keys_open(&self, heads: &[Tree]) -> Result<Option<Checkpoints>, Error> {
        let path = self.request.into.join("keys.json");
        if !path.exists() {
            return Ok(None);
        }
        let ours = Checkpoints::new(&KeyRing::load(&path)?)?;
        let strange = Checkpoints::new(&KeyRing::generate(&SystemClock)?)?;
        for head in heads {
            if !opens(&head.checkpoint, &ours) {
                return Err(Error::NotProven(format!(
                    "the restored keys did not sign the ledger of `{}`; if the key was rotated after this backup, its bundle does \
                     not hold the new one: restore a backup of after the rotation, or to a time before it",
                    head.slug
                )));
            }
            if opens(&head.checkpoint, &strange) {
                return Err(Error::NotProven("any key opens it".to_owned()));
            }
        }
        Ok(Some(ours))
    }

    /// A hub is started on the data directory, asked, and stopped.
    pub(super) async fn hub_answers(&self, operation: &mut Operation<'_>) -> Result<(), Error> {
        operation.at("hub", "started on it");
        let stopping = self.cluster.server.clone();
        if let Some(server) = stopping {
            let stopped = tokio::task::spawn_blocking(move || server.stop()).await;
            stopped.unwrap_or(Ok(())).map_err(hub_store::Error::from)?;
        }
        let log = self.request.into.join("restore.log");
        let mut serving = Serving::start(&self.request.server, &self.request.into, &log, &[])?;
        let asked = tokio::time::timeout(UP, ask(&mut serving)).await;
        let asked = asked.unwrap_or_else(|_| Err(format!("it was not up within {UP:?}")));
        serving.stop().await;
        asked.map_err(|why| {
            Error::NotProven(format!(
                "a hub started on it: {why}; its log is {}",
                log.display()
            ))
        })?;
        operation.did("hub", "it starts and answers", serde_json::Value::Null);
        Ok(())
    }
}

fn opens(checkpoint: &str, keys: &Checkpoints) -> bool {
    let key = keys.key_of(checkpoint);
    key.is_some_and(|key| Checkpoint::open(checkpoint, &key).is_ok())
}

/// What the head says of its tree is what was signed, and nothing else was: whoever rewrites the entries can compute a root,
/// and leave a signature that is good for another.
fn is_signed(head: &Tree, keys: Option<&Checkpoints>) -> Result<(), Error> {
    let Some(keys) = keys else {
        return Ok(());
    };
    let key = keys.key_of(&head.checkpoint);
    let signed = key.and_then(|key| Checkpoint::open(&head.checkpoint, &key).ok());
    let is_it = signed.is_some_and(|signed| {
        signed.origin == hub_store::sequence::origin(head.tenant)
            && signed.size == head.size
            && hex::encode(signed.root.0) == head.root
    });
    if is_it {
        return Ok(());
    }
    Err(Error::NotProven(format!(
        "the ledger of `{}`: its signed checkpoint is of another size or root than it has",
        head.slug
    )))
}

/// Size and root that were written down when the backup began. By the signature, where there is a key to check it: what
/// lies beside a backup could have been changed with it.
fn told(tree: &Tree, keys: Option<&Checkpoints>) -> Result<(u64, String), Error> {
    let Some(keys) = keys else {
        return Ok((tree.size, tree.root.clone()));
    };
    let key = keys.key_of(&tree.checkpoint);
    let checkpoint = key.and_then(|key| Checkpoint::open(&tree.checkpoint, &key).ok());
    let checkpoint = checkpoint.ok_or_else(|| {
        Error::NotProven(format!(
            "the checkpoint of `{}` beside the backup is not of the restored keys",
            tree.slug
        ))
    })?;
    Ok((checkpoint.size, hex::encode(checkpoint.root.0)))
}

/// Computes a ledger anew and holds it against its head and against what was written down outside.
async fn ledger(
    overseer: &Overseer,
    head: &Tree,
    written: Option<(u64, String)>,
) -> Result<(Ledger, Option<Timestamp>), Error> {
    let proven_to = written.as_ref().map_or(0, |(size, _)| *size);
    let replayed = overseer
        .replay(head.tenant, &[proven_to, head.size])
        .await?;
    let wrong = |what: String| {
        Err(Error::NotProven(format!(
            "the ledger of `{}`: {what}",
            head.slug
        )))
    };
    if let Some(index) = replayed.altered {
        return wrong(format!("entry {index} is not what its leaf says"));
    }
    if replayed.size != head.size {
        return wrong(format!(
            "it has {} entries and says that it has {}",
            replayed.size, head.size
        ));
    }
    let root = |size| replayed.roots.get(&size).map(|root| hex::encode(root.0));
    if root(head.size).as_deref() != Some(&head.root) {
        return wrong("its root is not that of its entries".to_owned());
    }
    if let Some((size, then)) = written
        && root(size).as_deref() != Some(&then)
    {
        return wrong(format!(
            "at {size} entries its root is not the one that was written down when the backup began"
        ));
    }
    Ok((
        Ledger {
            tenant: head.slug.clone(),
            size: head.size,
            root: head.root.clone(),
            proven_to,
        },
        replayed.newest,
    ))
}

async fn ask(serving: &mut Serving) -> Result<(), String> {
    let url = serving.listens().await?;
    let http = client(Duration::from_secs(20))?;
    let (status, text) = smoke::get(&http, &url, "/health/ready").await?;
    if status != 200 {
        return Err(format!("/health/ready answered {status}: {text}"));
    }
    smoke::ask_all(&http, &url).await
}

#[cfg(test)]
mod tests {
    use hub_base::TenantId;
    use hub_ledger::Hash;

    use super::*;

    #[test]
    fn a_signature_of_another_tree_is_none() {
        let keys = Checkpoints::new(&KeyRing::generate(&SystemClock).unwrap()).unwrap();
        let head = |origin: TenantId, size: u64, root: Hash| {
            let checkpoint = Checkpoint {
                origin: hub_store::sequence::origin(origin),
                size,
                root,
            };
            Tree {
                tenant: TenantId::SYSTEM,
                slug: "system".to_owned(),
                size: 7,
                root: hex::encode([1; 32]),
                checkpoint: checkpoint.sign(&keys).unwrap(),
            }
        };
        let other = TenantId::new(&SystemClock);
        for (head, good) in [
            (head(TenantId::SYSTEM, 7, Hash([1; 32])), true),
            (head(TenantId::SYSTEM, 6, Hash([1; 32])), false),
            (head(TenantId::SYSTEM, 7, Hash([2; 32])), false),
            (head(other, 7, Hash([1; 32])), false),
        ] {
            assert_eq!(
                is_signed(&head, Some(&keys)).is_ok(),
                good,
                "{}",
                head.checkpoint
            );
            assert!(is_signed(&head, None).is_ok());
        }
    }
}

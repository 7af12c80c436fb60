//! The damage, done for real to the drill's own installation.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use hub_base::Timestamp;
use hub_store::cluster::account::Account;
use hub_vault::Secret32;
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use serde_json::{Value, json};

use super::Scene;
use super::installation::REGIONS;
use super::ledgers::Export;
use super::processes;
use super::scenario::{Injection, Part};
use super::write_once::{Keeper, WriteOnce};
use crate::error::{Error, fault};

/// A block of PostgreSQL, and how much of its beginning is left as it was: with another header it could pass for an empty
/// one, or for one that the log will mend.
const BLOCK: u64 = 8192;
const HEADER: u64 = 64;
/// How much of a file is encrypted: its beginning is enough to spoil it, and quick, as those know who ask for money.
const SPOILT: u64 = 64 << 10;

/// What was done, in words and figures.
pub(super) struct Done {
    pub(super) said: String,
    pub(super) figures: Value,
}

fn done(said: impl Into<String>, figures: Value) -> Done {
    Done {
        said: said.into(),
        figures,
    }
}

pub(super) async fn inject(scene: &mut Scene, injection: &Injection) -> Result<Done, Error> {
    match injection {
        Injection::LoseDatabase {} => lose_database(scene).await,
        Injection::OverwriteBlocks { table, blocks } => overwrite(scene, table, *blocks).await,
        Injection::DropTable { table } => {
            scene.installation.victim().await?.drop_table(table).await?;
            Ok(done(format!("the table {table} was dropped"), Value::Null))
        }
        Injection::Encrypt { what } => encrypt(scene, what).await,
        Injection::LoseRegion {} => lose_region(scene).await,
        Injection::MigrateBadly { table, column } => {
            let victim = scene.installation.victim().await?;
            victim.migrate_badly(table, column).await?;
            let said = format!("a migration took {table}.{column} away");
            Ok(done(said, Value::Null))
        }
        Injection::LoseKeys {} => lose_keys(scene).await,
        Injection::KillRedis {} => {
            scene.redis_mut()?.kill().await;
            Ok(done("Redis was killed", Value::Null))
        }
        Injection::AlterEntry { entry } => alter(scene, *entry).await,
    }
}

async fn lose_database(scene: &mut Scene) -> Result<Done, Error> {
    let cluster = scene.installation.site()?.cluster.data;
    let ended = processes::kill_all(&cluster).await;
    // At once, for the hub brings a dead database back: what it began meanwhile is ended too, and nothing begins any more.
    let gone = cluster.with_extension("gone");
    fs::rename(&cluster, &gone).map_err(fault(&cluster, "removed"))?;
    processes::kill_all(&gone).await;
    fs::remove_dir_all(&gone).map_err(fault(&gone, "removed"))?;
    let said = format!("{ended} processes of the database were killed and its directory removed");
    Ok(done(said, json!({"processes": ended})))
}

async fn overwrite(scene: &mut Scene, table: &str, blocks: u32) -> Result<Done, Error> {
    let file = scene.installation.victim().await?.file_of(table).await?;
    let mut open = OpenOptions::new();
    let mut writing = open
        .read(true)
        .write(true)
        .open(&file)
        .map_err(fault(&file, "opened"))?;
    let size = writing.metadata().map_err(fault(&file, "read"))?.len();
    let blocks = u64::from(blocks).min(size / BLOCK);
    if blocks == 0 {
        return Err(Error::Drill(format!("the table {table} is empty")));
    }
    let noise = noise(usize::try_from(BLOCK - HEADER).unwrap_or_default())?;
    for block in 0..blocks {
        writing
            .seek(SeekFrom::Start(block * BLOCK + HEADER))
            .and_then(|_| writing.write_all(&noise))
            .map_err(fault(&file, "overwritten"))?;
    }
    writing.sync_all().map_err(fault(&file, "overwritten"))?;
    let said = format!("{blocks} blocks of {table} were overwritten past the server");
    Ok(done(said, json!({"file": file, "blocks": blocks})))
}

fn noise(length: usize) -> Result<Vec<u8>, Error> {
    let mut noise = Vec::with_capacity(length + 32);
    while noise.len() < length {
        noise.extend_from_slice(Secret32::random()?.expose());
    }
    noise.truncate(length);
    Ok(noise)
}

async fn encrypt(scene: &mut Scene, what: &[Part]) -> Result<Done, Error> {
    let installation = &scene.installation;
    let mut attacked = Attack::default();
    let mut said = Vec::new();
    for part in what {
        let (name, folder) = match part {
            Part::DataDirectory => ("the data directory", installation.data_dir.clone()),
            Part::FirstRepository => ("the first repository", installation.repository(REGIONS.0)),
            Part::SecondRepository => ("the second repository", installation.repository(REGIONS.1)),
        };
        let write_once = scene.write_once.as_ref();
        let intruder = write_once.and_then(WriteOnce::intruder);
        let keeper = write_once.filter(|_| *part == Part::SecondRepository);
        let keeper = keeper.map(WriteOnce::keeper);
        let attack = move || attack(&folder, intruder.as_ref(), keeper.as_deref());
        let found = tokio::task::spawn_blocking(attack)
            .await
            .map_err(|error| Error::Drill(error.to_string()))??;
        said.push(format!(
            "{name}: {} files encrypted, {} refused",
            found.encrypted, found.refused
        ));
        if *part == Part::SecondRepository {
            attacked.refused += found.refused;
            attacked.encrypted += found.encrypted;
        }
    }
    scene.attacked = Some(attacked);
    Ok(done(said.join("; "), json!(said)))
}

/// What an intruder could do to a folder.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Attack {
    pub(super) encrypted: usize,
    pub(super) refused: usize,
}

/// Tries to write over and to remove each file of a folder, as another user if one is given.
fn attack(
    folder: &Path,
    intruder: Option<&Account>,
    keeper: Option<&Keeper>,
) -> Result<Attack, Error> {
    let mut files = Vec::new();
    files_under(folder, &mut files)?;
    if let Some(keeper) = keeper {
        keeper.objects(&mut files)?;
    }
    let key = noise(4096)?;
    // Of this thread alone, and for files alone.
    let us = (Uid::effective(), Gid::effective());
    if let Some(intruder) = intruder {
        setfsgid(Gid::from_raw(intruder.gid));
        setfsuid(Uid::from_raw(intruder.uid));
    }
    let mut found = Attack::default();
    for file in files {
        match destroyed(&file, &key) {
            Ok(()) => found.encrypted += 1,
            // The database removes files of its own accord.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(_) => found.refused += 1,
        }
    }
    if intruder.is_some() {
        setfsuid(us.0);
        setfsgid(us.1);
    }
    Ok(found)
}

/// Overwritten, or removed where it cannot be.
fn destroyed(file: &Path, key: &[u8]) -> std::io::Result<()> {
    match encrypted(file, key) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            fs::remove_file(file).map_err(|_| error)
        }
        done => done,
    }
}

/// In its place, and then under another name.
fn encrypted(file: &Path, key: &[u8]) -> std::io::Result<()> {
    let mut writing = OpenOptions::new().read(true).write(true).open(file)?;
    let mut bytes = Vec::new();
    std::io::Read::by_ref(&mut writing)
        .take(SPOILT)
        .read_to_end(&mut bytes)?;
    let keys = key.iter().cycle();
    let hidden: Vec<u8> = bytes
        .iter()
        .zip(keys)
        .map(|(byte, key)| byte ^ key)
        .collect();
    writing.rewind()?;
    writing.write_all(&hidden)?;
    let mut name = file.as_os_str().to_owned();
    name.push(".locked");
    fs::rename(file, name)
}

pub(super) fn files_under(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(fault(folder, "read"))?,
    };
    for entry in entries {
        let entry = entry.map_err(fault(folder, "read"))?;
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_under(&entry.path(), found)?,
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    Ok(())
}

async fn lose_region(scene: &mut Scene) -> Result<Done, Error> {
    let region = scene.installation.first_region();
    scene.installation.kill_hub().await;
    let ended = processes::kill_all(&region).await;
    fs::remove_dir_all(&region).map_err(fault(&region, "removed"))?;
    let said = format!(
        "the hub and {ended} processes of its database were killed; database, keys and repository removed"
    );
    Ok(done(said, json!({"processes": ended})))
}

async fn lose_keys(scene: &mut Scene) -> Result<Done, Error> {
    let ring = scene.installation.data_dir.join("keys.json");
    fs::remove_file(&ring).map_err(fault(&ring, "removed"))?;
    scene.installation.stop_hub().await;
    let said = match scene.installation.start_hub().await {
        Ok(()) => "the key ring was removed; the hub started again without it".to_owned(),
        Err(error) => format!("the key ring was removed; {}", hub_base::chain(&error)),
    };
    Ok(done(said, Value::Null))
}

async fn alter(scene: &mut Scene, entry: u32) -> Result<Done, Error> {
    let tenant = scene.installation.tenants.first();
    let tenant = tenant.ok_or_else(|| Error::Lost("the first tenant".to_owned()))?;
    let export = Export::of(&scene.installation.door, tenant).await;
    let body = export.map_err(Error::Drill)?.body(u64::from(entry));
    let body = body.ok_or_else(|| Error::Drill(format!("there is no entry {entry} yet")))?;
    let slug = tenant.slug;
    let victim = scene.installation.victim().await?;
    if !victim.alter_entry(slug, i64::from(entry)).await? {
        return Err(Error::Drill(format!("entry {entry} was not found")));
    }
    scene.altered = Some((u64::from(entry), body));
    let said = format!("entry {entry} of {slug} was rewritten by a superuser, past every trigger");
    Ok(done(said, json!({"tenant": slug, "entry": entry})))
}

/// When the damage is done, and what was known just before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    pub(super) at: Timestamp,
    pub(super) last_proven: Option<Timestamp>,
}

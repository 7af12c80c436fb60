//! Getting it back: which backup, the files, the keys.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hub_base::{Clock, HumanDuration, Timestamp};
use hub_store::PrivateCluster;
use hub_store::cluster::{Server, account};
use secrecy::SecretString;
use serde_json::json;
use tokio::time::Instant;

use super::{Plan, Point, Request, Restore, Source, wal};
use crate::backup::pgbackrest::{PgBackRest, STANZA, Setting, secret_file};
use crate::backup::{
    ARCHIVE, Backup, Cluster, Config, RECOVERY, RING, Repository, Take, Unlocked, beside, unpack,
};
use crate::error::{Error, fault};
use crate::operation::Operation;

/// Seconds for the starts, proofs and questions whatever the size (7 to 12 measured, with a server that is not optimised).
const PROOFS: u64 = 10;
/// What a restore writes when nothing was measured before: bytes per second.
const GUESS: u64 = 50 << 20;

impl<'a> Restore<'a> {
    pub(crate) async fn open(request: &'a Request) -> Result<Self, Error> {
        fs::create_dir_all(&request.into).map_err(fault(&request.into, "made"))?;
        let cluster = Cluster::private(&request.into)?;
        let folder = if request.in_place {
            "backup/restore"
        } else {
            "backup"
        };
        if request.in_place {
            PrivateCluster::folder(&request.into, "backup").map_err(hub_store::Error::from)?;
        }
        let dir = PrivateCluster::folder(&request.into, folder).map_err(hub_store::Error::from)?;
        let repositories = match &request.source {
            Source::Site(site) => site.unlocked()?,
            Source::Repository(repository) => unlocked(repository, &dir, &cluster, request).await?,
        };
        let patience = match &request.source {
            Source::Site(site) => site.config.patience,
            Source::Repository(_) => Config::default().patience,
        };
        let tool = PgBackRest::configure(&Setting {
            repositories: &repositories,
            cluster: &cluster,
            processes: request.processes,
            patience: patience.0,
            suffix: "",
            dir: &dir,
        })?;
        Ok(Self {
            request,
            tool,
            cluster,
        })
    }

    pub(super) fn server(&self) -> Result<&Server, Error> {
        let none = || Error::Backup("only a private cluster is restored by itself".to_owned());
        self.cluster.server.as_ref().ok_or_else(none)
    }

    pub(crate) async fn plan(&self, clock: &dyn Clock) -> Result<Plan, Error> {
        let there = self.cluster.data.join("PG_VERSION").exists();
        if there && !self.request.in_place {
            return Err(Error::Backup(format!(
                "there is a database in {} already: restore beside it, into another folder",
                self.request.into.display()
            )));
        }
        let info = self.tool.info().await?;
        if let (true, Some(away)) = (info.backups.is_empty(), info.away()) {
            return Err(Error::Backup(away));
        }
        let (backup, manifest, sealed) = self.choose(&info.backups).await?;
        installed(&backup, &self.cluster.data)?;
        let size = backup.size;
        let free = free(&self.cluster.data)?;
        if free < size + size / 10 {
            return Err(Error::Backup(format!(
                "{} MiB are needed and {} MiB are free at {}",
                (size + size / 10) >> 20,
                free >> 20,
                self.request.into.display()
            )));
        }
        let archive = self.archived(backup.repository).await?;
        let gaps = wal::gaps(archive.iter().map(String::as_str), &backup.wal_start);
        let pace = self.pace().unwrap_or(GUESS).max(1);
        let aside = (there && self.request.in_place).then(|| {
            let stamp = clock.now().to_string().replace([':', '.'], "-");
            self.cluster
                .data
                .with_file_name(format!("data.before-{stamp}"))
        });
        Ok(Plan {
            point: self.request.point.to_string(),
            into: self.request.into.clone(),
            size,
            expected: HumanDuration(Duration::from_secs(PROOFS + size / pace)),
            newest_wal: info.newest_wal,
            gaps,
            aside,
            backup,
            manifest,
            sealed,
        })
    }

    /// The newest good backup that ended before the point, with what lies beside it.
    pub(super) async fn choose(
        &self,
        backups: &[Backup],
    ) -> Result<(Backup, crate::backup::Manifest, Vec<u8>), Error> {
        let until = match self.request.point {
            Point::Time(at) => Some(at),
            Point::Latest | Point::Entry { .. } => None,
        };
        let fits =
            |backup: &&Backup| !backup.error && until.is_none_or(|until| backup.stop <= until);
        let mut last = None;
        for backup in backups.iter().rev().filter(fits) {
            match beside(&self.tool, backup.repository, &backup.label).await {
                Ok((manifest, _)) if !precedes(&manifest, &self.request.point) => {
                    last = Some(Error::Backup(format!(
                        "no backup reaches back to {}: it is in {} already",
                        self.request.point, manifest.backup
                    )));
                }
                Ok((manifest, sealed)) => return Ok((backup.clone(), manifest, sealed)),
                // Interrupted before its bundle was there: an older one will do.
                Err(error) => last = Some(error),
            }
        }
        let first = backups.iter().find(|backup| !backup.error);
        Err(last.unwrap_or_else(|| {
            Error::Backup(match first {
                Some(first) => format!(
                    "no backup reaches back to {}: the oldest one ended at {}",
                    self.request.point, first.stop
                ),
                None => "there is no backup in the repository".to_owned(),
            })
        }))
    }

    /// The names of the WAL segments in a repository.
    async fn archived(&self, repository: u8) -> Result<Vec<String>, Error> {
        let repository = format!("--repo={repository}");
        let path = format!("archive/{STANZA}");
        let arguments = [&*repository, "--recurse", "--filter=[0-9A-F]{24}.*", &path];
        let text = self.tool.ask("repo-ls", &arguments).await?;
        let names = text.lines().filter_map(|line| line.rsplit('/').next());
        Ok(names.map(str::to_owned).collect())
    }

    /// Bytes per second of the last restore here.
    fn pace(&self) -> Option<u64> {
        let records = self.log().ok()?.all().ok()?;
        let copies = records.iter().rev().flat_map(|record| &record.steps);
        let mut paces = copies
            .filter(|step| step.step == "restore")
            .filter_map(|step| step.figures.get("bytes_per_second")?.as_u64());
        paces.next()
    }

    /// Nobody may use the data directory meanwhile.
    pub(super) fn hold(&self, plan: &Plan) -> Result<File, Error> {
        let (server, lock) =
            PrivateCluster::claim(&self.request.into).map_err(hub_store::Error::from)?;
        if plan.aside.is_some() && server.is_running() {
            return Err(Error::Backup(format!(
                "its database runs: stop it first (`pg_ctl stop -D {}`)",
                server.data.display()
            )));
        }
        Ok(lock)
    }

    /// What stands there is renamed, not overwritten: that is the way back.
    pub(super) fn put_aside(&self, plan: &Plan) -> Result<Option<PathBuf>, Error> {
        let Some(aside) = &plan.aside else {
            return Ok(None);
        };
        fs::rename(&self.cluster.data, aside).map_err(fault(&self.cluster.data, "put aside"))?;
        Ok(Some(aside.clone()))
    }

    /// Back to what was there before; without that, the half-made database is removed, for it proves nothing.
    pub(super) fn undo(&self, aside: Option<&Path>) -> Result<(), Error> {
        let data = &self.cluster.data;
        self.server()?.stop().map_err(hub_store::Error::from)?;
        // Kept for whoever wants to know why.
        let failed = data.with_file_name("data.failed");
        if failed.exists() {
            fs::remove_dir_all(&failed).map_err(fault(&failed, "removed"))?;
        }
        if data.exists() {
            fs::rename(data, &failed).map_err(fault(data, "put aside"))?;
        }
        if let Some(aside) = aside {
            fs::rename(aside, data).map_err(fault(aside, "put back"))?;
        }
        Ok(())
    }

    pub(super) async fn copy(
        &self,
        plan: &Plan,
        operation: &mut Operation<'_>,
    ) -> Result<(), Error> {
        operation.at("restore", &plan.backup.label);
        account::directory(self.cluster.account.as_ref(), &self.cluster.data)
            .map_err(hub_store::Error::from)?;
        let goal = match &self.request.point {
            Point::Latest => None,
            Point::Time(at) => Some(("time", postgres(*at))),
            Point::Entry { tenant, index } => Some((
                "xid",
                self.transaction(tenant, *index, plan, operation).await?,
            )),
        };
        let began = Instant::now();
        self.fetch(
            &plan.backup,
            goal.as_ref().map(|(kind, goal)| (*kind, &**goal)),
            operation,
        )
        .await?;
        let seconds = began.elapsed().as_secs_f64().max(0.001);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bytes per second"
        )]
        let pace = (plan.size as f64 / seconds) as u64;
        operation.did(
            "restore",
            format!("{} MiB at {} MiB/s", plan.size >> 20, pace >> 20),
            json!({"bytes": plan.size, "bytes_per_second": pace}),
        );
        Ok(())
    }

    async fn fetch(
        &self,
        backup: &Backup,
        goal: Option<(&str, &str)>,
        operation: &Operation<'_>,
    ) -> Result<(), Error> {
        let mut arguments = vec![
            format!("--repo={}", backup.repository),
            format!("--set={}", backup.label),
        ];
        if let Some((kind, goal)) = goal {
            arguments.push(format!("--type={kind}"));
            arguments.push(format!("--target={goal}"));
            arguments.push("--target-action=promote".to_owned());
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.tool
            .work("restore", &arguments, operation.witness())
            .await?;
        self.archive_later()
    }

    /// What is restored must not write into the archive that it came from. In place it is what people go on with: its WAL is
    /// kept until the next backup has it archived again, since what is thrown away could never be gone back to.
    fn archive_later(&self) -> Result<(), Error> {
        let archive = self.cluster.data.join(ARCHIVE);
        if self.request.in_place {
            let text = "# Written by hubctl restore: WAL waits here for the next `hubctl backup run`.\n\
                        archive_command = '/bin/false'\n";
            return secret_file(&archive, text, self.cluster.account.as_ref());
        }
        match fs::remove_file(&archive) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(fault(&archive, "removed")(error))
            }
            _ => Ok(()),
        }
    }

    /// Which transaction gave an entry its place: known only to a database that has the entry, so one is recovered to
    /// the end first, asked, and thrown away.
    async fn transaction(
        &self,
        tenant: &str,
        index: i64,
        plan: &Plan,
        operation: &mut Operation<'_>,
    ) -> Result<String, Error> {
        self.fetch(&plan.backup, None, operation).await?;
        self.replayed(&Point::Latest).await?;
        let found = self.cluster.overseer()?.transaction_of(tenant, index).await;
        self.server()?.stop().map_err(hub_store::Error::from)?;
        fs::remove_dir_all(&self.cluster.data).map_err(fault(&self.cluster.data, "removed"))?;
        account::directory(self.cluster.account.as_ref(), &self.cluster.data)
            .map_err(hub_store::Error::from)?;
        let found = found?.ok_or_else(|| {
            Error::Backup(format!(
                "the ledger of `{tenant}` has no entry {index} in anything that was archived"
            ))
        })?;
        operation.did(
            "search",
            format!("transaction {found} gave entry {index} of {tenant} its place"),
            json!({"transaction": found}),
        );
        Ok(found)
    }

    /// The key ring and everything else that is no database.
    pub(super) fn keys(&self, plan: &Plan, operation: &mut Operation<'_>) -> Result<(), Error> {
        operation.at("keys", "the sealed bundle");
        let into = &self.request.into;
        let said = match (&self.request.key, &self.request.source) {
            _ if self.request.in_place => "they are in their place".to_owned(),
            (Some(key), _) => {
                let names = unpack(&plan.manifest, &plan.sealed, key, into, Take::Everything)?;
                format!("{} files from the sealed bundle", names.len())
            }
            (None, Source::Site(site)) => {
                let (from, to) = (site.data_dir.join(RING), into.join(RING));
                if from.exists() {
                    fs::copy(&from, &to).map_err(fault(&to, "copied"))?;
                    "the key ring of the installation here; no recovery key was given".to_owned()
                } else {
                    "the installation has its key ring from outside".to_owned()
                }
            }
            (None, Source::Repository(_)) => {
                return Err(Error::Backup(
                    "without the recovery key the bundle with the keys stays closed".to_owned(),
                ));
            }
        };
        operation.did("keys", said, serde_json::Value::Null);
        Ok(())
    }
}

/// A repository on its own: the passphrase is sealed in it.
async fn unlocked(
    repository: &Repository,
    dir: &Path,
    cluster: &Cluster,
    request: &Request,
) -> Result<Vec<Unlocked>, Error> {
    let with = |passphrase: SecretString| Unlocked {
        number: 1,
        repository: repository.clone(),
        passphrase,
    };
    // Of a machine that is gone it may be gone too.
    if let Some(path) = repository
        .passphrase_file
        .as_ref()
        .filter(|path| path.exists())
    {
        let text = fs::read_to_string(path).map_err(fault(path, "read"))?;
        return Ok(vec![with(text.trim().to_owned().into())]);
    }
    let tool = PgBackRest::configure(&Setting {
        repositories: &[with("unknown yet".into())],
        cluster,
        processes: 1,
        patience: Config::default().patience.0,
        suffix: "",
        dir,
    })?;
    let sealed = tool.get(1, RECOVERY).await?.ok_or_else(|| {
        Error::Backup(format!(
            "{} is no repository of Security Hub: it has no security-hub/{RECOVERY}",
            repository.place()
        ))
    })?;
    let key = request.key.as_ref().ok_or_else(|| {
        Error::Backup("the repository is locked: give the recovery key".to_owned())
    })?;
    let plain = key.open(&sealed)?;
    let text = String::from_utf8_lossy(secrecy::ExposeSecret::expose_secret(&plain)).into_owned();
    Ok(vec![with(text.into())])
}

/// A server that can read the backup: of the same major version, and of no other.
fn installed(backup: &Backup, data: &Path) -> Result<(), Error> {
    use hub_store::cluster::binaries::Binaries;
    let Ok(major) = backup.postgres.parse() else {
        return Ok(());
    };
    Binaries::find(Some(major), data).map(drop).map_err(|error| {
        Error::Backup(format!(
            "{} is of PostgreSQL {major}, and no other version reads its files: install `postgresql-{major}`, restore, and go \
             over to a newer one afterwards ({error})",
            backup.label
        ))
    })
}

/// Whether a backup began before an entry was there: only from there can it be replayed up to it.
fn precedes(manifest: &crate::backup::Manifest, point: &Point) -> bool {
    let Point::Entry { tenant, index } = point else {
        return true;
    };
    let tree = manifest.trees.iter().find(|tree| tree.slug == *tenant);
    tree.is_none_or(|tree| tree.size <= index.unsigned_abs())
}

/// As PostgreSQL reads it.
fn postgres(at: Timestamp) -> String {
    at.to_string().replace('T', " ").replace('Z', "+00")
}

/// Bytes that are free where `path` will be.
fn free(path: &Path) -> Result<u64, Error> {
    let there = path.ancestors().find(|path| path.exists());
    let there = there.unwrap_or(Path::new("/"));
    let stat = nix::sys::statvfs::statvfs(there)
        .map_err(|errno| fault(there, "looked at")(errno.into()))?;
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

//! pgBackRest, the engine under backups and restores: its configuration written, its commands run.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hub_store::cluster::account::{self, Account};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

use super::info::{Info, Kind};
use super::said::{answered, archiver};
use super::site::{Cluster, Unlocked};
use crate::error::{Error, fault};
use crate::operation::Witness;
use crate::program::run;

/// The stanza: pgBackRest's word for one cluster and its backups.
pub(crate) const STANZA: &str = "hub";
/// For commands that only ask.
const ASK: Duration = Duration::from_mins(2);
/// For a segment to arrive, as a multiple of how long a repository may be silent: others may wait before it for one that is.
const ARRIVAL: u32 = 60;
/// Never expired by itself: what goes is decided by [`super::Keep`].
const FOR_EVER: u32 = 9_999_999;
/// Segments that are pushed at once: those that wait for a repository that is away must not hold up the others.
const PUSHERS: u8 = 8;

/// The program with one configuration.
#[derive(Debug, Clone)]
pub(crate) struct PgBackRest {
    pub(crate) conf: PathBuf,
    pub(crate) account: Option<Account>,
    /// How long a repository may be silent.
    patience: Duration,
}

/// What stands in the configuration.
pub(crate) struct Setting<'a> {
    pub(crate) repositories: &'a [Unlocked],
    pub(crate) cluster: &'a Cluster,
    pub(crate) processes: u8,
    pub(crate) patience: Duration,
    /// What is added to the names of its files where one configuration is not enough.
    pub(crate) suffix: &'a str,
    /// Where it keeps locks and logs.
    pub(crate) dir: &'a Path,
}

impl Setting<'_> {
    /// Holds the passphrases, so it is written for the server's user alone.
    fn text(&self) -> Result<SecretString, Error> {
        let mut text = String::from(
            "# Written by hubctl at each backup and restore; edits are lost.\n[global]\n",
        );
        let mut put = |name: &str, value: &str| {
            let _infallible = writeln!(text, "{name}={value}");
        };
        for unlocked in self.repositories {
            let (number, repository) = (unlocked.number, &unlocked.repository);
            let mut repo = |name: &str, value: &str| put(&format!("repo{number}-{name}"), value);
            match (&repository.path, &repository.s3) {
                (Some(path), _) => repo("path", &path.display().to_string()),
                (None, Some(s3)) => {
                    repo("type", "s3");
                    repo("path", &s3.path);
                    repo("s3-bucket", &s3.bucket);
                    repo("s3-endpoint", &s3.endpoint);
                    repo("s3-region", &s3.region);
                    if s3.path_style {
                        repo("s3-uri-style", "path");
                    }
                    if let Some(ca) = &s3.ca_file {
                        repo("storage-ca-file", &ca.display().to_string());
                    }
                    match &s3.key_file {
                        None => repo("s3-key-type", "auto"),
                        Some(path) => {
                            let key = std::fs::read_to_string(path).map_err(fault(path, "read"))?;
                            let mut lines = key.lines().map(str::trim);
                            let mut line = || lines.next().filter(|line| !line.is_empty());
                            let (Some(id), Some(secret)) = (line(), line()) else {
                                return Err(Error::Configuration {
                                    path: path.clone(),
                                    what: "two lines are expected: the key's id and the key"
                                        .to_owned(),
                                });
                            };
                            repo("s3-key", id);
                            repo("s3-key-secret", secret);
                        }
                    }
                }
                (None, None) => {}
            }
            repo("cipher-type", "aes-256-cbc");
            repo("cipher-pass", unlocked.passphrase.expose_secret());
            repo("bundle", "y");
            repo("retention-full", &FOR_EVER.to_string());
        }
        put("compress-type", "zst");
        put("process-max", &self.processes.to_string());
        put("start-fast", "y");
        let arrival = (self.patience * ARRIVAL).as_secs();
        put("archive-timeout", &arrival.to_string());
        put("lock-path", &self.lock().display().to_string());
        put("log-path", &self.dir.join("log").display().to_string());
        put("log-level-file", "detail");
        let _infallible = writeln!(
            text,
            "\n[{STANZA}]\npg1-path={}\npg1-socket-path={}\npg1-port={}\npg1-user={}",
            self.cluster.data.display(),
            self.cluster.socket.display(),
            self.cluster.port,
            self.cluster.user
        );
        // Segments go to each repository that answers, whatever became of the segments before and of the other repository.
        let patience = self.patience.as_secs();
        let _infallible = writeln!(
            text,
            "\n[global:archive-push]\narchive-async=y\nspool-path={}\nprocess-max={PUSHERS}\nio-timeout={patience}\n\n\
             [global:archive-get]\nio-timeout={patience}",
            self.dir.join("spool").display()
        );
        Ok(text.into())
    }

    fn lock(&self) -> PathBuf {
        self.dir.join(format!("lock{}", self.suffix))
    }
}

impl PgBackRest {
    /// Writes the configuration, `dir/pgbackrest.conf`.
    pub(crate) fn configure(setting: &Setting<'_>) -> Result<Self, Error> {
        let account = setting.cluster.account.clone();
        for path in [
            setting.lock(),
            setting.dir.join("log"),
            setting.dir.join("spool"),
        ] {
            account::directory(account.as_ref(), &path).map_err(hub_store::Error::from)?;
        }
        let conf = setting
            .dir
            .join(format!("pgbackrest{}.conf", setting.suffix));
        secret_file(&conf, setting.text()?.expose_secret(), account.as_ref())?;
        Ok(Self {
            conf,
            account,
            patience: setting.patience,
        })
    }

    fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = account::command(self.account.as_ref(), Path::new("pgbackrest"));
        // What is set outside would count more than the file.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PGBACKREST_") {
                command.env_remove(name);
            }
        }
        command
            .arg(format!("--config={}", self.conf.display()))
            .arg(format!("--stanza={STANZA}"))
            .args(arguments.iter().filter(|word| word.starts_with("--")))
            .arg(verb)
            .args(arguments.iter().filter(|word| !word.starts_with("--")));
        command.into()
    }

    /// The same for a command that only takes a moment: a repository that is away is not waited for.
    fn question(&self, verb: &str, arguments: &[&str]) -> Command {
        let patience = format!("--io-timeout={}", self.patience.as_secs());
        self.command(verb, &[arguments, &[&*patience]].concat())
    }

    /// How long such a command may take: pgBackRest tries each repository several times.
    fn limit(&self) -> Duration {
        ASK + 2 * ARRIVAL * self.patience
    }

    /// Runs a command that only takes a moment; what it printed.
    pub(crate) async fn ask(&self, verb: &str, arguments: &[&str]) -> Result<String, Error> {
        let output = run(self.question(verb, arguments), self.limit()).await;
        answered(verb, output.map_err(missing)?).map_err(|error| self.with_archiver(error))
    }

    /// If segments do not arrive, the archiver knows why; pgBackRest refers to its log.
    fn with_archiver(&self, error: Error) -> Error {
        match error {
            Error::Failed {
                program,
                status,
                said,
            } if said.contains("was not archived before") => {
                let log = self
                    .conf
                    .with_file_name("log")
                    .join(format!("{STANZA}-archive-push-async.log"));
                let log = std::fs::read(log).unwrap_or_default();
                let cause = archiver(&String::from_utf8_lossy(&log));
                let said = cause.map_or(said, |cause| {
                    format!("no WAL arrives in the archive: {cause}")
                });
                Error::Failed {
                    program,
                    status,
                    said,
                }
            }
            error => error,
        }
    }

    /// Runs a command that takes long, telling how far it is.
    pub(crate) async fn work(
        &self,
        verb: &str,
        arguments: &[&str],
        witness: &dyn Witness,
    ) -> Result<String, Error> {
        let mut command = self.command(verb, arguments);
        command
            .arg("--log-level-console=detail")
            .arg("--log-level-stderr=error")
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let fault = |source| missing(Error::Start("pgbackrest".into(), source));
        let mut child = command.spawn().map_err(fault)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let said = async {
            let mut said = String::new();
            if let Some(stdout) = stdout {
                let mut lines = BufReader::new(stdout).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    if let Some(percent) = percent(&line) {
                        witness.progress(percent);
                    } else {
                        said.push_str(&line);
                        said.push('\n');
                    }
                }
            }
            said
        };
        let errors = async {
            let mut errors = Vec::new();
            if let Some(mut stderr) = stderr {
                let _cut_off = stderr.read_to_end(&mut errors).await;
            }
            errors
        };
        let (said, errors, status) = tokio::join!(said, errors, child.wait());
        let output = std::process::Output {
            status: status.map_err(fault)?,
            stdout: said.into_bytes(),
            stderr: errors,
        };
        answered(verb, output).map_err(|error| self.with_archiver(error))
    }

    pub(crate) async fn info(&self) -> Result<Info, Error> {
        let text = self.ask("info", &["--output=json"]).await?;
        // What a wrong passphrase makes of a file stands in it as it is.
        let text = text.replace(char::is_control, " ");
        Info::parse(&text)
            .map_err(|error| Error::Backup(format!("pgbackrest info makes no sense: {error}")))
    }

    pub(crate) async fn backup(
        &self,
        kind: Kind,
        repository: u8,
        witness: &dyn Witness,
    ) -> Result<(), Error> {
        let (kind, repository) = (
            format!("--type={}", kind.name()),
            format!("--repo={repository}"),
        );
        self.work("backup", &[&kind, &repository], witness)
            .await
            .map(drop)
    }

    /// Puts a small file beside the backups, as it is.
    pub(crate) async fn put(&self, repository: u8, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let mut file = tempfile::tempfile().map_err(fault(&std::env::temp_dir(), "written"))?;
        file.write_all(bytes)
            .and_then(|()| std::io::Seek::rewind(&mut file))
            .map_err(fault(&std::env::temp_dir(), "written"))?;
        let arguments = [&*format!("--repo={repository}"), "--raw", &beside(name)];
        let (mut command, limit) = (self.question("repo-put", &arguments), self.limit());
        command.stdin(Stdio::from(file)).kill_on_drop(true);
        let output = tokio::time::timeout(limit, command.output())
            .await
            .map_err(|_| Error::Late {
                what: "pgbackrest repo-put".to_owned(),
                limit,
            })?
            .map_err(|source| missing(Error::Start("pgbackrest".into(), source)))?;
        answered("repo-put", output).map(drop)
    }

    /// A small file beside the backups; `None` if there is none.
    pub(crate) async fn get(&self, repository: u8, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let arguments = [
            &*format!("--repo={repository}"),
            "--raw",
            "--ignore-missing",
            &beside(name),
        ];
        let output = run(self.question("repo-get", &arguments), self.limit()).await;
        let output = output.map_err(missing)?;
        // Missing: pgBackRest says so by its status alone.
        if output.status.code() == Some(1) && output.stderr.is_empty() {
            return Ok(None);
        }
        let bytes = output.stdout.clone();
        answered("repo-get", output)?;
        Ok(Some(bytes))
    }
}

const BESIDE: &str = "security-hub";

fn beside(name: &str) -> String {
    format!("{BESIDE}/{name}")
}

/// A file that only its owner reads, written whole or not at all.
pub(crate) fn secret_file(path: &Path, text: &str, account: Option<&Account>) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fault(path, "written"))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .map_err(fault(path, "written"))?;
    account::give(account, file.path()).map_err(hub_store::Error::from)?;
    file.persist(path)
        .map(drop)
        .map_err(|error| fault(path, "written")(error.error))
}

/// `… (8KB, 99.82%) checksum …`: how far it is.
fn percent(line: &str) -> Option<f32> {
    let end = line.find("%)")?;
    let start = line.get(..end)?.rfind(", ")?;
    line.get(start + 2..end)?.parse().ok()
}

fn missing(error: Error) -> Error {
    match error {
        Error::Start(_, source) if source.kind() == std::io::ErrorKind::NotFound => {
            Error::Absent("pgbackrest", "install the package `pgbackrest`")
        }
        error => error,
    }
}

/// A random passphrase of 256 bits, in hexadecimal.
pub(crate) fn passphrase() -> Result<SecretString, Error> {
    let secret = hub_vault::Secret32::random()?;
    Ok(hex::encode(secret.expose()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_from_a_line() {
        let line = "P02 DETAIL: backup file /d/base/5/1255 (768KB, 62.50%) checksum 1d";
        assert_eq!(percent(line), Some(62.5));
        assert_eq!(percent("P00   INFO: backup command end: completed"), None);
        assert_eq!(percent("%)"), None);
    }
}

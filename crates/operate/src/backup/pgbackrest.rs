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

use super::config::Repository;
use super::info::{Info, Kind};
use super::site::Cluster;
use crate::error::{Error, fault};
use crate::operation::Witness;
use crate::program::{run, succeeded};

/// The stanza: pgBackRest's word for one cluster and its backups.
pub(crate) const STANZA: &str = "hub";
/// For commands that only ask.
const ASK: Duration = Duration::from_mins(2);
/// For the first segment to arrive.
const CHECK: Duration = Duration::from_mins(3);
/// Never expired by itself: what goes is decided by [`super::Keep`].
const FOR_EVER: u32 = 9_999_999;

/// The program with one configuration.
#[derive(Debug, Clone)]
pub(crate) struct PgBackRest {
    pub(crate) conf: PathBuf,
    pub(crate) account: Option<Account>,
}

/// What stands in the configuration.
pub(crate) struct Setting<'a> {
    pub(crate) repositories: &'a [(Repository, SecretString)],
    pub(crate) cluster: &'a Cluster,
    pub(crate) processes: u8,
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
        for (number, (repository, passphrase)) in (1..).zip(self.repositories) {
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
                            repo("s3-key", lines.next().unwrap_or_default());
                            repo("s3-key-secret", lines.next().unwrap_or_default());
                        }
                    }
                }
                (None, None) => {}
            }
            repo("cipher-type", "aes-256-cbc");
            repo("cipher-pass", passphrase.expose_secret());
            repo("bundle", "y");
            repo("retention-full", &FOR_EVER.to_string());
        }
        put("compress-type", "zst");
        put("process-max", &self.processes.to_string());
        put("start-fast", "y");
        put("archive-timeout", &(CHECK.as_secs() / 3).to_string());
        put("lock-path", &self.dir.join("lock").display().to_string());
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
        Ok(text.into())
    }
}

impl PgBackRest {
    /// Writes the configuration as `dir/pgbackrest.conf`.
    pub(crate) fn configure(setting: &Setting<'_>) -> Result<Self, Error> {
        let account = setting.cluster.account.clone();
        for name in ["lock", "log"] {
            account::directory(account.as_ref(), &setting.dir.join(name))
                .map_err(hub_store::Error::from)?;
        }
        let conf = setting.dir.join("pgbackrest.conf");
        secret_file(&conf, setting.text()?.expose_secret(), account.as_ref())?;
        Ok(Self { conf, account })
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

    /// Runs a command that only takes a moment; what it printed.
    pub(crate) async fn ask(&self, verb: &str, arguments: &[&str]) -> Result<String, Error> {
        let limit = if verb == "check" { CHECK } else { ASK };
        let output = run(self.command(verb, arguments), limit).await;
        let output = output.map_err(missing)?;
        succeeded(&format!("pgbackrest {verb}"), output).map_err(told)
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
        succeeded(&format!("pgbackrest {verb}"), output).map_err(told)
    }

    pub(crate) async fn info(&self) -> Result<Info, Error> {
        let text = self.ask("info", &["--output=json"]).await?;
        Info::parse(&text).map_err(|error| {
            Error::Backup(format!(
                "what `pgbackrest info` says cannot be read: {error}"
            ))
        })
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
        let mut command = self.command(
            "repo-put",
            &[&format!("--repo={repository}"), "--raw", &beside(name)],
        );
        command.stdin(Stdio::from(file)).kill_on_drop(true);
        let output = tokio::time::timeout(ASK, command.output())
            .await
            .map_err(|_| Error::Late {
                what: "pgbackrest repo-put".to_owned(),
                limit: ASK,
            })?
            .map_err(|source| missing(Error::Start("pgbackrest".into(), source)))?;
        succeeded("pgbackrest repo-put", output)
            .map_err(told)
            .map(drop)
    }

    /// A small file beside the backups; `None` if there is none.
    pub(crate) async fn get(&self, repository: u8, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let arguments = [
            &*format!("--repo={repository}"),
            "--raw",
            "--ignore-missing",
            &beside(name),
        ];
        let output = run(self.command("repo-get", &arguments), ASK).await;
        let output = output.map_err(missing)?;
        // Missing: pgBackRest says so by its status alone.
        if output.status.code() == Some(1) && output.stderr.is_empty() {
            return Ok(None);
        }
        let bytes = output.stdout.clone();
        succeeded("pgbackrest repo-get", output).map_err(told)?;
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

/// What to do about it, where pgBackRest's own words do not say so.
fn told(error: Error) -> Error {
    let Error::Failed {
        program,
        status,
        said,
    } = error
    else {
        return error;
    };
    let advice = if said.contains("unable to acquire lock") {
        "another backup or restore runs; wait for it"
    } else if said.contains("unable to decrypt") || said.contains("unable to load info file") {
        "is it the right passphrase? The one of each repository is sealed in security-hub/recovery.age beside the backups"
    } else if said.contains("No space left") {
        "make room in the repository: `hubctl backup prune`, or a larger disk; nothing that was there is lost"
    } else {
        return Error::Failed {
            program,
            status,
            said,
        };
    };
    Error::Failed {
        program,
        status,
        said: format!("{said} · {advice}"),
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

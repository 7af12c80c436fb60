//! Secrets that change while serving: the key ring, the certificates, the database's login. Each file is looked at every
//! second, since an orchestrator that mounts a new one sends no signal; SIGHUP has all of them read at once.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use hub_store::Endpoints;
use secrecy::ExposeSecret;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::front::tls::Certificates;
use crate::state::App;

const LOOK: Duration = Duration::from_secs(1);

/// One secret: its files, as they were when it was read, and how it is read again.
struct Watched {
    what: &'static str,
    files: Vec<PathBuf>,
    seen: Vec<Mark>,
    read: Box<dyn Fn() -> anyhow::Result<()> + Send>,
}

/// What changes when a file is exchanged or written: inode, length, and the time of its last change in nanoseconds.
type Mark = Option<(u64, u64, i64, i64)>;

fn mark(path: &PathBuf) -> Mark {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

impl Watched {
    fn new(
        what: &'static str,
        files: Vec<PathBuf>,
        read: impl Fn() -> anyhow::Result<()> + Send + 'static,
    ) -> Self {
        let seen = files.iter().map(mark).collect();
        Self {
            what,
            files,
            seen,
            read: Box::new(read),
        }
    }

    /// Reads it again if it changed, or if `anyway`. What cannot be read is read again when it changes again.
    fn look(&mut self, anyway: bool) {
        let now: Vec<Mark> = self.files.iter().map(mark).collect();
        if !anyway && now == self.seen {
            return;
        }
        self.seen = now;
        match (self.read)() {
            Ok(()) => tracing::info!(secret = self.what, "the {} were read again", self.what),
            Err(error) => tracing::error!(
                secret = self.what,
                error = format!("{error:#}"),
                "the {} stay as they were",
                self.what
            ),
        }
    }
}

/// Watches until the process ends.
pub(crate) fn watch(app: &App, certificates: Option<Certificates>) -> std::io::Result<()> {
    let mut all = watched(app, certificates);
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let anyway = tokio::select! {
                _ = tick.tick() => false,
                told = hangup.recv() => told.is_some(),
            };
            for one in &mut all {
                one.look(anyway);
            }
        }
    });
    Ok(())
}

fn watched(app: &App, certificates: Option<Certificates>) -> Vec<Watched> {
    let hub = app.clone();
    let mut all = vec![Watched::new(
        "keys",
        vec![app.keys.path().clone()],
        move || {
            if hub.keys.reload()? {
                hub.authenticator.forget();
            }
            Ok(())
        },
    )];
    if let Some(certificates) = certificates {
        let files = certificates.files();
        let read = move || certificates.reload();
        all.push(Watched::new("certificates", files, read));
    }
    if let Some(file) = app.config.database.url_file.clone() {
        let hub = app.clone();
        let read = {
            let file = file.clone();
            move || login(&hub, &file)
        };
        all.push(Watched::new("database credentials", vec![file], read));
    }
    all
}

/// New connections to the database log in as its file says now.
fn login(app: &App, file: &PathBuf) -> anyhow::Result<()> {
    let url = std::fs::read_to_string(file)
        .map(secrecy::SecretString::from)
        .with_context(|| format!("cannot read `{}`", file.display()))?;
    let owner = app.config.database.owner_url.as_ref();
    let url = url.expose_secret().trim_end_matches(['\r', '\n']);
    let endpoints = Endpoints::from_urls(url, owner.map(ExposeSecret::expose_secret))?;
    app.store.renew(&endpoints)?;
    Ok(())
}

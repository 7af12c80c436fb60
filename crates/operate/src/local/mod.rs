//! The target "local": one host, blue and green behind HAProxy, shared over its runtime socket. The colours are
//! processes, or services of a compose file.
//!
//! Knows nothing of stages and judgement; the state machine is [`crate::deploy`].

mod compose;
mod config;
mod haproxy;
mod log;
mod process;
mod runner;

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::deploy::migrations::to_come;
use crate::deploy::{Colour, Counts, Readiness, Standing, Target};
use crate::error::Error;
use crate::release::Release;
use crate::smoke;

pub use config::{Compose, Local};

use haproxy::Haproxy;
use log::Log;
use runner::Runner;

/// For a request of our own.
const ASK: Duration = Duration::from_secs(2);
/// Beyond the drain, before a server is ended.
const GRACE: Duration = Duration::from_secs(15);

/// One host.
#[derive(Debug)]
pub struct Host {
    local: Local,
    runner: Runner,
    haproxy: Haproxy,
    log: Option<Log>,
    http: reqwest::Client,
    /// How often each colour had been started again when it was first seen to serve.
    restarts: [Option<u64>; 2],
}

impl Host {
    /// # Errors
    /// [`Error::Configuration`] for the environment's file, [`Error::File`].
    pub fn new(local: Local) -> Result<Self, Error> {
        let runner = Runner::of(&local)?;
        fs::create_dir_all(&local.state).map_err(|source| Error::File {
            path: local.state.clone(),
            verb: "made",
            source,
        })?;
        // Straight to the colour: no proxy, no connection kept that would hide a refused one.
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(ASK)
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| Error::Nonsense(error.to_string()))?;
        Ok(Self {
            haproxy: Haproxy::new(&local.haproxy, &local.backend),
            runner,
            log: None,
            http,
            restarts: [None; 2],
            local,
        })
    }

    const fn address(&self, colour: Colour) -> SocketAddr {
        match colour {
            Colour::Blue => self.local.blue,
            Colour::Green => self.local.green,
        }
    }

    /// Whether the release holds what this host runs: a binary or an image.
    ///
    /// # Errors
    /// [`Error::Release`] that says which it lacks.
    pub fn fits(&self, release: &Release) -> Result<(), Error> {
        self.runner.fits(release)
    }

    /// Keeps HAProxy's states where it finds them after a reload.
    async fn keep_states(&self) -> Result<(), Error> {
        let path = self.local.state.join("haproxy.state");
        let states = self.haproxy.states().await?;
        let fault = |source| Error::File {
            path: path.clone(),
            verb: "written",
            source,
        };
        let file = tempfile::NamedTempFile::new_in(&self.local.state).map_err(fault)?;
        fs::write(file.path(), states).map_err(fault)?;
        file.persist(&path).map_err(|error| fault(error.error))?;
        Ok(())
    }

    /// Whether somebody started it again since it was first seen to serve: it loses what it does each time. What happened before is
    /// forgiven, and where nobody can tell, nothing is said.
    async fn is_looping(&mut self, colour: Colour) -> bool {
        let (Ok(Some(now)), Some(first)) = (
            self.runner.restarts(colour).await,
            self.restarts.get_mut(colour.place()),
        ) else {
            return false;
        };
        now > *first.get_or_insert(now)
    }

    async fn await_up(&self, colour: Colour) -> Result<(), Error> {
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            let [blue, green] = self.haproxy.servers().await?;
            let server = match colour {
                Colour::Blue => blue,
                Colour::Green => green,
            };
            if server.is_up {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::Late {
                    what: format!("the load balancer's first good look at {colour}"),
                    limit: Duration::from_secs(15),
                });
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Target for Host {
    async fn standing(&mut self) -> Result<[Standing; 2], Error> {
        let servers = self.haproxy.servers().await?;
        let total: u32 = servers
            .iter()
            .filter(|server| server.is_up)
            .map(|server| server.weight)
            .sum();
        let [blue, green] = servers;
        let running = [
            self.runner.find(Colour::Blue).await?,
            self.runner.find(Colour::Green).await?,
        ];
        let [runs_blue, runs_green] = running.map(|dir| dir.map(|dir| dir.display().to_string()));
        let standing = |colour: Colour, server: haproxy::Server, release| Standing {
            colour,
            release,
            share: if server.is_up && total > 0 {
                u8::try_from(100 * server.weight / total).unwrap_or(100)
            } else {
                0
            },
            is_up: server.is_up,
        };
        Ok([
            standing(Colour::Blue, blue, runs_blue),
            standing(Colour::Green, green, runs_green),
        ])
    }

    async fn pending(&mut self, release: &Release) -> Result<Option<Vec<String>>, Error> {
        let plan = self.runner.plan(release).await?;
        to_come(&plan).map(Some)
    }

    async fn migrate(&mut self, release: &Release) -> Result<String, Error> {
        self.runner.migrate(release).await?;
        Ok("the database is at the release's schema".to_owned())
    }

    async fn start(&mut self, colour: Colour, release: &Release) -> Result<(), Error> {
        if let Some(first) = self.restarts.get_mut(colour.place()) {
            *first = None;
        }
        if self.runner.runs(colour, release).await? {
            return Ok(());
        }
        if self.runner.find(colour).await?.is_some() {
            self.stop(colour, Duration::ZERO).await?;
        }
        self.runner.start(colour, release).await
    }

    async fn readiness(&mut self, colour: Colour) -> Result<Readiness, Error> {
        let base = format!("http://{}", self.address(colour));
        match smoke::get(&self.http, &base, "/health/ready").await {
            Ok((200, _)) if self.is_looping(colour).await => Ok(Readiness::Gone(format!(
                "it was started again by itself: {}",
                self.runner.ended(colour)
            ))),
            Ok((200, _)) => Ok(Readiness::Ready),
            answer => {
                if self.runner.find(colour).await?.is_none() {
                    return Ok(Readiness::Gone(self.runner.ended(colour)));
                }
                Ok(Readiness::NotYet(match answer {
                    Ok((status, _)) => format!("/health/ready answered {status}"),
                    Err(why) => why,
                }))
            }
        }
    }

    async fn smoke(&mut self, colour: Colour) -> Result<(), String> {
        let base = format!("http://{}", self.address(colour));
        smoke::ask_all(&self.http, &base).await
    }

    async fn share(&mut self, colour: Colour, percent: u8) -> Result<(), Error> {
        let other = colour.other();
        if percent > 0 {
            self.haproxy.weigh(colour, percent).await?;
            self.haproxy.state(colour, "ready").await?;
            self.await_up(colour).await?;
        }
        self.haproxy.weigh(other, 100 - percent).await?;
        if percent == 0 {
            // Not checked either: a colour that comes up takes nothing before it is given something.
            self.haproxy.weigh(colour, 0).await?;
            self.haproxy.state(colour, "maint").await?;
        }
        self.keep_states().await
    }

    async fn counts(&mut self) -> Result<[Counts; 2], Error> {
        if self.log.is_none() {
            self.log = Some(Log::listen(self.local.log).await?);
        }
        let servers = self.haproxy.servers().await?;
        let told = self.log.as_mut().map(Log::take).unwrap_or_default();
        let mut counts = servers.into_iter().zip(told).map(|(server, told)| Counts {
            requests: told.requests,
            errors: told.errors,
            passed: server.tries,
            latencies: told.latencies,
            in_progress: Some(server.in_progress),
            untold: None,
        });
        Ok([
            counts.next().unwrap_or_default(),
            counts.next().unwrap_or_default(),
        ])
    }

    async fn stop(&mut self, colour: Colour, drain: Duration) -> Result<(), Error> {
        self.haproxy.weigh(colour, 0).await?;
        let deadline = Instant::now() + drain;
        loop {
            let [blue, green] = self.haproxy.servers().await?;
            let server = match colour {
                Colour::Blue => blue,
                Colour::Green => green,
            };
            if server.in_progress == 0 || Instant::now() >= deadline {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        self.haproxy.state(colour, "maint").await?;
        self.runner.stop(colour, drain + GRACE).await?;
        self.keep_states().await
    }
}

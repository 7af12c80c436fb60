//! The reference for what is served over HTTP: axum with one handler, in a process of its own as the server is.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

const BODY: &str = "HUB_BENCH_BARE_BODY";

/// Whether this process is to be the bare server.
pub fn is_child() -> bool {
    std::env::var_os(BODY).is_some()
}

/// Answers `GET /` with the text from the environment, for ever.
///
/// # Errors
/// If it cannot listen.
pub async fn serve() -> anyhow::Result<()> {
    let body: &'static str = std::env::var(BODY)?.leak();
    let answer = move || async move { ([(CONTENT_TYPE, "application/json")], body) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/", get(answer))).await?;
    Ok(())
}

/// A bare server: this program once more; killed when dropped.
#[derive(Debug)]
pub struct Bare {
    child: Child,
    pub address: String,
}

impl Bare {
    /// # Errors
    /// If it does not come up.
    pub fn start(body: &str) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .env(BODY, body)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        let stdout = child.stdout.take().context("its output is piped")?;
        BufReader::new(stdout).read_line(&mut address)?;
        let address = address.trim().to_owned();
        Ok(Self { child, address })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _gone = self.child.kill().and_then(|()| self.child.wait());
    }
}

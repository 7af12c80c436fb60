//! Programs that others wrote: run to their end within a limit, with their last words if they fail.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::error::Error;

/// Runs it to its end, whatever that is. It does not outlive whoever waits for it.
pub(crate) async fn run(mut command: Command, limit: Duration) -> Result<Output, Error> {
    let program = PathBuf::from(command.as_std().get_program());
    command.kill_on_drop(true).stdin(Stdio::null());
    tokio::time::timeout(limit, command.output())
        .await
        .map_err(|_| Error::Late {
            what: program.display().to_string(),
            limit,
        })?
        .map_err(|source| Error::Start(program, source))
}

/// What it printed, or its last words if it failed. `name` is what people know it by.
pub(crate) fn succeeded(name: &str, output: Output) -> Result<String, Error> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Failed {
        program: name.to_owned(),
        status: output.status.to_string(),
        said: last_words(&output.stderr),
    })
}

/// What it printed, whether the answer is yes (0) or no (1).
pub(crate) fn answered(name: &str, output: Output) -> Result<String, Error> {
    if output.status.code() == Some(1) {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    succeeded(name, output)
}

/// The last three lines.
fn last_words(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let last: Vec<&str> = said.lines().rev().take(3).collect();
    last.into_iter().rev().collect::<Vec<_>>().join(" · ")
}

//! `hubctl`, the operator's tool: parses, calls the hub's API or a room's verb, prints. No rule of the domain lives here.

mod cli;
mod client;
mod commands;
mod exit;
mod output;
mod secret;

use std::process::ExitCode;

use clap::Parser;

use crate::exit::Exit;
use crate::output::Output;

#[tokio::main(flavor = "multi_thread")]
async fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let mut output = Output::new(cli.json);
    match cli::run(cli, &mut output).await {
        Ok(exit) => exit.into(),
        Err(failure) if failure.is_broken_pipe() => Exit::Done.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit.into()
        }
    }
}

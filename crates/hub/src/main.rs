//! The binary `security-hub`: hands the command line to the library and its exit code to the shell.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    security_hub::run(security_hub::cli::Cli::parse()).into()
}

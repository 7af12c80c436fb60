//! The command line.

use clap::{CommandFactory, Parser, Subcommand};

use crate::client::{Client, Connection};
use crate::commands::{
    account, backup, cleanup, content, database, deploy, emulate, incident, ingest, keys, ledger,
    release, restore, runbook, tenant,
};
use crate::exit::{Exit, Failure};
use crate::output::Output;

const EXIT_CODES: &str = "Exit codes: 0 done · 1 the answer is no (tampered, missed) · 2 usage or configuration · \
3 not permitted · 4 unreachable · 5 stopped half-way, run again to go on · 70 our bug";

/// Security Hub's operator tool.
#[derive(Debug, Parser)]
#[command(name = "hubctl", version, about, after_help = EXIT_CODES, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    connection: Connection,
    /// One JSON document on standard output instead of words and tables.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Emulate an adversary among people at work, and judge what the hub made of it.
    #[command(subcommand)]
    Emulate(emulate::Emulate),
    /// Send another system's log.
    Ingest(ingest::Ingest),
    /// See, export and verify the ledger.
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// See incidents; contain and release.
    #[command(subcommand)]
    Incident(incident::Incident),
    /// Make and list tenants.
    #[command(subcommand)]
    Tenant(tenant::Tenant),
    /// Make, list, lock and unlock people.
    #[command(subcommand)]
    User(tenant::User),
    /// Make, list and revoke API keys.
    #[command(subcommand)]
    Key(tenant::Key),
    /// Become the first administrator, with the secret that the hub showed once.
    Enrol(account::Enrol),
    /// Sign in and keep an access token in a file.
    Login(account::Login),
    /// Check rules, playbooks, policies and scenarios.
    #[command(subcommand)]
    Content(content::Content),
    /// Make, sign and check releases.
    #[command(subcommand)]
    Release(release::Release),
    Deploy(deploy::Deploy),
    Rollback(deploy::Rollback),
    Migrate(deploy::Migrate),
    Status(deploy::Status),
    /// Back up the installation, see and check what is kept.
    #[command(subcommand)]
    Backup(backup::Backup),
    Restore(restore::Restore),
    Drill(restore::Drill),
    #[command(subcommand)]
    Database(database::Database),
    #[command(subcommand)]
    Runbook(runbook::Runbook),
    #[command(subcommand)]
    Keys(keys::Keys),
    Cleanup(cleanup::Cleanup),
    /// Place, release and list legal holds: what they cover is not removed.
    #[command(subcommand)]
    Hold(cleanup::Hold),
    /// Ask whether the hub is ready.
    Health(account::Health),
    /// Print completions for a shell.
    Completions {
        shell: clap_complete::Shell,
    },
}

pub(crate) async fn run(cli: Cli, output: &mut Output) -> Result<Exit, Failure> {
    let client = || Client::new(&cli.connection);
    match cli.command {
        Command::Emulate(command) => command.run(client, output).await,
        Command::Ingest(command) => command.run(&client()?, output).await,
        Command::Ledger(command) => command.run(client, output).await,
        Command::Incident(command) => command.run(&client()?, output).await,
        Command::Tenant(command) => command.run(&client()?, output).await,
        Command::User(command) => command.run(&client()?, output).await,
        Command::Key(command) => command.run(&client()?, output).await,
        Command::Enrol(command) => command.run(&client()?, output).await,
        Command::Login(command) => command.run(&client()?, output).await,
        Command::Content(command) => command.run(output),
        Command::Release(command) => command.run(output),
        Command::Deploy(command) => command.run(&client()?, output).await,
        Command::Rollback(command) => command.run(&client()?, output).await,
        Command::Migrate(command) => command.run(&client()?, output).await,
        Command::Status(command) => command.run(&client()?, output).await,
        Command::Backup(command) => command.run(&client()?, output).await,
        Command::Restore(command) => command.run(&client()?, output).await,
        Command::Drill(command) => command.run(&client()?, output).await,
        Command::Database(command) => command.run(&client()?, output).await,
        Command::Runbook(command) => command.run(&client()?, output).await,
        Command::Keys(command) => command.run(&client()?, output).await,
        Command::Cleanup(command) => command.run(&client()?, output).await,
        Command::Hold(command) => command.run(&client()?, output).await,
        Command::Health(command) => command.run(&client()?, output).await,
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "hubctl", &mut text);
            output.line(String::from_utf8_lossy(&text).trim_end())?;
            Ok(Exit::Done)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_lists_commands_and_exit_codes() {
        let help = Cli::command().term_width(100).render_help().to_string();
        for command in Cli::command().get_subcommands() {
            assert!(
                help.contains(&format!("\n  {} ", command.get_name())),
                "{}",
                command.get_name()
            );
        }
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(EXIT_CODES), "{words}");
    }

    /// What is in argv is in every process list.
    #[test]
    fn no_option_takes_a_secret() {
        fn each(command: &clap::Command, check: &mut dyn FnMut(&clap::Arg)) {
            command.get_arguments().for_each(&mut *check);
            command
                .get_subcommands()
                .for_each(|inner| each(inner, check));
        }
        each(&Cli::command(), &mut |argument| {
            let name = argument.get_id().as_str();
            let secret = ["password", "secret", "token"]
                .iter()
                .any(|word| name.contains(word));
            let is_file = argument
                .get_value_names()
                .is_some_and(|names| names.iter().any(|n| n == "FILE"));
            assert!(!secret || is_file, "{name}");
        });
    }
}

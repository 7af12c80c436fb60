//! The command line: which command, which configuration file, which overrides.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

const EXIT_CODES: &str = "Exit codes: 0 done · 1 the answer is no · 2 usage or configuration · 3 not permitted · \
4 unreachable (port, database, server binaries) · 5 stopped half-way · 70 our bug";

/// Security Hub: the server.
#[derive(Debug, Parser)]
#[command(name = "security-hub", version, about, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve until told to stop.
    Serve(Common),
    /// Prepare keys, database and first administrator; print the enrolment secret once.
    Init(Common),
    /// Bring the database to this release's schema.
    Migrate(MigrateArgs),
    /// Print every key with its value and where it came from.
    Config(ConfigArgs),
    /// Make a key ring for the secret store that hands it to every replica (`keys_file`).
    Keys {
        /// The file to make; it must not be there yet.
        #[arg(value_name = "FILE")]
        path: PathBuf,
    },
    /// Ask a running server whether it is ready.
    Health(Common),
    /// Print the version.
    Version,
}

/// What every command takes.
#[derive(Debug, Args, Default, Clone)]
pub(crate) struct Common {
    /// TOML file with settings.
    #[arg(long, env = "HUB_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address and port to serve on.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// Where keys and the private database are.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Only show which migrations the database has and which are to come; exit 1 if there are any to come.
    #[arg(long)]
    pub(crate) plan: bool,
    /// Take back what is newer than the migration of this number. Stop every server first.
    #[arg(long, value_name = "TO", conflicts_with = "plan")]
    pub(crate) revert: Option<i32>,
    /// Where the way back loses data: first write all of it to this file (pg_dump, custom format).
    #[arg(long, value_name = "FILE", requires = "revert")]
    pub(crate) snapshot: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Only check: print every fault, or nothing.
    #[arg(long)]
    pub(crate) check: bool,
}

impl Common {
    pub(crate) fn flags(&self) -> Vec<(&'static str, String, &'static str)> {
        [
            ("listen", &self.listen, "--listen"),
            ("data_dir", &self.data_dir, "--data-dir"),
        ]
        .into_iter()
        .filter_map(|(key, value, flag)| Some((key, value.clone()?, flag)))
        .collect()
    }
}

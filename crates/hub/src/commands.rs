//! What each command does, from its arguments to its exit code.

use std::io::Write as _;

use anyhow::Context as _;
use hub_base::ErrorKind;

use crate::cli::{Cli, Command, Common};
use crate::config::{self, Config, Inputs, Loaded};
use crate::exit::{Exit, Failure};
use crate::start;

/// Runs the command line to its end.
pub fn run(cli: Cli) -> Exit {
    let done = match cli.command {
        Command::Version => {
            say(&format!("security-hub {}", env!("CARGO_PKG_VERSION")));
            Ok(Exit::Done)
        }
        Command::Config(args) => show_config(&args.common, args.check),
        Command::Serve(common) => {
            checked(&common).and_then(|config| with_runtime(start::serve(config)))
        }
        Command::Init(common) => {
            checked(&common).and_then(|config| with_runtime(start::init(config)))
        }
        Command::Migrate(args) => {
            checked(&args.common).and_then(|config| match (args.plan, args.revert) {
                (true, _) => with_runtime(start::migration_plan(config)),
                (false, None) => with_runtime(start::migrate(config)),
                (false, Some(to)) => {
                    with_runtime(start::revert(config, to, args.snapshot.as_deref()))
                }
            })
        }
        Command::Keys { path } => start::make_keys(&path),
        Command::Health(common) => {
            checked(&common).and_then(|config| with_runtime(start::health(config)))
        }
    };
    done.unwrap_or_else(|failure| {
        complain(&format!("error: {:#}", failure.error));
        failure.exit
    })
}

/// A line on standard output; a closed pipe is nobody's fault.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _closed = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn complain(line: &str) {
    let _closed = writeln!(std::io::stderr().lock(), "{line}");
}

fn load(common: &Common) -> Result<Loaded, Failure> {
    let file = match &common.config {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the configuration `{}`", path.display()))
                .map_err(|error| Failure::new(Exit::Usage, error))?;
            Some((path.clone(), text))
        }
        None => None,
    };
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Ok(config::load(Inputs {
        file,
        environment,
        flags: common.flags(),
    }))
}

fn checked(common: &Common) -> Result<Config, Failure> {
    load(common)?.config.map_err(|faults| {
        let list: Vec<String> = faults.iter().map(|fault| format!("  {fault}")).collect();
        let text = format!(
            "the configuration has {} fault(s):\n{}",
            faults.len(),
            list.join("\n")
        );
        Failure::new(Exit::Usage, anyhow::anyhow!(text))
    })
}

fn show_config(common: &Common, check_only: bool) -> Result<Exit, Failure> {
    let loaded = load(common)?;
    if !check_only {
        for line in &loaded.lines {
            say(&format!(
                "{} = {:?}  # {}; {}",
                line.key, line.value, line.source, line.about
            ));
        }
    }
    match loaded.config {
        Ok(_) => Ok(Exit::Done),
        Err(faults) => {
            for fault in faults {
                complain(&format!("error: {fault}"));
            }
            Ok(Exit::Usage)
        }
    }
}

fn with_runtime(work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of_kind(ErrorKind::Unavailable, error))?
        .block_on(work)
}

//! Log lines on standard error: JSON for machines, plain text for a person at a terminal.

use std::io::IsTerminal as _;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::error::Error;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text if standard error is a terminal, JSON otherwise.
    #[default]
    Auto,
    Json,
    Text,
}

impl FromStr for LogFormat {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            other => Err(Error::Format(other.to_owned())),
        }
    }
}

/// Starts logging for the whole process. `filter` is a level, or `tracing`'s directives.
///
/// # Errors
/// A filter that does not parse; a second call.
pub fn init(format: LogFormat, filter: &str) -> Result<(), Error> {
    let filter = parse_filter(filter)?;
    let base = tracing_subscriber::registry().with(filter);
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let done = if json {
        let lines = fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false);
        base.with(lines.with_writer(std::io::stderr)).try_init()
    } else {
        base.with(
            fmt::layer()
                .with_ansi(terminal)
                .with_target(false)
                .with_writer(std::io::stderr),
        )
        .try_init()
    };
    done.map_err(Error::Twice)
}

/// Whether `filter` would be understood.
///
/// # Errors
/// A filter that does not parse.
pub fn parse_filter(filter: &str) -> Result<EnvFilter, Error> {
    EnvFilter::try_new(filter).map_err(|source| Error::Filter {
        text: filter.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_or_directives() {
        assert!(parse_filter("info").is_ok());
        assert!(parse_filter("warn,security_hub=debug").is_ok());
        assert!(parse_filter("security_hub=shouting").is_err());
    }

    #[test]
    fn formats_have_three_names() {
        assert_eq!("json".parse::<LogFormat>().unwrap(), LogFormat::Json);
        assert!("xml".parse::<LogFormat>().is_err());
    }
}

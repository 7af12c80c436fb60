//! What can go wrong in setting up telemetry.

/// The set-up's faults; all of them are the operator's configuration or a second set-up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{text}` is not a log filter (expected `info` or `info,security_hub=debug`)")]
    Filter {
        text: String,
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    #[error("`{0}` is not a log format (expected `auto`, `json` or `text`)")]
    Format(String),
    #[error("logging is set up already")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

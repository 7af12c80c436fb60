//! The closed set of what an error means to a caller. Each room's `Error` says its `kind()`; the edges
//! map kinds once (HTTP status, exit code).

/// How a caller should react to an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The input is wrong; the same call will fail again.
    Invalid,
    /// Nobody is signed in, or the credential no longer counts.
    Unauthenticated,
    /// The one who is signed in may not.
    Forbidden,
    /// No such thing here (another tenant's thing is also "not here").
    NotFound,
    /// The thing is in a state that does not allow this, or exists already.
    Conflict,
    /// Too many or too much; try again later.
    TooMany,
    /// Something we depend on does not answer; try again later.
    Unavailable,
    /// Our fault.
    Internal,
}

/// An error with all its causes: `outer: inner: innermost`.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

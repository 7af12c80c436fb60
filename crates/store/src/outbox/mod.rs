//! Acts that are committed and wait for the sequencer.

pub(crate) mod repo;

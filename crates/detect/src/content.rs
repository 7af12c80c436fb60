//! Checks content.

//! Tests that cross rooms live in `tests/`; this library is empty on purpose.

//! How accounts, sessions and keys stand, for evidence and for the protected list. Reads only, never a secret;
//! whatever changes an account goes through the identity room.

pub(crate) mod repo;

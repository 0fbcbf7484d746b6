//! What keepers sign: one encoding for each statement, under a name of its own, so that no signature passes for another.
//!
//! The name goes before the message with its length (commonware's namespaces); the message is the statement's encoding,
//! in which every field has a fixed length or its length before it.

/// A keeper dealt its share to new keepers.
pub(crate) const DEALING: &[u8] = b"stoa/privacy/dealing/v1";

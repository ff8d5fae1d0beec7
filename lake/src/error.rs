//! Errors of storage and of listed objects.
//!
//! Owns: their words. Does not own: errors of queries, which `query` has.

use common::ErrorKind;

/// Short for results of this crate.
pub type Result<T, E = LakeError> = std::result::Result<T, E>;

/// Why storage or an object in it cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LakeError {
    /// The object store cannot be used as configured.
    #[error("storage {url}: {reason}")]
    Storage {
        /// Where, without secrets.
        url: String,
        /// What was tried, what happened, what to change.
        reason: String,
    },
    /// A listed object is missing, or is not what was committed.
    #[error("segment {key}: {reason}; `siltstone audit` says more")]
    Segment {
        /// Its key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl LakeError {
    /// What the caller must do: neither error passes by itself.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Fatal
    }
}

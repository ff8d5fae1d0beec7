//! Errors of storage and of listed objects.
//!
//! Owns: their texts. Does not own: errors of queries (`query`).

use common::ErrorKind;

/// Short for results of this crate.
pub type Result<T, E = LakeError> = std::result::Result<T, E>;

/// Unusable storage, or an unusable object in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LakeError {
    /// The object store cannot be used as configured.
    #[error("storage {url}: {reason}")]
    Storage {
        /// URL of the storage, without secrets.
        url: String,
        /// The step that was tried, its outcome, and the change that helps.
        reason: String,
    },
    /// A listed object is missing, or is not what was committed.
    #[error("segment {key}: {reason}; `siltstone audit` says more")]
    Segment {
        /// Key of the object.
        key: String,
        /// The defect that was found.
        reason: String,
    },
}

impl LakeError {
    /// Always fatal: neither error passes by itself.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Fatal
    }
}

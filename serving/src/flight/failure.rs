//! Failures in the words of gRPC.
//!
//! Owns: the code of each kind. Does not own: the texts.

use tonic::Status;

use crate::error::{FailureKind, QueryFailure};

impl From<QueryFailure> for Status {
    fn from(failure: QueryFailure) -> Self {
        let text = failure.message;
        match failure.kind {
            FailureKind::Invalid => Self::invalid_argument(text),
            FailureKind::NotReading | FailureKind::Forbidden => Self::permission_denied(text),
            FailureKind::Limit => Self::resource_exhausted(text),
            FailureKind::Busy | FailureKind::Unavailable => Self::unavailable(text),
            FailureKind::Timeout => Self::deadline_exceeded(text),
            FailureKind::Cancelled => Self::cancelled(text),
            FailureKind::Internal => Self::internal(text),
        }
    }
}

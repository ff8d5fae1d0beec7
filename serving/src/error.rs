//! Failures of statements, by what a client can do about them.
//!
//! Owns: the kinds, and which errors of a query are of which kind. Does not own: the words and numbers of each protocol
//! (the doors), the texts of the errors that it passes on.

use catalog::{CatalogError, NotServed};
use common::ErrorKind;
use common::secret::scrubbed;
use datafusion::error::DataFusionError;
use lake::query::{HotTailError, QueryError, hot_tail_error, invalid_pattern, is_explained_limit, unreadable_segment};

/// The kind of a failure; each door has a code for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The statement is wrong: its text, its names, or a value that it computes.
    Invalid,
    /// The statement does not read.
    NotReading,
    /// It needs more memory, or gives more rows, than a query may.
    Limit,
    /// Too many queries run and wait.
    Busy,
    /// It did not end in its time.
    Timeout,
    /// Its client or the shutdown of the process ended it.
    Cancelled,
    /// The caller may not read.
    Forbidden,
    /// Catalog or store cannot be reached.
    Unavailable,
    /// A defect, or data that an operator must mend.
    Internal,
}

/// A failure of a statement. The text is for its client, and holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueryFailure {
    /// The kind.
    pub kind: FailureKind,
    /// What was wrong and what is allowed.
    pub message: String,
}

impl QueryFailure {
    /// A failure with this text.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Invalid, message)
    }

    fn passed_on(kind: FailureKind, text: &str) -> Self {
        Self::new(kind, scrubbed(text).into_owned())
    }

    /// The failure that an error of running a query is; `memory_bytes_max` is the limit of one query.
    pub(crate) fn running(error: &DataFusionError, memory_bytes_max: usize) -> Self {
        if let Some(segment) = unreadable_segment(error) {
            return Self::passed_on(FailureKind::Internal, &segment.to_string());
        }
        if let Some(tail) = hot_tail_error(error) {
            let kind = match tail {
                HotTailError::Exceeded(_) => FailureKind::Limit,
                HotTailError::Unavailable(_) => FailureKind::Unavailable,
            };
            return Self::passed_on(kind, &tail.to_string());
        }
        if let Some(reason) = invalid_pattern(error) {
            return Self::passed_on(FailureKind::Invalid, &reason);
        }
        let text = error.strip_backtrace();
        match error.find_root() {
            // The session's own text says which limit of what; any other is of DataFusion's count of memory.
            DataFusionError::ResourcesExhausted(reason) => match is_explained_limit(reason) {
                true => Self::passed_on(FailureKind::Limit, reason),
                false => Self::passed_on(
                    FailureKind::Limit,
                    &format!("the query needs more memory than QUERY_MEMORY_BYTES={memory_bytes_max} allows: {reason}"),
                ),
            },
            DataFusionError::Plan(reason) if is_refusal(reason) => Self::passed_on(
                FailureKind::NotReading,
                &format!("only SELECT, SHOW, DESCRIBE and EXPLAIN are allowed here: {reason}"),
            ),
            DataFusionError::External(cause) => match cause.downcast_ref::<CatalogError>() {
                Some(error) => Self::of_catalog(error),
                None => Self::passed_on(FailureKind::Unavailable, &text),
            },
            DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => {
                Self::passed_on(FailureKind::Unavailable, &text)
            }
            DataFusionError::Internal(_) | DataFusionError::ExecutionJoin(_) | DataFusionError::ParquetError(_) => {
                Self::passed_on(FailureKind::Internal, &text)
            }
            _ => Self::passed_on(FailureKind::Invalid, &text),
        }
    }

    /// The failure that an error of planning a query is.
    pub(crate) fn planning(error: &QueryError, memory_bytes_max: usize) -> Self {
        match error {
            QueryError::Catalog(error) => Self::of_catalog(error),
            QueryError::Query(error) => Self::running(error, memory_bytes_max),
            error @ QueryError::NotReading(_) => Self::passed_on(FailureKind::NotReading, &error.to_string()),
            error => Self::passed_on(FailureKind::Invalid, &error.to_string()),
        }
    }

    fn of_catalog(error: &CatalogError) -> Self {
        let kind = match error.kind() {
            ErrorKind::Unavailable => FailureKind::Unavailable,
            _ => FailureKind::Internal,
        };
        Self::passed_on(kind, &error.to_string())
    }
}

impl From<NotServed> for QueryFailure {
    fn from(refusal: NotServed) -> Self {
        match &refusal {
            NotServed::Catalog(error) => Self::of_catalog(error),
            NotServed::Silent => Self::new(FailureKind::Unavailable, refusal.to_string()),
            NotServed::NoToken | NotServed::InvalidToken(_) | NotServed::Forbidden(_) => {
                Self::new(FailureKind::Forbidden, refusal.to_string())
            }
        }
    }
}

/// True for the errors of DataFusion's check that a plan only reads.
fn is_refusal(reason: &str) -> bool {
    ["DDL not supported", "DML not supported", "Statement not supported"].iter().any(|start| reason.starts_with(start))
}

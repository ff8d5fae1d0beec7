//! Failures in the words of PostgreSQL.
//!
//! Owns: the SQLSTATE of each kind, and that no text breaks the protocol. Does not own: the texts.

use pgwire::error::{ErrorInfo, PgWireError};

use crate::error::{FailureKind, QueryFailure};

impl From<QueryFailure> for PgWireError {
    fn from(failure: QueryFailure) -> Self {
        let state = match failure.kind {
            FailureKind::Invalid => "42000",
            FailureKind::NotReading => "25006",
            FailureKind::Limit => "54000",
            FailureKind::Busy => "53300",
            FailureKind::Timeout | FailureKind::Cancelled => "57014",
            FailureKind::Forbidden => "42501",
            FailureKind::Unavailable => "57P03",
            FailureKind::Internal => "XX000",
        };
        error("ERROR", state, failure.message)
    }
}

/// The text without zero bytes, which end a text of the protocol.
pub(super) fn printable(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// The error as it may be sent.
pub(super) fn sendable(error: PgWireError) -> PgWireError {
    let mut info = ErrorInfo::from(error);
    info.message = printable(&info.message);
    PgWireError::UserError(Box::new(info))
}

/// An error that ends the connection.
pub(super) fn fatal(state: &str, message: impl Into<String>) -> PgWireError {
    error("FATAL", state, message)
}

pub(super) fn error(severity: &str, state: &str, message: impl Into<String>) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new(severity.to_owned(), state.to_owned(), message.into())))
}

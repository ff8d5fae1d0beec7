//! The transaction that a client believes to be in.
//!
//! Owns: that nothing is answered in one that failed, until its client ends it or goes back to a point before the failure.
//! Does not own: beginning and ending it (`simple`).

use pgwire::error::PgWireResult;
use pgwire::messages::response::TransactionStatus;

use super::command::Command;
use super::failure::error;

/// Refuses what cannot be done in a transaction that failed.
///
/// # Errors
/// 25P02.
pub(super) fn check(status: TransactionStatus, command: Option<&Command>) -> PgWireResult<()> {
    match (status, command) {
        (TransactionStatus::Error, Some(Command::End(_) | Command::RollbackTo) | None) => Ok(()),
        (TransactionStatus::Error, Some(_)) => {
            Err(error("ERROR", "25P02", "the transaction failed: nothing is answered in it before its ROLLBACK"))
        }
        _ => Ok(()),
    }
}

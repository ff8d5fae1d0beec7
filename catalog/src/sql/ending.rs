//! The end of a transaction that changes the list of objects: committed, not committed, or unknown.
//!
//! Owns: these three endings, for commits and replacements alike. Does not own: the content of the transaction.

use crate::database::{Access, Connection, Door, Transaction};
use crate::error::{CatalogError, Result, is_sqlite_busy};

/// The end of a transaction.
pub(super) enum Ending {
    /// It is committed.
    Committed,
    /// It is certainly not committed.
    NotCommitted(CatalogError),
    /// COMMIT was sent, and the answer does not settle the outcome.
    Unknown(CatalogError),
}

/// Begins a transaction that writes.
pub(super) async fn begin(connection: &mut dyn Connection) -> Result<Box<dyn Transaction + '_>> {
    Ok(connection.begin(Access::Write).await?)
}

/// Sends COMMIT, and returns the end of the transaction.
pub(super) async fn send_commit(door: &Door, transaction: Box<dyn Transaction + '_>) -> Ending {
    let sent = async { Ok(transaction.commit_segments().await) };
    match door.answered(sent).await {
        Ok(Ok(())) => Ending::Committed,
        Ok(Err(error)) if certainly_failed(&error) => Ending::NotCommitted(error.into()),
        Ok(Err(error)) => Ending::Unknown(door.commit_failed(error)),
        Err(silence) => Ending::Unknown(silence),
    }
}

/// True for the error of a COMMIT that certainly did not happen: SQLite did not get its lock. No error proves that on
/// PostgreSQL.
fn certainly_failed(error: &sqlx::Error) -> bool {
    is_sqlite_busy(error)
}

//! The end of a transaction that changes the list of objects: it is committed, it is not, or nobody knows.
//!
//! Owns: these three endings, for commits and replacements alike. Does not own: what the transaction did.

use crate::database::{Access, Connection, Door, Transaction};
use crate::error::{CatalogError, Result, is_sqlite_busy};

/// The end of a transaction.
pub(super) enum Ending {
    /// It is committed.
    Committed,
    /// It certainly is not.
    NotCommitted(CatalogError),
    /// COMMIT was sent, and the answer does not tell.
    Unknown(CatalogError),
}

/// Begins a transaction that writes.
pub(super) async fn begin(connection: &mut dyn Connection) -> Result<Box<dyn Transaction + '_>> {
    Ok(connection.begin(Access::Write).await?)
}

/// Sends COMMIT, and says what became of the transaction.
pub(super) async fn send_commit(door: &Door, transaction: Box<dyn Transaction + '_>) -> Ending {
    let sent = async { Ok(transaction.commit_segments().await) };
    match door.answered(sent).await {
        Ok(Ok(())) => Ending::Committed,
        Ok(Err(error)) if certainly_failed(&error) => Ending::NotCommitted(error.into()),
        Ok(Err(error)) => Ending::Unknown(door.commit_failed(error)),
        Err(silence) => Ending::Unknown(silence),
    }
}

/// True for the error of a COMMIT that certainly did not happen: SQLite could not even get its lock. Nothing proves
/// that on PostgreSQL.
fn certainly_failed(error: &sqlx::Error) -> bool {
    is_sqlite_busy(error)
}

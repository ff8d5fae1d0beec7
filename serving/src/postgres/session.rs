//! What one connection knows: its client, and what is being cancelled.
//!
//! Owns: finding it in pgwire's store of a connection, and ending a statement that its client cancels. Does not own: who
//! is let in (`startup`).

use std::sync::Arc;

use catalog::Presented;
use futures::future::{Either, select};
use pgwire::api::{ClientInfo, ConnectionHandle};
use pgwire::error::{PgWireError, PgWireResult};

use super::failure::fatal;
use crate::error::{FailureKind, QueryFailure};
use crate::executor::Client;

/// A client that was let in.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// Its token, which is asked for again at each statement: it may be revoked.
    pub(super) presented: Presented,
    pub(super) client: Client,
}

/// The session of a connection.
///
/// # Errors
/// The client was not let in: pgwire asks for a session only after the start.
pub(super) fn session(connection: &impl ClientInfo) -> PgWireResult<Arc<Session>> {
    connection.session_extensions().get::<Session>().ok_or_else(|| fatal("28000", "log in first"))
}

/// Takes note of cancellations from now on.
pub(super) async fn cancellation(connection: &impl ClientInfo) -> Cancellation {
    Cancellation(match connection.session_extensions().get::<Arc<ConnectionHandle>>() {
        Some(handle) => Some(handle.start_query().await),
        None => None,
    })
}

/// The wish of a client to end its statement.
pub(super) struct Cancellation(Option<futures::channel::oneshot::Receiver<()>>);

impl Cancellation {
    /// Does the work, unless the client cancels it.
    pub(super) async fn or<T>(self, work: impl Future<Output = PgWireResult<T>>) -> PgWireResult<T> {
        let Some(wish) = self.0 else { return work.await };
        match select(Box::pin(work), wish).await {
            Either::Left((done, _)) => done,
            Either::Right((Ok(()), _)) => Err(cancelled()),
            // The next statement of the connection replaced it, which it cannot before this one ends.
            Either::Right((Err(_), work)) => work.await,
        }
    }
}

fn cancelled() -> PgWireError {
    QueryFailure::new(FailureKind::Cancelled, "the query was cancelled by its client").into()
}

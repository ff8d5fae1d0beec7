//! Signals that stop a query.
//!
//! Owns: the reason of a stop, and the end of a process whose query does not notice it in time.
//! Does not own: the query, which takes its temporary files with it when it is dropped.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::exit::Exit;
use crate::output;

/// Longest time for a query to notice a signal: planning a statement cannot be broken off.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits for SIGINT and SIGTERM.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// From now on the signals end the process only through this.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Tells the reason of the first signal, then ends the process at the second one, or when the query has not ended in
    /// time. Such a query is in planning, where it has no temporary files.
    pub(super) async fn tell(mut self, reason: oneshot::Sender<&'static str>) {
        let signalled = self.next().await;
        // A query that has ended listens no more.
        reason.send(signalled).ok();
        tokio::select! {
            _ = self.next() => {}
            () = sleep(PATIENCE) => {}
        }
        output::note(signalled);
        std::process::exit(Exit::Failed.code().into());
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "interrupted",
            _ = self.terminate.recv() => "stopped by SIGTERM",
        }
    }
}

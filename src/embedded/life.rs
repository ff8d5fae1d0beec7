//! Whether an embedded Siltstone still works, and why not.
//!
//! Owns: the two ends (closed by the caller, the writer's own), which callers learn of, and ending work that waits.
//! Does not own: the writer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;
use writer::WriterError;

use super::error::{Error, Result};

/// Shared by everything that must notice the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Life {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    is_closed: AtomicBool,
    writers_end: OnceLock<Arc<WriterError>>,
    /// Cancelled by either end.
    has_ended: CancellationToken,
    /// Cancelled by the writer's own.
    writer_has_ended: CancellationToken,
}

impl Life {
    /// Records that the caller closes it.
    pub(super) fn close(&self) {
        self.shared.is_closed.store(true, Ordering::Release);
        self.shared.has_ended.cancel();
    }

    /// Records that the writer ended by itself.
    pub(super) fn writer_ended(&self, error: WriterError) {
        self.shared.writers_end.set(Arc::new(error)).ok();
        self.shared.writer_has_ended.cancel();
        self.shared.has_ended.cancel();
    }

    /// Succeeds while it works.
    pub(super) fn check(&self) -> Result<()> {
        if self.shared.is_closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        match self.shared.writers_end.get() {
            Some(error) => Err(Error::WriterEnded(Arc::clone(error))),
            None => Ok(()),
        }
    }

    /// Returns once the writer has ended by itself, also after a close.
    pub(super) async fn writers_end(&self) -> Error {
        self.shared.writer_has_ended.cancelled().await;
        let error = self.shared.writers_end.get().expect("the end is set before it is signalled");
        Error::WriterEnded(Arc::clone(error))
    }

    /// Returns once it has ended.
    pub(super) async fn ended(&self) -> Error {
        self.shared.has_ended.cancelled().await;
        self.check().expect_err("the end is set before it is signalled")
    }

    /// The result of `work`, or the end that came first. `work` must be safe to drop.
    pub(super) async fn unless_ended<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            end = self.ended() => Err(end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_writers_end_is_said_and_ends_what_waits() {
        let life = Life::default();
        life.check().expect("it works");
        assert_eq!(life.unless_ended(async { 7 }).await.expect("done"), 7);
        let waiting = life.unless_ended(std::future::pending::<()>());
        life.writer_ended(WriterError::Internal("a defect".to_owned()));
        for error in [waiting.await.expect_err("it ended"), life.check().expect_err("it ended")] {
            assert!(error.to_string().contains("internal error: a defect"), "{error}");
        }
        assert_eq!(life.unless_ended(async { 8 }).await.expect("work that is ready is done"), 8);
    }

    #[tokio::test]
    async fn a_close_is_said_and_hides_no_end_of_the_writer_from_itself() {
        let life = Life::default();
        life.close();
        let waiting = life.unless_ended(std::future::pending::<()>());
        assert!(matches!(waiting.await, Err(Error::Closed)));
        life.writer_ended(WriterError::Internal("a defect".to_owned()));
        assert!(matches!(life.check(), Err(Error::Closed)));
        assert!(matches!(life.writers_end().await, Error::WriterEnded(_)));
    }
}

//! CPU work of the pipelines: decoding and encoding, apart from the async threads.
//!
//! Owns: the limit of concurrent work, and its threads. Does not own: the work.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parquet::errors::ParquetError;
use tokio::sync::Semaphore;

use crate::pipeline::context::Stop;

/// Work on so few bytes is done in place: another thread would take longer to wake up.
const LITTLE_BYTES_MAX: usize = 16 * 1024;

/// Runs CPU work. Clones share the limit.
#[derive(Clone, Debug)]
pub(crate) struct Cpu {
    /// One permit per core, because the work itself never waits.
    cores: Arc<Semaphore>,
    is_inline: bool,
}

impl Cpu {
    /// Limits the work to the machine's cores. `is_inline`: work runs in place instead of on a blocking thread, for
    /// simulations.
    pub(crate) fn new(is_inline: bool) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { cores: Arc::new(Semaphore::new(cores)), is_inline }
    }

    /// Runs `work` on `bytes` bytes: in place if they are few, or as [`run`](Self::run) does.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(crate) async fn run_on<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> Result<T, ParquetError> + Send + 'static,
    ) -> Result<T, Stop> {
        if self.is_inline || bytes > LITTLE_BYTES_MAX {
            return self.run(work).await;
        }
        // What a panic leaves behind is dropped with the work.
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(done) => done.map_err(|error| failed(&error)),
            Err(_) => Err(Stop::Internal("encoding panicked; the log has the place".to_owned())),
        }
    }

    /// Runs `work` once a core is free.
    ///
    /// # Errors
    /// [`Stop::Internal`] if it fails or panics.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ParquetError> + Send + 'static,
    ) -> Result<T, Stop> {
        if self.is_inline {
            return work().map_err(|error| failed(&error));
        }
        let _core = self.cores.acquire().await.expect("the semaphore is never closed");
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(failed(&error)),
            Err(error) => Err(Stop::Internal(format!("encoding panicked: {error}"))),
        }
    }
}

fn failed(error: &ParquetError) -> Stop {
    Stop::Internal(format!("encoding failed: {error}"))
}

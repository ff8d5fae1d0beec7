//! CPU work of the pipelines: decoding and encoding, apart from the async threads.
//!
//! Owns: the limit of concurrent work, and its threads. Does not own: the work.

use std::sync::Arc;

use parquet::errors::ParquetError;
use tokio::sync::Semaphore;

use crate::pipeline::context::Stop;

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

    /// Runs `work` once a core is free.
    ///
    /// # Errors
    /// [`Stop::Internal`] if it fails or panics.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ParquetError> + Send + 'static,
    ) -> Result<T, Stop> {
        if self.is_inline {
            return work().map_err(|error| Stop::Internal(format!("encoding failed: {error}")));
        }
        let _core = self.cores.acquire().await.expect("the semaphore is never closed");
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(Stop::Internal(format!("encoding failed: {error}"))),
            Err(error) => Err(Stop::Internal(format!("encoding panicked: {error}"))),
        }
    }
}

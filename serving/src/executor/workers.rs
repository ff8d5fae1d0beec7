//! Threads on which statements are planned and run.
//!
//! Owns: a runtime of their own, so that a statement that computes for long without a pause holds up other statements at most,
//! and neither writer, heartbeats nor doors of the same process.
//! Does not own: connections, which stay on the runtime of the process (`lake::query`), the slots (`slots`).

use std::fmt;
use std::thread::available_parallelism;

use lake::query::STACK_BYTES;
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// Threads at least: one statement that computes without a pause leaves one for the others.
const THREADS_MIN: usize = 2;

/// The threads. Dropping them waits for nothing that still computes.
pub(super) struct Workers {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Workers {
    /// As many threads as there are cores.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub(super) fn start() -> std::io::Result<Self> {
        let threads = available_parallelism().map_or(THREADS_MIN, |cores| cores.get().max(THREADS_MIN));
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(threads).thread_name("query").thread_stack_size(STACK_BYTES).enable_all();
        Ok(Self { runtime: Some(builder.build()?) })
    }

    /// Runs the future there. Dropping its handle ends it at its next pause.
    pub(super) fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> AbortOnDropHandle<T> {
        let runtime = self.runtime.as_ref().expect("it is not dropped yet");
        AbortOnDropHandle::new(runtime.spawn(future))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // The last owner may be a task, in which nothing may wait for a runtime to end.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").finish_non_exhaustive()
    }
}

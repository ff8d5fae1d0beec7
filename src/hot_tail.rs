//! The hot tail of the configured queue, for commands that read.
//!
//! Owns: connecting the queue when the first table asks for it, and giving up soon. Does not own: the tail (`writer`), the
//! choice to see it (`lake::query`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use catalog::{Partition, Topic};
use common::QueueError;
use common::config::Settings;
use lake::query::{HotTail, HotTailMode};
use lake::tail::{TailEnd, TailError, TailRequest, TailRows, TailSource};
use service::connect;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::{Instant, timeout};
use writer::QueueTail;

/// Longest wait for the queue: a query whose queue is down shows committed rows soon.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Time for which a failure to connect is the answer to later queries.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Said where the queue is in the memory of another process.
pub(crate) const IN_MEMORY: &str =
    "QUEUE_TYPE=memory keeps what is not committed yet inside the process that publishes it";

/// The tail of the configured queue. `note` gets the reason when a query shows committed rows alone.
pub(crate) fn of(settings: &Settings, note: impl Fn(&str) + Send + Sync + 'static) -> HotTail {
    configured(settings).noting(note)
}

/// The same for a service, whose log gets the reasons.
pub(crate) fn of_service(settings: &Settings) -> HotTail {
    match (connect::is_shared(settings), settings.hot_tail) {
        (_, HotTailMode::Off) => tracing::info!("queries show committed records alone, as HOT_TAIL=off says"),
        (true, mode) => tracing::info!(%mode, queue = connect::queue_place(settings), "queries show published records"),
        (false, _) => tracing::info!("queries show committed records alone: {IN_MEMORY}"),
    }
    configured(settings)
}

fn configured(settings: &Settings) -> HotTail {
    match connect::is_shared(settings) {
        true => HotTail::of(Arc::new(source(settings))),
        false => HotTail::unavailable(IN_MEMORY),
    }
}

/// The source of the tail, of a queue that other processes can reach.
pub(crate) fn source(settings: &Settings) -> impl TailSource + 'static {
    ConfiguredTail { settings: settings.clone(), tail: OnceCell::new(), failed: Mutex::new(None) }
}

/// Connects when it is first asked.
#[derive(Debug)]
struct ConfiguredTail {
    settings: Settings,
    tail: OnceCell<QueueTail>,
    /// The last failure to connect, with its moment. Held while one query connects: others wait for its outcome.
    failed: Mutex<Option<(Instant, TailError)>>,
}

impl ConfiguredTail {
    async fn tail(&self) -> Result<&QueueTail, TailError> {
        if let Some(tail) = self.tail.get() {
            return Ok(tail);
        }
        let mut failed = self.failed.lock().await;
        // Queries that waited for this one do not wait for their own attempts, one after the other.
        if let Some((at, error)) = failed.as_ref()
            && at.elapsed() < RETRY_PAUSE
        {
            return Err(error.clone());
        }
        let tail = self.tail.get_or_try_init(|| self.connected()).await;
        tail.inspect_err(|error| *failed = Some((Instant::now(), error.clone())))
    }

    async fn connected(&self) -> Result<QueueTail, TailError> {
        match timeout(CONNECT_TIMEOUT, connect::queue(&self.settings)).await {
            Ok(Ok(queue)) => Ok(QueueTail::of(queue, &self.settings)),
            // It is said once.
            Ok(Err(error)) => {
                let text = error.to_string();
                Err(QueueError::unavailable(text.strip_prefix("queue unavailable: ").unwrap_or(&text)).into())
            }
            Err(_) => {
                let place = connect::queue_place(&self.settings);
                Err(QueueError::unavailable(format!("{place} did not answer within {CONNECT_TIMEOUT:?}")).into())
            }
        }
    }
}

#[async_trait]
impl TailSource for ConfiguredTail {
    async fn ends(&self, topic: &Topic, partitions: &[&Partition]) -> Vec<Result<TailEnd, TailError>> {
        match self.tail().await {
            Ok(tail) => tail.ends(topic, partitions).await,
            Err(error) => partitions.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn read(&self, request: TailRequest<'_>) -> Result<TailRows, TailError> {
        self.tail().await?.read(request).await
    }
}

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
use lake::query::HotTail;
use lake::tail::{TailEnd, TailError, TailRequest, TailRows, TailSource};
use service::connect;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use writer::QueueTail;

/// Longest wait for the queue: a query whose queue is down shows committed rows soon.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Said where the queue is in the memory of another process.
pub(crate) const IN_MEMORY: &str =
    "QUEUE_TYPE=memory keeps what is not committed yet inside the process that publishes it";

/// The tail of the configured queue. `note` gets the reason when a query shows committed rows alone.
pub(crate) fn of(settings: &Settings, note: impl Fn(&str) + Send + Sync + 'static) -> HotTail {
    match connect::is_shared(settings) {
        true => HotTail::of(Arc::new(source(settings))).noting(note),
        false => HotTail::unavailable(IN_MEMORY).noting(note),
    }
}

/// The source of the tail, of a queue that other processes can reach.
pub(crate) fn source(settings: &Settings) -> impl TailSource + 'static {
    ConfiguredTail { settings: settings.clone(), tail: OnceCell::new() }
}

/// Connects when it is first asked.
#[derive(Debug)]
struct ConfiguredTail {
    settings: Settings,
    tail: OnceCell<QueueTail>,
}

impl ConfiguredTail {
    async fn tail(&self) -> Result<&QueueTail, TailError> {
        let connecting = async {
            let queue = timeout(CONNECT_TIMEOUT, connect::queue(&self.settings)).await;
            match queue {
                Ok(Ok(queue)) => Ok(QueueTail::new(queue)),
                Ok(Err(error)) => Err(QueueError::unavailable(error).into()),
                Err(_) => {
                    let place = connect::queue_place(&self.settings);
                    Err(QueueError::unavailable(format!("{place} did not answer within {CONNECT_TIMEOUT:?}")).into())
                }
            }
        };
        self.tail.get_or_try_init(|| connecting).await
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

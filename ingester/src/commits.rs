//! Commits: waits until the catalog lists a record, or has it in quarantine.
//!
//! Owns: the looks at the catalog on behalf of all who wait, and the fate of a record.
//! Does not own: publishing (`producer`), the commit itself (the writer), errors (`error`).

mod error;

use std::sync::Arc;
use std::time::Duration;

use catalog::{MetadataStore, Partition};
use common::{ErrorKind, Incarnation, Queue, TopicPartition};
use lake::Storage;
use tokio::sync::Notify;
use tokio::time::Instant;

pub use self::error::WaitError;

/// Time between two looks at the catalog.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The end of a record that is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// All of its rows are in the topic's table.
    Committed,
    /// It is in quarantine, whole, or with those of its rows that could not be decoded.
    Quarantined {
        /// The reason; of several rows, that of the first.
        reason: String,
    },
}

/// A partition before a record is published to it: the history in which the record's offset will count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    partition: TopicPartition,
    /// Tells a topic from an earlier one of its name.
    created_at: i64,
    incarnation: Incarnation,
}

/// Waits for commits on behalf of many records at once. Share it in an [`Arc`]: all methods take `&self`.
///
/// Call [`Commits::before`] before a record is published, publish it as
/// [`awaited`](common::OutgoingMessage::awaited), then [`Commits::wait`] for the offset that the queue confirmed.
///
/// The catalog alone decides. [`Fate::Committed`] means that the record's offset was below the watermark and in no gap,
/// in the incarnation in which it was published, and that the queue, asked after that, still had the history that was
/// committed. One case cannot be told: a queue that lost a confirmed record and gave its offset to another one before the
/// writer read it, as a server without a sync may after a power cut.
#[derive(Debug)]
pub struct Commits {
    catalog: Arc<dyn MetadataStore>,
    queue: Option<Arc<dyn Queue>>,
    storage: Option<Storage>,
    hinted: Notify,
}

impl Commits {
    /// Waits for commits in `catalog`.
    pub fn new(catalog: Arc<dyn MetadataStore>) -> Self {
        Self { catalog, queue: None, storage: None, hinted: Notify::new() }
    }

    /// Compares the committed history with that of `queue`, the queue that records are published to. Without it, a queue
    /// that was made again goes unnoticed until the writer notices.
    #[must_use]
    pub fn with_queue(mut self, queue: Arc<dyn Queue>) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Reads the reasons of quarantined records from `storage`. Without it, a record in a batch with quarantined ones
    /// gives [`WaitError::QuarantineUnread`].
    #[must_use]
    pub fn with_storage(mut self, storage: Storage) -> Self {
        self.storage = Some(storage);
        self
    }

    /// The history in which the offset of a record will count that is published after this call. It serves any number of
    /// records that are published together.
    ///
    /// # Errors
    /// `TopicGone` and `Catalog`; nothing is published then.
    pub async fn before(&self, partition: &TopicPartition) -> Result<Before, WaitError> {
        let found = self.look(partition).await?;
        Ok(Before { partition: partition.clone(), created_at: found.created_at, incarnation: found.incarnation })
    }

    /// Waits until the record at `offset` is committed, at most for `limit`. Cancel-safe: a dropped wait changes nothing.
    ///
    /// # Errors
    /// None of them means that the record is committed. [`WaitError::NotInTime`] names the obstacle.
    pub async fn wait(&self, before: &Before, offset: u64, limit: Duration) -> Result<Fate, WaitError> {
        let partition = &before.partition;
        let deadline = Instant::now() + limit;
        loop {
            let reason = match self.look(partition).await {
                Ok(found) if found.created_at != before.created_at => {
                    return Err(WaitError::TopicGone { partition: partition.clone() });
                }
                Ok(found) if found.incarnation != before.incarnation => {
                    let reason = "the partition was resumed in a new incarnation".to_owned();
                    return Err(WaitError::OtherHistory { partition: partition.clone(), offset, reason });
                }
                Ok(found) if offset < found.high_watermark => return Ok(Fate::Committed),
                Ok(found) => format!("everything below offset {} is committed", found.high_watermark),
                Err(error) if error.kind() == ErrorKind::Unavailable => error.to_string(),
                Err(error) => return Err(error),
            };
            if Instant::now() >= deadline {
                return Err(WaitError::NotInTime { partition: partition.clone(), offset, limit, reason });
            }
            tokio::time::timeout(LOOK_INTERVAL, self.hinted.notified()).await.ok();
        }
    }

    /// Lets those who wait look at the catalog at once: something was committed, perhaps.
    pub fn hint(&self) {
        self.hinted.notify_waiters();
    }

    async fn look(&self, partition: &TopicPartition) -> Result<Partition, WaitError> {
        let found = self.catalog.get_partition(partition).await?;
        found.ok_or_else(|| WaitError::TopicGone { partition: partition.clone() })
    }
}

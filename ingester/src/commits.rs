//! Commits: waits until the catalog lists a record, or has it in quarantine.
//!
//! Owns: the door, and the wait for an answer. Those who wait also do the looking, one on behalf of all, so that
//! nothing is asked while nobody waits.
//! Does not own: publishing (`producer`), the commit itself (the writer), the look (`look`) and its time (`pace`), the
//! hints of other processes (`announced`).

mod announced;
mod error;
mod found;
mod look;
mod pace;
mod places;
mod refusals;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use catalog::{MetadataStore, Partition};
use common::queue::PublishAck;
use common::{Incarnation, Queue, QueueError, TopicName, TopicPartition};
use lake::Storage;
use tokio::sync::watch;

use self::announced::Listener;
pub use self::error::WaitError;
use self::pace::Pace;
use self::places::{Place, Places};
pub use self::refusals::Refusals;
use self::rows::Rows;

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
    high_watermark: u64,
    /// The queue's description of its history.
    history: Option<String>,
}

impl Before {
    /// The partition.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Everything below was committed: no new record gets such an offset in this history.
    pub fn high_watermark(&self) -> u64 {
        self.high_watermark
    }

    /// The incarnation in which the offset will count.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }
}

/// Waits for commits on behalf of many records at once. Share it in an [`Arc`]: all methods take `&self`.
///
/// Call [`Commits::before`] before a record is published, publish it as
/// [`awaited`](common::OutgoingMessage::awaited), then [`Commits::wait`] with the queue's ack. One look at the catalog
/// serves all who wait for a partition, and one query the partitions of a topic. Looks are made only while somebody waits:
/// 5 to 100 ms apart, and at once after a hint.
///
/// The catalog alone decides, never a hint. [`Fate::Committed`] means that the record's offset was below the watermark
/// and in no gap, in the incarnation in which it was published, and that the queue, asked after that, still had the
/// history that was committed. Two cases cannot be told, both of a queue that lost confirmed records, as a server that does
/// not sync may do after a power cut: it gave the offset to another record before the writer read it; or it gave the
/// offset of a record that the writer had read to this one, and discarded the messages that show it before they could be
/// compared.
#[derive(Debug)]
pub struct Commits {
    catalog: Arc<dyn MetadataStore>,
    queue: Option<Arc<dyn Queue>>,
    storage: Option<Storage>,
    hints: Option<watch::Receiver<u64>>,
    /// Present if the queue carries hints of writers in other processes.
    listener: Option<Listener>,
    places: Arc<Places>,
    // A std mutex: held to find or add, never across an await.
    rows: Mutex<HashMap<TopicName, Arc<Rows>>>,
}

impl Commits {
    /// Waits for commits in `catalog`.
    pub fn new(catalog: Arc<dyn MetadataStore>) -> Self {
        let (queue, storage, hints, listener) = (None, None, None, None);
        Self { catalog, queue, storage, hints, listener, places: Arc::default(), rows: Mutex::default() }
    }

    /// Compares the committed history with that of `queue`, the queue that records are published to, and takes the
    /// announcements of writers that come through it as hints. Without it, a queue that was made again goes unnoticed until
    /// the writer notices, and a record whose id was known gives [`WaitError::OtherHistory`].
    #[must_use]
    pub fn with_queue(mut self, queue: Arc<dyn Queue>) -> Self {
        self.listener = queue.announcements().map(Listener::new);
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

    /// Takes each change of `hints` as a hint, such as those of `RunningWriter::commits` in the same process.
    #[must_use]
    pub fn with_hints(mut self, hints: watch::Receiver<u64>) -> Self {
        self.hints = Some(hints);
        self
    }

    /// The history in which the offset of a record will count that is published after this call. It serves any number of
    /// records that are published together.
    ///
    /// # Errors
    /// `TopicGone`, `Catalog` and `Queue`; publish nothing then.
    pub async fn before(&self, partition: &TopicPartition) -> Result<Before, WaitError> {
        if let Some(listener) = &self.listener {
            listener.begin(&self.places);
        }
        let (history, row) = futures::future::join(self.history(partition), self.row(partition)).await;
        let history = history?;
        let row = row?.ok_or_else(|| WaitError::TopicGone { partition: partition.clone() })?;
        Ok(Before {
            partition: partition.clone(),
            created_at: row.created_at,
            incarnation: row.incarnation,
            high_watermark: row.high_watermark,
            history,
        })
    }

    /// Waits until the record that the queue confirmed with `ack` is committed, at most for `limit`. Cancel-safe: a dropped
    /// wait changes nothing.
    ///
    /// # Errors
    /// None of them means that the record is committed. [`WaitError::NotInTime`] names the obstacle; an unavailable
    /// catalog or queue is waited out until then.
    pub async fn wait(&self, before: &Before, ack: PublishAck, limit: Duration) -> Result<Fate, WaitError> {
        let offset = ack.offset;
        if offset < before.high_watermark && (self.queue.is_none() || !ack.duplicate) {
            let (partition, high_watermark) = (before.partition.clone(), before.high_watermark);
            let reason = format!("everything below offset {high_watermark} was committed before it was published");
            return Err(WaitError::OtherHistory { partition, offset, reason });
        }
        let visitor = self.places.visit(&before.partition, offset, || Pace::new(self.hints.clone()));
        let deadline = tokio::time::sleep(limit);
        tokio::pin!(deadline);
        loop {
            let changed = visitor.changed();
            tokio::pin!(changed);
            // Waiting begins before the view is read, so that no change falls between the two.
            changed.as_mut().enable();
            if let Some(answer) = visitor.answer(before) {
                return answer;
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = &mut deadline => return Err(visitor.not_in_time(limit)),
                () = self.lead(&visitor.place) => {}
            }
        }
    }

    /// Waits for the turn to look, then for the time, and looks once on behalf of all.
    async fn lead(&self, place: &Place) {
        let mut pace = place.turn.lock().await;
        pace.next(&place.arrived, &place.announced).await;
        self.look(place).await;
    }

    /// The queue's description of its history.
    async fn history(&self, partition: &TopicPartition) -> Result<Option<String>, QueueError> {
        match &self.queue {
            Some(queue) => Ok(Some(queue.bounds(partition).await?.history)),
            None => Ok(None),
        }
    }

    async fn row(&self, partition: &TopicPartition) -> catalog::Result<Option<Partition>> {
        let rows = Arc::clone(self.rows().entry(partition.topic.clone()).or_default());
        let row = rows.row(self.catalog.as_ref(), partition).await?;
        if row.is_none() {
            // Names of topics that do not exist must not gather.
            self.rows().remove(&partition.topic);
        }
        Ok(row)
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<TopicName, Arc<Rows>>> {
        self.rows.lock().expect("no holder of this lock panics")
    }
}

//! Tables: the table of one topic in its current version, which all pipelines of the topic share.
//!
//! Owns: taking a newer version, the sizes that its objects teach, and how often one is looked for because records were refused.
//! Does not own: the regular look at all topics (`ownership::topics`), decoding (`decode`), swapping decoders (`assemble`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use catalog::{MetadataStore, Topic};
use common::{Message, TopicName};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::error::Result;
use crate::pipeline::batch::SizeRatio;
use crate::pipeline::decode::TopicTable;

/// The header that a replayed record carries: `<incarnation>/<partition>/<offset>/<row>` of the one in quarantine.
pub const REPLAY_OF: &str = "Siltstone-Replay-Of";

/// Between two looks at a topic because of records that nobody replayed: whoever changes a topic and then sends by the new
/// columns takes longer.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The table of one topic.
#[derive(Debug)]
pub(crate) struct TopicTables {
    name: TopicName,
    /// Tells the topic from a later one of the same name.
    pub(crate) created_at: i64,
    current: watch::Sender<Arc<TopicTable>>,
    /// When the last look that was answered began. A lock, because all pipelines of the topic share it; held for one
    /// statement.
    last_look: Mutex<Option<Instant>>,
    /// Of the topic's data.
    pub(crate) size_ratio: SizeRatio,
    /// One pipeline looks for all.
    turn: Semaphore,
}

/// Which records are doubted, of those that are refused or have members without a column: the topic may have changed since its
/// last version was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// None: the topic was looked at after the messages were fetched.
    None,
    /// Those of replayed records: somebody has just mended the columns for them.
    Replayed,
    /// All.
    All,
}

impl TopicTables {
    /// The table of `topic` as it is now.
    pub(crate) fn new(topic: &Topic) -> Arc<Self> {
        Arc::new(Self {
            name: topic.name.clone(),
            created_at: topic.created_at,
            current: watch::channel(TopicTable::new(topic)).0,
            last_look: Mutex::default(),
            size_ratio: SizeRatio::default(),
            turn: Semaphore::new(1),
        })
    }

    /// The current version, and every later one.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<TopicTable>> {
        self.current.subscribe()
    }

    /// Takes the version of `topic`, if it is a later one of the same topic.
    pub(crate) fn update(&self, topic: &Topic) {
        self.current.send_if_modified(|table| {
            // Two looks may end in the other order than they began.
            let is_later = topic.created_at == self.created_at && topic.schema_version > table.schema_version();
            if is_later {
                *table = TopicTable::new(topic);
            }
            is_later
        });
    }

    /// The records that are doubted now. All are once an interval: other records are no reason to ask without end.
    pub(crate) fn doubt(&self) -> Doubt {
        match self.last_look().is_some_and(|last| last.elapsed() < LOOK_INTERVAL) {
            true => Doubt::Replayed,
            false => Doubt::All,
        }
    }

    /// Takes the version that the catalog has, in a look that begins at `since` or later.
    ///
    /// # Errors
    /// When the catalog cannot be asked.
    pub(crate) async fn look(&self, catalog: &dyn MetadataStore, since: Instant) -> Result<()> {
        let _turn = self.turn.acquire().await.expect("the semaphore is never closed");
        if self.last_look().is_some_and(|last| last >= since) {
            return Ok(());
        }
        let began = Instant::now();
        if let Some(topic) = catalog.get_topic(&self.name).await? {
            self.update(&topic);
        }
        *self.last_look.lock().unwrap_or_else(PoisonError::into_inner) = Some(began);
        Ok(())
    }

    fn last_look(&self) -> Option<Instant> {
        *self.last_look.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Doubt {
    /// Whether records of `messages` are doubted.
    pub(crate) fn concerns(self, messages: &[Message]) -> bool {
        let is_replayed = |message: &Message| message.headers.iter().any(|(name, _)| name == REPLAY_OF);
        match self {
            Self::None => false,
            Self::Replayed => messages.iter().any(is_replayed),
            Self::All => true,
        }
    }
}

#[cfg(test)]
mod tests;

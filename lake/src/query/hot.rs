//! The hot tail: rows of published messages that no segment holds yet, as a part of their topic's table.
//!
//! Owns: the origin of tails, the choice of a session to see them, and the ends of a query's tails: looked at once for each
//! topic, so that its table and its quarantine, named any number of times, end at the same offsets.
//! Does not own: the rows (`crate::tail`), the plan of reading them (`scan`), the parts that filters leave (`pruned`).

mod committed;
mod failure;
mod pruned;
mod scan;
mod settings;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::error::{DataFusionError, Result};
use tokio::sync::OnceCell;

pub use self::failure::{HotTailError, hot_tail_error};
pub(super) use self::scan::TailExec;
pub(super) use self::settings::is_set;
pub use self::settings::{HotTailSettings, SessionSettings};
use crate::tail::{TailEnd, TailError, TailSource};
use catalog::{Partition, Topic, TopicSnapshot};
pub use common::config::HotTailMode;
use common::{ErrorKind, TopicName};

/// The origin of the tails that a session's queries see.
#[derive(Clone)]
pub struct HotTail {
    /// The queue, or the reason for which this process cannot read it.
    source: Result<Arc<dyn TailSource>, String>,
    /// Takes the reason when a query shows committed rows alone, or leaves out what is lost.
    note: Arc<dyn Fn(&str) + Send + Sync>,
}

impl HotTail {
    /// Tails from this source.
    pub fn of(source: Arc<dyn TailSource>) -> Self {
        Self { source: Ok(source), note: Arc::new(|reason| tracing::warn!(reason, "hot tail")) }
    }

    /// No tails, for this reason.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self { source: Err(reason.into()), note: Arc::new(|reason| tracing::debug!(reason, "hot tail")) }
    }

    /// The same, which gives the reason to `note` when a query shows committed rows alone.
    #[must_use]
    pub fn noting(self, note: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { note: Arc::new(note), ..self }
    }
}

impl fmt::Debug for HotTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HotTail({:?})", self.source)
    }
}

/// The tails of one query.
#[derive(Debug)]
pub(super) struct QueryTails {
    hot: HotTail,
    settings: HotTailSettings,
    /// A lock, because planning asks through shared references; never held across an await.
    topics: Mutex<HashMap<TopicName, Arc<TopicTail>>>,
}

impl QueryTails {
    pub(super) fn new(hot: HotTail, settings: HotTailSettings) -> Arc<Self> {
        Arc::new(Self { hot, settings, topics: Mutex::default() })
    }

    /// No tails.
    pub(super) fn none() -> Arc<Self> {
        let settings = HotTailSettings { mode: HotTailMode::Off, ..HotTailSettings::default() };
        Self::new(HotTail::unavailable("these queries see committed rows alone"), settings)
    }

    /// The tail of a topic, as of the query's snapshot.
    pub(super) fn of(self: &Arc<Self>, snapshot: &TopicSnapshot) -> Arc<TopicTail> {
        // Only map operations happen under the lock: a poisoned one is still whole.
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let tail = topics.entry(snapshot.topic.name.clone()).or_insert_with(|| {
            let (topic, partitions) = (Arc::new(snapshot.topic.clone()), snapshot.partitions.clone());
            Arc::new(TopicTail { query: Arc::clone(self), topic, partitions, ends: OnceCell::new() })
        });
        Arc::clone(tail)
    }
}

/// The tail of one topic in one query.
#[derive(Debug)]
pub(super) struct TopicTail {
    query: Arc<QueryTails>,
    topic: Arc<Topic>,
    /// As of the snapshot.
    partitions: Vec<Partition>,
    ends: OnceCell<Vec<(Partition, TailEnd)>>,
}

impl TopicTail {
    /// The partitions with a tail, and the ends of the tails. The first call looks at the queue.
    ///
    /// # Errors
    /// In mode `on`: there is no source, or a partition's tail cannot be read.
    pub(super) async fn ends(&self) -> Result<&[(Partition, TailEnd)]> {
        let ends = self.ends.get_or_try_init(|| async { self.look().await }).await?;
        Ok(ends)
    }

    /// The source of the rows; there is one if there are ends.
    pub(super) fn source(&self) -> Result<&Arc<dyn TailSource>> {
        self.query.hot.source.as_ref().map_err(|reason| DataFusionError::Execution(reason.clone()))
    }

    pub(super) fn settings(&self) -> &HotTailSettings {
        &self.query.settings
    }

    pub(super) fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }

    /// In mode `on` the error, in mode `auto` a note of it.
    fn without(&self, kind: ErrorKind, reason: &str) -> Result<()> {
        let topic = &self.topic.name;
        if self.settings().mode == HotTailMode::On {
            let text = format!(
                "topic {topic} has no hot tail here: {reason}; SET siltstone.hot_tail = off shows committed rows alone"
            );
            return Err(match kind {
                ErrorKind::Unavailable => HotTailError::Unavailable(text).into(),
                _ => DataFusionError::Execution(text),
            });
        }
        (self.query.hot.note)(&format!("topic {topic}: committed rows only, without the hot tail: {reason}"));
        Ok(())
    }

    async fn look(&self) -> Result<Vec<(Partition, TailEnd)>> {
        if self.settings().mode == HotTailMode::Off {
            return Ok(Vec::new());
        }
        let source = match &self.query.hot.source {
            Ok(source) => source,
            Err(reason) => return self.without(ErrorKind::Fatal, reason).map(|()| Vec::new()),
        };
        let partitions: Vec<&Partition> = self.partitions.iter().collect();
        let looks = source.ends(&self.topic, &partitions);
        let patience = self.settings().timeout;
        let Ok(looks) = tokio::time::timeout(patience, looks).await else {
            let reason = format!("the queue did not say within {patience:?} where it ends");
            return self.without(ErrorKind::Unavailable, &reason).map(|()| Vec::new());
        };
        let (mut ends, mut failures): (_, Vec<TailError>) = (Vec::new(), Vec::new());
        for (partition, look) in self.partitions.iter().zip(looks) {
            match look {
                Ok(end) if end.next_offset > end.first_offset => ends.push((partition.clone(), end)),
                Ok(_) => {}
                Err(failure) => failures.push(failure),
            }
        }
        if let Some(first) = failures.first() {
            let others = failures.len() - 1;
            let more = if others == 0 { String::new() } else { format!(" (and {others} more partitions)") };
            self.without(first.kind(), &format!("{first}{more}"))?;
        }
        Ok(ends)
    }

    /// Notes that offsets have no rows because they are lost; an error in mode `on`.
    pub(super) fn lost(&self, partition: &common::TopicPartition, range: common::OffsetRange) -> Result<()> {
        let (base, end) = (range.base(), range.end());
        let text = format!(
            "offsets {base} to {end} of partition {partition} are neither committed nor in the queue: the queue has lost them, \
             or the catalog that was asked is a copy that lags behind"
        );
        if self.settings().mode == HotTailMode::On {
            return Err(DataFusionError::Execution(format!(
                "{text}; SET siltstone.hot_tail = off shows committed rows alone"
            )));
        }
        (self.query.hot.note)(&text);
        Ok(())
    }
}

//! Compaction: small objects of a table become few large ones, sorted, while everything goes on.
//!
//! Owns: the looks at topics, the choice of the next job, and its report. Does not own: which objects belong together
//! (`policy`), a job's steps (`job`), deleting what was replaced (`janitor`).
//!
//! Every writer compacts, one job at a time, and so may any number of processes of `siltstone compact`. Nobody needs a lease:
//! of two jobs that share an object, the catalog lets one succeed, and the other's work is lost. Each takes a random one of
//! the jobs that are due, so that this is rare.

mod health;
mod job;
mod pace;
mod policy;
mod standalone;
mod work;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use catalog::{CatalogError, FileId, ObjectInfo, SegmentKind};
use common::TopicName;
use common::clock::SharedClock;
use common::config::Settings;
use tokio::time::Instant;

use self::health::Written;
pub use self::health::{TableHealth, health};
pub use self::standalone::Compactor;

pub(crate) use self::job::Tools;
use self::job::{Outcome, Run};
use self::pace::Pace;
use self::work::{Work, due};
use crate::service::metrics;
use crate::service::status::StatusBoard;

/// Sees each job that is done.
type Told<'a> = &'a mut (dyn FnMut(&Compacted) + Send);

/// Most topics of one look, in a catalog of very many. The next look takes others.
const TOPICS_AT_ONCE: usize = 100;

/// The settings of compaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactionConfig {
    /// True if the writer compacts.
    pub is_on: bool,
    /// Size that merged objects should reach, in bytes.
    pub target_bytes: u64,
    /// Objects as the pipeline writes them that are merged at once.
    pub objects_min: usize,
    /// Bytes in memory that a job may take.
    pub memory_bytes: u64,
    /// Time between two looks.
    pub pause: Duration,
    /// Compress merged objects; false in simulations alone.
    pub is_compressed: bool,
}

impl CompactionConfig {
    /// A part of a writer: a quarter of its memory.
    pub(crate) fn of_writer(settings: &Settings) -> Self {
        Self { memory_bytes: settings.memory_budget_bytes as u64 / 4, ..Self::of_process(settings) }
    }

    /// A process of its own.
    pub fn of_process(settings: &Settings) -> Self {
        Self {
            is_on: settings.compaction.is_on(),
            target_bytes: settings.compaction_target_bytes as u64,
            objects_min: settings.compaction_min_objects,
            memory_bytes: settings.memory_budget_bytes as u64,
            // New objects come once a flush.
            pause: (settings.flush_interval() * 4).clamp(Duration::from_secs(1), Duration::from_secs(60)),
            is_compressed: true,
        }
    }
}

/// Objects that took the place of others.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Compacted {
    /// The topic.
    pub topic: TopicName,
    /// Its table or its quarantine.
    pub kind: SegmentKind,
    /// Number of objects that were merged.
    pub inputs: usize,
    /// Their bytes.
    pub input_bytes: u64,
    /// Their rows.
    pub records: u64,
    /// Bytes of the object that has their rows now.
    pub output_bytes: u64,
    /// Its level.
    pub level: u32,
}

/// The jobs of one look, by their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Passed {
    done: usize,
    /// They ended without success.
    lost: usize,
}

/// The compaction of one process.
#[derive(Debug)]
pub(crate) struct Compaction {
    tools: Tools,
    clock: SharedClock,
    /// Objects that cannot be merged. Nothing is lost by leaving them alone.
    shunned: HashSet<FileId>,
}

impl Compaction {
    pub(crate) fn new(tools: Tools, clock: SharedClock) -> Self {
        Self { tools, clock, shunned: HashSet::new() }
    }

    /// Compacts these topics, or all, until the process is to end.
    pub(crate) async fn run(mut self, topics: Vec<TopicName>, board: StatusBoard) {
        let mut pace = Pace::default();
        loop {
            // Random, so that writers that started together do not look at the same time.
            let pause = self.tools.config.pause.mul_f64(0.5 + fastrand::f64());
            tokio::select! {
                biased;
                () = self.tools.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let lag = board.statuses(self.clock.now_us()).iter().map(|status| status.lag()).sum();
            if !pace.allows(lag) {
                continue;
            }
            let until = Instant::now() + self.tools.config.pause;
            while Instant::now() < until {
                match self.look(&topics, &mut |_| {}).await {
                    Ok(passed) if passed.done > 0 => {}
                    Ok(_) => break,
                    Err(error) => {
                        tracing::warn!(%error, "the catalog does not say what to compact, asked again later");
                        break;
                    }
                }
            }
        }
    }

    /// Does the jobs that are due, of these topics or of all, and tells each that is done. Only those of the lowest level:
    /// their objects are the smallest, and a merge of them helps most.
    async fn look(&mut self, topics: &[TopicName], told: Told<'_>) -> Result<Passed, CatalogError> {
        let (mut due, mut written) = (Vec::new(), Written::default());
        for topic in self.some(topics).await? {
            due.extend(self.due(&topic, &mut written).await?);
        }
        let backlog: usize = due.iter().map(|work| work.inputs.len()).sum();
        ::metrics::gauge!(metrics::COMPACTION_BACKLOG).set(backlog as f64);
        ::metrics::gauge!(metrics::WRITE_AMPLIFICATION).set(written.amplification());
        let lowest = due.iter().map(|work| work.level).min();
        due.retain(|work| Some(work.level) == lowest);
        // Random, so that processes rarely take the same job.
        fastrand::shuffle(&mut due);
        let mut passed = Passed::default();
        for work in due {
            // A fetch that waits for memory comes first.
            if self.tools.stop.is_cancelled() || self.tools.memory.waiters() > 0 {
                break;
            }
            match self.do_job(&work).await {
                Some(done) => {
                    passed.done += 1;
                    told(&done);
                }
                None => passed.lost += 1,
            }
        }
        Ok(passed)
    }

    /// The topics of one look, in any order.
    async fn some(&self, topics: &[TopicName]) -> Result<Vec<TopicName>, CatalogError> {
        let mut topics = match topics {
            [] => self.tools.catalog.list_topics().await?.into_iter().map(|topic| topic.name).collect(),
            some => some.to_vec(),
        };
        fastrand::shuffle(&mut topics);
        topics.truncate(TOPICS_AT_ONCE);
        Ok(topics)
    }

    /// The jobs that are due for a topic; none if it was deleted.
    async fn due(&self, topic: &TopicName, written: &mut Written) -> Result<Vec<Work>, CatalogError> {
        match self.tools.catalog.snapshot(topic).await {
            Ok(snapshot) => {
                snapshot.objects.iter().for_each(|object| written.add(object));
                Ok(due(&snapshot, &self.tools.config, &self.shunned, self.clock.now_ms()))
            }
            Err(CatalogError::TopicNotFound(_)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Does a job; `None` if it had no success.
    async fn do_job(&mut self, work: &Work) -> Option<Compacted> {
        let (topic, kind, inputs) = (&work.topic.name, work.kind.as_str(), work.inputs.len());
        let outcome = Box::pin(Run { tools: &self.tools, work }.run()).await;
        let word = match &outcome {
            Outcome::Done { .. } => "done",
            Outcome::NotNow => return None,
            Outcome::Refused(_) => "refused",
            Outcome::Failed(_) | Outcome::Hopeless { .. } => "failed",
        };
        ::metrics::counter!(metrics::COMPACTION_JOBS, "outcome" => word).increment(1);
        match outcome {
            Outcome::Done { bytes } => return Some(self.done(work, bytes)),
            Outcome::Refused(reason) => tracing::info!(%topic, kind, inputs, %reason, "objects merged in vain"),
            Outcome::Failed(reason) => {
                tracing::warn!(%topic, kind, inputs, reason, "objects not merged, tried again later");
            }
            Outcome::Hopeless { reason, key } => {
                let is_to_blame = |input: &&Arc<ObjectInfo>| key.as_ref().is_none_or(|key| *key == input.key);
                self.shunned.extend(work.inputs.iter().filter(is_to_blame).map(|input| input.file_id));
                tracing::error!(
                    %topic, kind, inputs, reason,
                    "objects cannot be merged; what is to blame is left alone by this process; `siltstone audit` says more"
                );
            }
            Outcome::NotNow => {}
        }
        None
    }

    fn done(&self, work: &Work, output_bytes: u64) -> Compacted {
        let (topic, kind, level) = (work.topic.name.clone(), work.kind, work.level);
        let (inputs, input_bytes, records) = (work.inputs.len(), work.bytes(), work.records());
        ::metrics::counter!(metrics::COMPACTION_OBJECTS).increment(inputs as u64);
        ::metrics::counter!(metrics::COMPACTION_BYTES_READ).increment(input_bytes);
        ::metrics::counter!(metrics::COMPACTION_BYTES_WRITTEN).increment(output_bytes);
        tracing::info!(%topic, kind = kind.as_str(), inputs, input_bytes, output_bytes, records, level, "objects merged");
        Compacted { topic, kind, inputs, input_bytes, records, output_bytes, level }
    }
}

#[cfg(test)]
mod tests;

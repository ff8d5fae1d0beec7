//! A reader of hot tails, which looks at all partitions again and again while everything else goes on.
//!
//! Owns: its connections, and the moments of its looks. Does not own: the reading, which is the real one; the check of
//! its rows (`oracle`), which knows the rows below a watermark already.

use std::sync::Arc;
use std::time::Duration;

use catalog::{MetadataStore, Partition, SegmentKind, Topic};
use common::TopicName;
use common::topic::Format;
use lake::tail::{TailCursor, TailEnd, TailLimits, TailSource, TailStep};
use writer::QueueTail;

use super::calm_rates;
use crate::catalog::{Faults, Rates, Session};
use crate::chance::Chance;
use crate::network::{Link, LinkFaults, Process};
use crate::oracle::{Agreed, Oracle, TailSeen};
use crate::plan::Plan;
use crate::process::Surroundings;
use crate::queue::ModelQueue;
use crate::rows;
use crate::trace::Trace;

struct Reader {
    topic: TopicName,
    format: Format,
    catalog: Arc<dyn MetadataStore>,
    tail: QueueTail,
    chance: Chance,
    oracle: Oracle,
    trace: Trace,
}

/// Starts the reader; it ends with the run.
pub(super) fn start(around: &Surroundings, plan: &Plan, topic: &TopicName) {
    // Not drawn from the run's chance, so that the other parts of a run are those of its seed.
    let chance = Chance::seeded(plan.end.as_millis() as u64 + plan.actions.len() as u64);
    let link = Link::new(Process::default(), chance.fork());
    link.set(|faults| *faults = LinkFaults { request_lost: 10, reply_lost: 10, ..LinkFaults::default() });
    let queue = ModelQueue::new(around.queue.clone(), link, chance.fork(), None);
    let faults = Faults::new(chance.below(u64::MAX), Rates { request_lost: 10, reply_lost: 10, ..calm_rates() });
    let session = Session::new(&around.catalog, &faults, 0);
    let reader = Reader {
        topic: topic.clone(),
        format: plan.format,
        catalog: Arc::new(session),
        tail: QueueTail::new(Arc::new(queue)).inline(),
        chance,
        oracle: around.oracle.clone(),
        trace: around.trace.clone(),
    };
    tokio::spawn(reader.run());
}

impl Reader {
    async fn run(self) {
        loop {
            self.pause(3_000).await;
            self.look().await;
        }
    }

    async fn pause(&self, ms_max: u64) {
        tokio::time::sleep(Duration::from_millis(self.chance.below(ms_max))).await;
    }

    /// Reads the tails behind one snapshot.
    async fn look(&self) {
        let agreed = self.oracle.agreed();
        let Ok(snapshot) = self.catalog.snapshot(&self.topic).await else { return };
        let topic = Arc::new(snapshot.topic);
        let partitions: Vec<&Partition> = snapshot.partitions.iter().collect();
        let ends = self.tail.ends(&topic, &partitions).await;
        for (partition, end) in partitions.into_iter().zip(ends) {
            match end {
                Ok(end) => self.read(&agreed, &topic, partition, end).await,
                Err(error) => self.trace.note("reader", format!("no tail: {error}")),
            }
        }
    }

    /// Reads one tail to its end, in small parts.
    async fn read(&self, agreed: &Agreed, topic: &Arc<Topic>, partition: &Partition, end: TailEnd) {
        let mut seen = TailSeen::new(partition, &end);
        let mut cursor = TailCursor::new(Arc::clone(topic), partition.clone(), end);
        loop {
            let limits = TailLimits { messages_max: 1 + self.chance.below(30) as usize, bytes_max: 4_096 };
            match cursor.step(&self.tail, self.catalog.as_ref(), limits).await {
                Ok(TailStep::Rows(part)) => {
                    let good = part.rows.iter().map(|batch| (SegmentKind::Data, batch));
                    let refused = part.quarantine.iter().map(|batch| (SegmentKind::Quarantine, batch));
                    for (kind, batch) in good.chain(refused) {
                        if let Err(found) = rows::read_batch(self.format, kind, batch, &mut seen.rows) {
                            return self.oracle.report(22, found);
                        }
                    }
                }
                Ok(TailStep::Committed(range)) => seen.committed.push(range),
                Ok(TailStep::Lost(range)) => self.trace.note("reader", format!("{range:?} is lost")),
                Ok(TailStep::End) => return self.oracle.tail_was_read(agreed, &seen),
                Err(error) => return self.trace.note("reader", format!("tail not read: {error}")),
            }
            self.pause(300).await;
        }
    }
}

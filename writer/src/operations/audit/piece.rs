//! Carries out one piece of work.
//!
//! Owns: reading each of its objects once, in bounded memory, and the order of the comparisons.
//! Does not own: the list of pieces (`work`), the rules (`rows`, `messages`), the queue (`stream`).

use catalog::audit::{Check, Problem};
use catalog::{CommitRecord, SegmentKind};
use common::TopicPartition;
use common::memory::MemoryBudget;
use lake::Storage;
use lake::object::Keep;

use super::messages::{CommittedMessage, Decoded, messages_of};
use super::object::ObjectReader;
use super::rows::{self, Row, Wanted};
use super::stream::StreamView;
use super::work::Work;
use super::{Audit, ObjectCounts};
use crate::error::Result;

/// Memory for comparing one row, in bytes: the row and its message.
const ROW_BYTES: u64 = (size_of::<Row>() + size_of::<CommittedMessage>()) as u64;
/// Memory for an object that is read in pieces, in bytes.
const PIECE_BYTES: u64 = 1 << 20;

#[derive(Default)]
pub(super) struct Done {
    pub(super) counts: ObjectCounts,
    pub(super) problems: Vec<Problem>,
}

impl Audit<'_> {
    pub(super) async fn do_work(
        &self,
        partition: &TopicPartition,
        work: &Work<'_>,
        view: Option<&StreamView<'_>>,
        budget: &MemoryBudget,
    ) -> Result<Done> {
        let mut done = Done::default();
        let _memory = budget.acquire(usize::try_from(work.memory_bytes()).unwrap_or(usize::MAX)).await;
        let Some(decoded) = self.read_objects(partition, work, &mut done).await? else { return Ok(done) };
        for run in &work.runs {
            done.counts.decoded_commits += run.commits();
            let messages = match messages_of(&decoded, run, &work.gaps) {
                Ok(messages) => messages,
                Err((offset, found)) => {
                    let problem = Problem::new(Check::Rows, partition, run.incarnation, found, rows::ADVICE);
                    done.problems.push(problem.at(offset).of(work.key_at(run)));
                    continue;
                }
            };
            if let Some(view) = view.filter(|view| work.is_compared && view.holds_some_of(run)) {
                let compared = view.compare(run, &messages).await?;
                done.counts.stream_messages += compared.messages;
                done.counts.stream_discarded += compared.discarded;
                done.problems.extend(compared.problems);
            }
        }
        done.counts.rows += decoded.data.len() as u64 + decoded.quarantine.len() as u64;
        Ok(done)
    }

    /// The rows of all objects of the work; `None` if they are not to be decoded, or cannot be.
    async fn read_objects(
        &self,
        partition: &TopicPartition,
        work: &Work<'_>,
        done: &mut Done,
    ) -> Result<Option<Decoded>> {
        let mut decoded = Some(Decoded::default());
        for wanted in &work.objects {
            let is_first = work.first_seen.contains(&wanted.object().file_id);
            if !is_first && !work.is_decoded {
                continue;
            }
            let mut problems = Vec::new();
            let keep = if work.is_decoded { Keep::Bytes } else { Keep::Nothing };
            let rows = read(self.storage, partition, wanted, keep, &mut problems).await?;
            decoded = decoded.zip(rows).map(|(mut decoded, rows)| {
                decoded.add(wanted, rows);
                decoded
            });
            // If several pieces of work read an object, only the first reports problems of the object itself.
            problems.retain(|problem| is_first || problem.check != Check::Objects);
            done.problems.extend(problems);
            if is_first {
                done.counts.objects += 1;
                done.counts.bytes += wanted.object().size_bytes;
            }
        }
        Ok(decoded.filter(|_| work.is_decoded).map(Decoded::in_order))
    }
}

impl Work<'_> {
    /// Bytes of the objects that this piece of work counts.
    pub(super) fn counted_bytes(&self) -> u64 {
        let objects = self.objects.iter().map(Wanted::object);
        objects.filter(|object| self.first_seen.contains(&object.file_id)).map(|object| object.size_bytes).sum()
    }

    fn memory_bytes(&self) -> u64 {
        let rows = |wanted: &Wanted| wanted.segments.iter().map(|segment| segment.record_count).sum::<u64>();
        let need = |wanted: &Wanted| wanted.object().size_bytes + rows(wanted).saturating_mul(ROW_BYTES);
        if self.is_decoded { self.objects.iter().map(need).sum() } else { PIECE_BYTES }
    }

    /// Key of an object that holds rows of the run.
    fn key_at(&self, run: &CommitRecord) -> &str {
        let holds = |wanted: &&Wanted| wanted.segments.iter().any(|segment| segment.range.overlaps(run.range));
        self.objects.iter().find(holds).map_or("", |wanted| wanted.object().key.as_str())
    }
}

/// Reads an object and compares it with the catalog; returns the rows of each wanted segment, if the object's bytes are
/// kept and right.
///
/// # Errors
/// When the store is silent.
pub(super) async fn read(
    storage: &Storage,
    partition: &TopicPartition,
    wanted: &Wanted,
    keep: Keep,
    problems: &mut Vec<Problem>,
) -> Result<Option<Vec<Vec<Row>>>> {
    let reader = ObjectReader { storage, partition, segment: &wanted.segments[0] };
    let Some(bytes) = reader.read(keep, problems).await? else { return Ok(None) };
    Ok(match wanted.clone().decode(bytes).await {
        Ok(rows) => Some(rows),
        Err(found) => {
            problems.push(reader.rows_problem(found));
            None
        }
    })
}

impl Decoded {
    /// Adds the rows of an object's segments; [`Decoded::in_order`] must follow the last call.
    pub(super) fn add(&mut self, wanted: &Wanted, rows: Vec<Vec<Row>>) {
        for (segment, rows) in wanted.segments.iter().zip(rows) {
            let all = match segment.kind {
                SegmentKind::Data => &mut self.data,
                SegmentKind::Quarantine => &mut self.quarantine,
            };
            all.extend(rows);
        }
    }

    /// Sorts the rows by their places, since objects are added in the order of their listing.
    pub(super) fn in_order(mut self) -> Self {
        for rows in [&mut self.data, &mut self.quarantine] {
            rows.sort_by_key(Row::place);
        }
        self
    }
}

//! Replay: publishes quarantined records again, after the topic's columns were mended.
//!
//! Owns: the choice of records, their messages, and marking each only after the queue has confirmed it. After a crash
//! in between, a replay publishes it again under the same message id, which the queue drops in its duplicate window.
//! Does not own: reading quarantine, the queue.
//!
//! A replayed record becomes a new message with an offset of its own; the quarantined record stays in place. The
//! message's header [`REPLAY_OF`] holds the record's origin.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use catalog::{MetadataStore, Replay, SegmentInfo};
use common::message::Headers;
use common::{Message, OutgoingMessage, Queue, TopicPartition};
use lake::schema::REASON;
use serde::Serialize;

use super::{Filter, Origin, QuarantineReader, QuarantinedRecord};
use crate::error::Result;
use crate::pipeline::decode::{Source, TopicTable};
use crate::pipeline::isolate::CONDEMNED;
pub use crate::pipeline::tables::REPLAY_OF;
use lake::Storage;

/// Most records published and marked together.
const BATCH_RECORDS: usize = 100;
/// Bytes of payloads at which a batch is published.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Most refusals kept with their texts; all are counted.
const REFUSALS_MAX: usize = 100;

/// The records to publish again, and the way of publishing.
#[derive(Clone, Debug, Default)]
pub struct ReplayOptions {
    /// The selected records.
    pub filter: Filter,
    /// Also replay records that were replayed before.
    pub again: bool,
    /// Also replay records that still cannot be decoded.
    pub force: bool,
    /// Publish nothing, mark nothing.
    pub is_dry_run: bool,
    /// The partition to publish to, instead of each record's own.
    pub to_partition: Option<u32>,
}

/// A record that would only return to quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedRecord {
    /// Its origin, as in [`REPLAY_OF`].
    pub origin: String,
    /// The reason why it still cannot be decoded.
    pub reason: String,
}

/// The outcome of a replay, in numbers of records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplayReport {
    /// Published; in a dry run, records that would be.
    pub published: u64,
    /// Published ones that the queue already knew: an earlier replay had published them and could not mark them.
    pub duplicates: u64,
    /// Skipped, because they were replayed before.
    pub skipped: u64,
    /// Skipped, because they still cannot be decoded.
    pub refused: u64,
    /// The first refused records.
    pub refusals: Vec<RefusedRecord>,
}

/// Publishes quarantined records again.
#[derive(Debug)]
pub struct Replayer<'a> {
    /// The catalog, in which records are marked.
    pub catalog: &'a dyn MetadataStore,
    /// The queue for publishing, with the topic opened.
    pub queue: &'a dyn Queue,
    /// The store of the quarantine segments.
    pub storage: &'a Storage,
    /// The topic's table in its current version.
    pub table: Arc<TopicTable>,
    /// The choice of records.
    pub options: ReplayOptions,
}

impl Replayer<'_> {
    /// Replays the records of these segments that the options select, in order. `on_record` is called for each record
    /// before it is published, or would be in a dry run.
    ///
    /// # Errors
    /// If a segment cannot be read, the queue does not confirm, or the catalog does not take the mark. Earlier
    /// confirmed batches are marked; repeating is safe.
    pub async fn run(
        &self,
        segments: &[SegmentInfo],
        on_record: &mut (dyn FnMut(&QuarantinedRecord) + Send),
    ) -> Result<ReplayReport> {
        let mut report = ReplayReport::default();
        let mut marks = Marks::default();
        for segment in segments.iter().filter(|segment| self.options.filter.may_be_in(segment)) {
            let partition = TopicPartition::new(segment.topic.clone(), segment.partition_id);
            marks.load(self.catalog, &partition).await?;
            let mut batch = Vec::new();
            let mut batch_bytes = 0;
            for record in QuarantineReader::open(self.storage, segment).await? {
                let record = record?;
                if !self.options.filter.wants(&record) || !self.is_due(&record, &marks, &mut report) {
                    continue;
                }
                on_record(&record);
                if self.options.is_dry_run {
                    report.published += 1;
                    continue;
                }
                batch_bytes += record.payload.len();
                batch.push(record);
                if batch.len() >= BATCH_RECORDS || batch_bytes >= BATCH_BYTES {
                    self.publish(&partition, std::mem::take(&mut batch), &marks, &mut report).await?;
                    batch_bytes = 0;
                }
            }
            if !batch.is_empty() {
                self.publish(&partition, batch, &marks, &mut report).await?;
            }
        }
        Ok(report)
    }

    fn is_due(&self, record: &QuarantinedRecord, marks: &Marks, report: &mut ReplayReport) -> bool {
        if !self.options.again && marks.of(&record.origin).is_some() {
            report.skipped += 1;
            return false;
        }
        let refusal = if self.options.force { None } else { refusal(&self.table, record) };
        let Some(reason) = refusal else { return true };
        report.refused += 1;
        if report.refusals.len() < REFUSALS_MAX {
            report.refusals.push(RefusedRecord { origin: record.origin.to_string(), reason });
        }
        false
    }

    async fn publish(
        &self,
        from: &TopicPartition,
        records: Vec<QuarantinedRecord>,
        marks: &Marks,
        report: &mut ReplayReport,
    ) -> Result<()> {
        let to = TopicPartition::new(from.topic.clone(), self.options.to_partition.unwrap_or(from.partition_id));
        let message = |record: &QuarantinedRecord| outgoing(record, marks.of(&record.origin));
        let acks = self.queue.publish(&to, records.iter().map(message).collect()).await?;
        report.published += acks.len() as u64;
        report.duplicates += acks.iter().filter(|ack| ack.duplicate).count() as u64;
        let mark = |(record, ack): (&QuarantinedRecord, &common::queue::PublishAck)| Replay {
            partition: record.origin.partition.clone(),
            incarnation: record.origin.incarnation,
            offset: record.origin.offset,
            row: record.origin.row,
            new_partition_id: to.partition_id,
            new_offset: ack.offset,
            replayed_at: 0,
        };
        let replays: Vec<Replay> = records.iter().zip(&acks).map(mark).collect();
        Ok(self.catalog.mark_replayed(&replays).await?)
    }
}

/// The earlier replays of one partition at a time.
#[derive(Debug, Default)]
struct Marks {
    partition: Option<TopicPartition>,
    replays: HashMap<Origin, Replay>,
}

impl Marks {
    async fn load(&mut self, catalog: &dyn MetadataStore, partition: &TopicPartition) -> Result<()> {
        if self.partition.as_ref() == Some(partition) {
            return Ok(());
        }
        self.partition = Some(partition.clone());
        let replays = catalog.list_replays(partition).await?;
        self.replays = replays.into_iter().map(|replay| (origin_of(&replay), replay)).collect();
        Ok(())
    }

    fn of(&self, origin: &Origin) -> Option<&Replay> {
        self.replays.get(origin)
    }
}

/// The origin of a replayed record.
pub fn origin_of(replay: &Replay) -> Origin {
    let Replay { partition, incarnation, offset, row, .. } = replay.clone();
    Origin { partition, incarnation, offset, row }
}

/// The reason why `record` would return to quarantine under the columns of `table`; `None` if it would not.
pub fn refusal(table: &TopicTable, record: &QuarantinedRecord) -> Option<String> {
    if record.reason.starts_with(CONDEMNED) {
        // Decoding it could end this process as well.
        return Some(format!("decoding it killed the writer, so it is not tried again ({})", record.reason));
    }
    let message = Message {
        offset: record.origin.offset,
        timestamp_us: record.timestamp_us,
        key: record.key.clone(),
        headers: record.headers.clone(),
        subject: record.subject.as_str().into(),
        payload: record.payload.clone(),
        is_awaited: false,
    };
    let source = Source { partition_id: record.origin.partition.partition_id, incarnation: record.origin.incarnation };
    let mut refused = None;
    table.decode_in_parts(source, &[message], &mut |part| refused = refused.take().or(part.quarantine));
    let reasons = refused.as_ref()?.column_by_name(REASON)?.as_string::<i32>();
    Some(reasons.value(0).to_owned())
}

/// The message of `record`. Its id is derived from the origin, so that the queue recognises a repetition. After an
/// `earlier` replay it is another message, whose id also names that replay.
fn outgoing(record: &QuarantinedRecord, earlier: Option<&Replay>) -> OutgoingMessage {
    let origin = &record.origin;
    let mut message_id = format!("siltstone-replay:{}:{origin}", origin.partition.topic.encoded());
    if let Some(earlier) = earlier {
        message_id.push_str(&format!(":after-{}-{}", earlier.new_partition_id, earlier.new_offset));
    }
    let mut headers: Headers = record.headers.iter().filter(|(name, _)| is_kept(name)).cloned().collect();
    headers.push((REPLAY_OF.to_owned(), origin.to_string()));
    let (key, payload) = (record.key.clone(), record.payload.clone());
    OutgoingMessage { message_id: Some(message_id), key, headers, payload, is_awaited: false }
}

/// False for headers that had a meaning only for the queue: the id of the first message would make the queue drop this
/// one.
fn is_kept(name: &str) -> bool {
    let starts_with = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    !starts_with("Nats-") && !name.eq_ignore_ascii_case(REPLAY_OF)
}

#[cfg(test)]
mod tests;

//! A queue that only grows, as a tail: every record of a topic that no writer commits.
//!
//! Owns: the ends of the partitions, and the rows of each offset. Does not own: decoding (`writer::decode`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use ::catalog::{Partition, Topic};
use async_trait::async_trait;
use common::Message;
use lake::tail::{TailEnd, TailError, TailRequest, TailRows, TailSource};
use writer::decode::{Source, TopicTable};

/// Partitions that begin at offset 0.
#[derive(Debug, Default)]
pub(super) struct GrowingQueue {
    ends: Mutex<BTreeMap<u32, u64>>,
}

impl GrowingQueue {
    /// Adds so many records.
    pub(super) fn publish(&self, partition_id: u32, records: u64) {
        *self.locked().entry(partition_id).or_default() += records;
    }

    /// The next offset of each partition that has records.
    pub(super) fn ends(&self) -> BTreeMap<u32, u64> {
        self.locked().clone()
    }

    fn end(&self, partition_id: u32) -> u64 {
        self.locked().get(&partition_id).copied().unwrap_or_default()
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<u32, u64>> {
        self.ends.lock().expect("nothing panics while it holds the lock")
    }
}

#[async_trait]
impl TailSource for GrowingQueue {
    async fn ends(&self, _topic: &Topic, partitions: &[&Partition]) -> Vec<Result<TailEnd, TailError>> {
        let end = |partition: &&Partition| {
            Ok(TailEnd {
                partition_id: partition.partition_id,
                first_offset: partition.high_watermark,
                next_offset: self.end(partition.partition_id),
                history: String::new(),
            })
        };
        partitions.iter().map(end).collect()
    }

    async fn read(&self, request: TailRequest<'_>) -> Result<TailRows, TailError> {
        let partition_id = request.partition.partition_id;
        let most = request.from_offset.saturating_add(request.limits.messages_max as u64);
        let to = request.to_offset.min(self.end(partition_id)).min(most);
        let message = |offset: u64| Message {
            offset,
            timestamp_us: i64::try_from(offset).unwrap_or_default(),
            key: None,
            headers: Vec::new(),
            subject: Arc::from("t"),
            payload: offset.to_string().into(),
            is_awaited: false,
        };
        let messages: Vec<Message> = (request.from_offset..to).map(message).collect();
        let source = Source { partition_id, incarnation: request.partition.incarnation };
        let decoded = TopicTable::new(request.topic).decode(source, &messages);
        Ok(TailRows {
            rows: decoded.rows.into_iter().collect(),
            quarantine: Vec::new(),
            next_offset: to.max(request.from_offset),
            has_holes: false,
            gone_before: None,
            last: None,
            message_count: messages.len(),
            message_bytes: messages.iter().map(Message::memory_bytes).sum(),
        })
    }
}

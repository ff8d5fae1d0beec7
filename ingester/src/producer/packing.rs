//! Packing: the small records of a batch travel as few messages, where the topic allows it.
//!
//! Owns: which records are packed, the id of their message, and the answer to each record of a message.
//! Does not own: the form of a packed message (`common::packing`), attempts (`delivery`), the wait for a commit (`commits`).
//!
//! A record is packed if it is exactly one row, so that its place in the message is the number of its row: any record of a
//! `raw` topic, one line of a `text` topic, one object of a `json` topic. A record with headers, with an id of the caller, or
//! for whose commit the caller waits by itself is a message of its own. Order is kept: only neighbours are packed.
//!
//! A packed message is stored once, as every message: its id is that of its first record with their number, and it is
//! repeated as it is. If the queue refuses it before storing anything, the records are sent as messages of their own, under
//! their own ids.

use std::sync::Arc;
use std::time::Duration;

use common::OutgoingMessage;
use common::packing::{self, Pack};
use common::queue::PublishAck;
use common::topic::Format;
use serde_json::value::RawValue;

use super::batch::{Batch, Origin};
use super::delivery::Delivery;
use super::options::Options;
use crate::acks::Acks;
use crate::commits::{Before, Commits, Fate, Refusals};
use crate::error::ProducerError;
use crate::outcome::{Answer, SendFailure};

/// Bytes of records after which a packed message takes no more: a message costs little then, and a server takes 1 MiB
/// unless it is told otherwise.
const PACK_BYTES: usize = 128 * 1024;
/// Larger records gain nothing.
const RECORD_BYTES_MAX: usize = 16 * 1024;

/// The answer to one record.
pub(crate) type RecordAnswer = Result<RecordPlace, SendFailure>;

/// The place of a record in the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordPlace {
    pub(crate) ack: PublishAck,
    /// Its place in its message.
    pub(crate) record: u32,
}

/// A message that was sent, with its answer.
#[derive(Debug)]
pub(crate) struct Sent {
    answer: Answer,
    records: u32,
}

/// The messages of a batch, in order, each with the number of its records.
#[derive(Debug, Default)]
struct Packed {
    messages: Vec<OutgoingMessage>,
    records: Vec<u32>,
}

/// Publishes the messages of a batch, packed where that is allowed, in order.
pub(crate) async fn deliver(delivery: &Delivery, batch: &Batch, options: &Options) -> Vec<Sent> {
    // An agent answers each record by itself.
    let queue = delivery.queue().filter(|_| options.compression_enabled);
    if let Some(queue) = queue
        && let Some(packed) = Packed::of(delivery, batch, options.acks).await
    {
        match delivery.publish(queue, batch, &packed.messages).await {
            Ok(acks) => return packed.answered(acks.into_iter().map(Ok)),
            // Nothing is stored, and each record can still be sent as a message of its own.
            Err(failure) if failure.is_not_stored && failure.error.is_of_one_message() => {}
            Err(failure) => return packed.answered(std::iter::repeat(Err(failure))),
        }
    }
    let answers = delivery.deliver(batch).await;
    answers.into_iter().map(|answer| Sent { answer, records: 1 }).collect()
}

/// The answer to each record.
pub(crate) fn answers(sent: Vec<Sent>) -> Vec<RecordAnswer> {
    sent.into_iter().flat_map(|sent| sent.answers(|_| None)).collect()
}

impl Packed {
    /// The packed batch; `None` if it has no two neighbours that can be packed.
    async fn of(delivery: &Delivery, batch: &Batch, acks: Acks) -> Option<Self> {
        let format = delivery.topics.packed_format(&batch.partition.topic)?;
        let mut packed = Self::default();
        let mut first = 0;
        while first < batch.messages.len() {
            let (messages, origins) = (&batch.messages[first..], &batch.origins[first..]);
            let count = neighbours(messages, origins, |message| is_one_row(message, format, acks));
            match count {
                0 | 1 => packed.add(messages[0].clone(), 1),
                _ => {
                    packed.add(pack(&messages[..count]), u32::try_from(count).expect("a pack is small"));
                    // Compressing is work: other tasks get their turn.
                    tokio::task::yield_now().await;
                }
            }
            first += count.max(1);
        }
        (packed.messages.len() < batch.messages.len()).then_some(packed)
    }

    fn add(&mut self, message: OutgoingMessage, records: u32) {
        self.messages.push(message);
        self.records.push(records);
    }

    fn answered(self, answers: impl Iterator<Item = Answer>) -> Vec<Sent> {
        answers.zip(self.records).map(|(answer, records)| Sent { answer, records }).collect()
    }
}

/// How many of the first messages travel as one.
fn neighbours(
    messages: &[OutgoingMessage],
    origins: &[Origin],
    is_packable: impl Fn(&OutgoingMessage) -> bool,
) -> usize {
    let mut bytes = 0;
    let fits = |(message, origin): &(&OutgoingMessage, &Origin)| {
        let has_room = bytes < PACK_BYTES;
        bytes += packing::frame_bytes(message.key.as_deref(), &message.payload);
        has_room && !origin.id_of_caller && is_packable(message)
    };
    messages.iter().zip(origins).take_while(fits).count()
}

fn pack(messages: &[OutgoingMessage]) -> OutgoingMessage {
    let mut pack = Pack::default();
    messages.iter().for_each(|message| pack.push(message.key.as_deref(), &message.payload));
    let id = messages[0].message_id.as_deref().expect("every message has an id");
    OutgoingMessage {
        message_id: Some(format!("{id}+{}", messages.len())),
        is_awaited: messages.iter().any(|message| message.is_awaited),
        ..pack.finish(true)
    }
}

/// True for a small record that is one row, whatever is in it.
fn is_one_row(message: &OutgoingMessage, format: Format, acks: Acks) -> bool {
    let OutgoingMessage { key, headers, payload, is_awaited, .. } = message;
    let is_small = packing::frame_bytes(key.as_deref(), payload) <= RECORD_BYTES_MAX;
    // The catalog knows of an offset alone; one who waits by itself could not tell its record from the others.
    let waits_by_itself = *is_awaited && acks == Acks::Queued;
    if !is_small || !headers.is_empty() || waits_by_itself {
        return false;
    }
    match format {
        Format::Raw => true,
        Format::Text => payload.iter().position(|byte| *byte == b'\n').is_none_or(|at| at + 1 == payload.len()),
        Format::Json => serde_json::from_slice::<&RawValue>(payload).is_ok_and(|value| value.get().starts_with('{')),
    }
}

impl Sent {
    /// The answers after the wait for the commit.
    pub(crate) async fn committed(self, commits: &Commits, before: &Before, limit: Duration) -> Vec<RecordAnswer> {
        let Ok(ack) = self.answer else { return self.answers(|_| None) };
        let refusals = match commits.wait(before, ack, limit).await {
            Ok(Fate::Committed) => return self.answers(|_| None),
            Ok(Fate::Quarantined { reason }) if self.records == 1 => Ok(Refusals::Whole(reason)),
            Ok(Fate::Quarantined { .. }) => commits.refusals(before, ack.offset).await,
            Err(error) => Err(error),
        };
        let failure = |error: ProducerError| {
            let (partition, error) = (before.partition().partition_id, Arc::new(error));
            SendFailure { partition, error, is_not_stored: false }
        };
        match refusals {
            Ok(refusals) => self.answers(|record| {
                let reason = refusals.of(record)?.to_owned();
                Some(failure(ProducerError::Quarantined { reason }))
            }),
            Err(error) => {
                let failure = failure(error.into());
                self.answers(|_| Some(failure.clone()))
            }
        }
    }

    /// The answer to each record; `failed` knows of failures behind the queue's answer.
    fn answers(self, failed: impl Fn(u32) -> Option<SendFailure>) -> Vec<RecordAnswer> {
        let answer = |record: u32| {
            let ack = self.answer.clone()?;
            failed(record).map_or(Ok(RecordPlace { ack, record }), Err)
        };
        (0..self.records).map(answer).collect()
    }
}

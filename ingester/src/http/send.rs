//! Sending the records of one request in parts.
//!
//! Owns: the size of a part, the outcome of each record, the times allowed. Does not own: retries (`producer`), waiting for
//! commits (`waits`), the form of the answer (`answer`).

mod waits;

use std::collections::BTreeMap;

use catalog::TopicConfig;
use common::{OutgoingMessage, QueueError, TopicPartition};
use futures::future::join_all;
use tokio::time::timeout;

use super::Api;
use super::answer::{Outcome, Place, RecordCode};
use super::auto_create;
use super::error::{ApiError, Code};
use super::record::Records;
use crate::acks::Acks;
use crate::commits::Before;
use crate::error::ProducerError;
use crate::outcome::{SendFailure, SendOutcome, SendResult};

/// Most records in one part.
const PART_RECORDS_MAX: usize = 5_000;

/// A part is sent when it has this many bytes. With what is read ahead, a request holds about twice as many.
const PART_BYTES: usize = 1024 * 1024;

/// Most records of one request: the answer has an entry for each.
pub(super) const RECORDS_MAX: usize = 200_000;

/// Records of one partition with their numbers in the request.
type Numbered = Vec<(usize, OutgoingMessage)>;

/// The records of one request.
pub(super) struct Sender<'a> {
    api: &'a Api,
    records: Records,
    /// The topic, while it is to be created for the first records that are sent.
    planned: Option<TopicConfig>,
    /// `None` until the record is sent.
    outcomes: Vec<Option<Outcome>>,
    part: BTreeMap<u32, Numbered>,
    part_records: usize,
    part_bytes: usize,
    has_invalid: bool,
    /// The history of each partition before the first record of the request was sent to it.
    histories: BTreeMap<u32, Before>,
}

impl<'a> Sender<'a> {
    pub(super) fn new(api: &'a Api, records: Records, planned: Option<TopicConfig>) -> Self {
        Self {
            api,
            records,
            planned,
            outcomes: Vec::new(),
            part: BTreeMap::new(),
            part_records: 0,
            part_bytes: 0,
            has_invalid: false,
            histories: BTreeMap::new(),
        }
    }

    /// Bytes of the records that are not sent yet.
    pub(super) fn part_bytes(&self) -> usize {
        self.part_bytes
    }

    /// Takes the next record, which `make` makes of its number, and sends the part that it fills.
    ///
    /// # Errors
    /// There are too many records, or the queue did not confirm a record of the part: what follows is not sent, so that a
    /// repetition finds the records in their order. An invalid record is no error.
    pub(super) async fn add(
        &mut self,
        make: impl FnOnce(&Records, usize) -> Result<(u32, OutgoingMessage), String>,
    ) -> Result<(), ApiError> {
        let index = self.outcomes.len();
        if index == RECORDS_MAX {
            let text = format!("the request has more than {RECORDS_MAX} records; divide it");
            return Err(ApiError::new(Code::TooLarge, text));
        }
        match make(&self.records, index) {
            Ok((partition, message)) => {
                self.outcomes.push(None);
                self.part_bytes += message.memory_bytes() + message.message_id.as_ref().map_or(0, String::len);
                self.part_records += 1;
                self.part.entry(partition).or_default().push((index, message));
            }
            Err(reason) => {
                self.has_invalid = true;
                self.outcomes.push(Some(Outcome::failed(RecordCode::InvalidRecord, reason)));
            }
        }
        let is_full = self.part_records >= PART_RECORDS_MAX || self.part_bytes >= PART_BYTES;
        if !is_full || self.records.parameters().is_atomic {
            return Ok(());
        }
        self.create_planned().await?;
        if !self.send_part().await {
            return Err(ApiError::new(
                Code::Unavailable,
                "the queue did not confirm all records; the rest is not sent",
            ));
        }
        Ok(())
    }

    /// Sends the last part, and waits for commits if the request asks for it. After an early end of the request nothing
    /// more is sent. Returns the outcome of each record, and the error that ended the request.
    pub(super) async fn finish(mut self, mut early_end: Option<ApiError>) -> (Vec<Outcome>, Option<ApiError>) {
        let is_held_back = self.records.parameters().is_atomic && self.has_invalid;
        if early_end.is_none() && !is_held_back {
            match self.create_planned().await {
                Ok(()) => _ = self.send_part().await,
                Err(error) => early_end = Some(error),
            }
        }
        if self.records.parameters().acks == Acks::Committed {
            self.await_commits().await;
        }
        let reason = match early_end {
            Some(_) => "the request ended early",
            None => "another record of the request is invalid",
        };
        let not_sent = Outcome::failed(RecordCode::NotSent, reason);
        let outcomes = self.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| not_sent.clone()));
        (outcomes.collect(), early_end)
    }

    /// Creates the topic if it is planned, and there is something to send.
    async fn create_planned(&mut self) -> Result<(), ApiError> {
        match self.planned.take_if(|_| !self.part.is_empty()) {
            Some(config) => auto_create::create(self.api, config).await,
            None => Ok(()),
        }
    }

    /// Returns false if a record is not stored, or may not be, for a reason that is not its own.
    async fn send_part(&mut self) -> bool {
        let part = std::mem::take(&mut self.part);
        (self.part_records, self.part_bytes) = (0, 0);
        let this = &*self;
        let sends = part.into_iter().map(|(partition, records)| async move {
            let numbers: Vec<usize> = records.iter().map(|(index, _)| *index).collect();
            match timeout(this.api.options.timeout, this.send_to(partition, records)).await {
                Ok((history, outcomes)) => (partition, history, outcomes),
                Err(_) => (partition, None, this.timed_out(numbers)),
            }
        });
        let mut is_confirmed = true;
        for (partition, history, outcomes) in join_all(sends).await {
            if let Some(history) = history {
                self.histories.entry(partition).or_insert(history);
            }
            for (index, outcome) in outcomes {
                let code = outcome.error.as_ref().map(|error| error.code);
                is_confirmed &= !matches!(code, Some(RecordCode::NotStored | RecordCode::Unconfirmed));
                self.outcomes[index] = Some(outcome);
            }
        }
        is_confirmed
    }

    fn timed_out(&self, numbers: Vec<usize>) -> Vec<(usize, Outcome)> {
        let seconds = self.api.options.timeout.as_secs();
        let reason = format!("the queue did not confirm it within {seconds} s; INGEST_TIMEOUT_SECS sets the limit");
        let outcome = Outcome::failed(RecordCode::Unconfirmed, reason);
        numbers.into_iter().map(|index| (index, outcome.clone())).collect()
    }

    /// Sends records to one partition, in order. The history is that from before, if the commit is waited for.
    async fn send_to(&self, partition: u32, records: Numbered) -> (Option<Before>, Vec<(usize, Outcome)>) {
        let topic = &self.records.topic().name;
        let mut history = None;
        if let Some(reason) = self.halt_of(&TopicPartition::new(topic.clone(), partition)).await {
            let outcome = Outcome::failed(RecordCode::NotStored, reason);
            return (None, records.into_iter().map(|(index, _)| (index, outcome.clone())).collect());
        }
        if self.records.parameters().acks == Acks::Committed && !self.histories.contains_key(&partition) {
            match self.api.commits.before(&TopicPartition::new(topic.clone(), partition)).await {
                Ok(before) => history = Some(before),
                Err(error) => {
                    let outcome = Outcome::failed(RecordCode::NotStored, scrubbed(&error));
                    return (None, records.into_iter().map(|(index, _)| (index, outcome.clone())).collect());
                }
            }
        }
        let (numbers, messages): (Vec<usize>, Vec<OutgoingMessage>) = records.into_iter().unzip();
        let age = self.records.parameters().age;
        match self.api.producer.send_batch_aged(topic, Some(partition), messages, age).await {
            Ok(sent) => (history, numbers.into_iter().zip(sent.into_iter().map(outcome_of)).collect()),
            Err(error) => {
                let outcome = Outcome::failed(RecordCode::NotStored, scrubbed(&error));
                (history, numbers.into_iter().map(|index| (index, outcome.clone())).collect())
            }
        }
    }

    /// The reason not to send to a partition: it is halted, and the queue ends with this process.
    async fn halt_of(&self, partition: &TopicPartition) -> Option<String> {
        let reason = self.api.halts.as_ref()?.reason(self.api.catalog.as_ref(), partition).await?;
        Some(format!(
            "{partition} is halted, and a record in this queue, which is in memory, would never be committed: {}",
            scrubbed(&reason)
        ))
    }
}

/// The text of an error without what a library quotes of secrets.
fn scrubbed(error: &dyn std::fmt::Display) -> String {
    common::secret::scrubbed(&error.to_string()).into_owned()
}

fn outcome_of(sent: SendOutcome) -> Outcome {
    match sent {
        Ok(sent) => {
            let SendResult { partition, offset, record, duplicate, .. } = sent;
            Outcome::stored(Place { partition, offset, record, duplicate })
        }
        Err(SendFailure { error, is_not_stored, .. }) => {
            let code = match &*error {
                _ if !is_not_stored => RecordCode::Unconfirmed,
                ProducerError::Queue(QueueError::MessageTooLarge { .. }) => RecordCode::TooLarge,
                error if error.is_of_one_message() => RecordCode::InvalidRecord,
                _ => RecordCode::NotStored,
            };
            Outcome::failed(code, scrubbed(&error))
        }
    }
}

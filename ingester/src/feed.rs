//! A feed: turns a byte stream into messages of a topic.
//!
//! Owns: sending the messages in batches, and counting the confirmed and the unconfirmed ones.
//! Does not own: cutting (`cut`), checking and keys (`check`), the source of the bytes (the caller), retries and
//! partitions (`producer`).

mod check;
mod cut;
mod error;
mod tally;
#[cfg(test)]
mod tests;

use common::TopicName;
use tokio::io::AsyncBufRead;

use crate::producer::Producer;

pub use self::check::LineProblem;
pub(crate) use self::check::{check_object, key_of};
pub use self::cut::{Cutter, MESSAGE_BYTES_MAX};
pub use self::error::{FeedError, InputError};
pub use self::tally::{PartitionTally, Tally};

/// The form of a byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedFormat {
    /// One JSON object per line, each a message; blank lines are skipped.
    Ndjson,
    /// Each line is a message, blank ones too.
    Lines,
    /// Each line of UTF-8 is a message, blank ones too; a line ends at LF or CRLF.
    Text,
    /// All bytes together are one message.
    Raw,
}

/// Settings of a feed: cutting, checking and sending.
#[derive(Clone, Debug)]
pub struct FeedOptions {
    /// The name of the stream in errors.
    pub input_name: String,
    /// Its form.
    pub format: FeedFormat,
    /// Refuse an NDJSON line that is no object, and a line of text that is not UTF-8.
    pub check: bool,
    /// The member of each NDJSON object that becomes the message's key.
    pub key_field: Option<String>,
    /// The partition of all messages, if the caller chooses one.
    pub partition: Option<u32>,
    /// Most messages in one batch.
    pub batch_messages: usize,
}

/// A topic that is fed.
pub struct Feed<'a> {
    /// Sends the messages.
    pub producer: &'a Producer,
    /// The topic.
    pub topic: &'a TopicName,
    /// Settings of this feed.
    pub options: &'a FeedOptions,
    /// Called after each batch with the bytes of its payloads.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

impl Feed<'_> {
    /// Sends the whole content of `reader`, and counts the messages in `tally`, even if the feed fails or is dropped
    /// midway. Batches are sent one after the other, so a full queue delays the next read. The first batch with an
    /// unconfirmed message is the last one.
    ///
    /// # Errors
    /// Each states the number of published messages. [`FeedError::Stopped`] leaves nothing uncertain.
    pub async fn run(
        &self,
        reader: &mut (dyn AsyncBufRead + Send + Unpin),
        tally: &mut Tally,
    ) -> Result<(), FeedError> {
        let mut cutter = Cutter::new(reader, self.options);
        loop {
            let (batch, problem) = cutter.next_batch().await;
            let is_empty = batch.is_empty();
            if !is_empty {
                self.send(batch, tally).await?;
            }
            if let Some(problem) = problem {
                return Err(FeedError::Stopped { confirmed: tally.messages, problem });
            }
            if is_empty {
                return Ok(());
            }
        }
    }

    async fn send(&self, batch: Vec<common::OutgoingMessage>, tally: &mut Tally) -> Result<(), FeedError> {
        let sizes: Vec<u64> = batch.iter().map(|message| message.payload.len() as u64).collect();
        let outcomes = self.producer.send_batch_to(self.topic, self.options.partition, batch).await;
        let outcomes = outcomes.map_err(|error| {
            tally.not_sent += sizes.len() as u64;
            FeedError::NotSent { confirmed: tally.messages, count: sizes.len(), error }
        })?;
        let mut first_failure = None;
        for (outcome, bytes) in outcomes.into_iter().zip(&sizes) {
            match outcome {
                Ok(sent) => tally.add_confirmed(&sent, *bytes),
                Err(failure) if failure.is_not_stored => {
                    tally.not_sent += 1;
                    first_failure.get_or_insert(failure);
                }
                Err(failure) => {
                    tally.failed += 1;
                    first_failure.get_or_insert(failure);
                }
            }
        }
        (self.progress)(sizes.iter().sum());
        let Some(failure) = first_failure else { return Ok(()) };
        let Tally { messages: confirmed, failed, not_sent, .. } = *tally;
        Err(match failed {
            0 => FeedError::Refused { confirmed, not_sent, failure },
            _ => FeedError::Unconfirmed { confirmed, failed, not_sent, failure },
        })
    }
}

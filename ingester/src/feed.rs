//! A feed: turns a byte stream into messages of a topic.
//!
//! Owns: the order of reading and sending, and the error that ends a feed.
//! Does not own: cutting (`cut`), checking and keys (`check`), counting outcomes (`on_the_way`), the source of the bytes
//! (the caller), batches, retries and partitions (`producer`).

mod check;
mod cut;
mod error;
mod looks;
mod on_the_way;
mod tally;
#[cfg(test)]
mod tests;

use common::TopicName;
use futures::join;
use tokio::io::AsyncBufRead;

use self::on_the_way::OnTheWay;
use crate::error::ProducerError;
use crate::producer::Producer;

pub use self::check::LineProblem;
pub(crate) use self::check::{check_object, key_of};
pub use self::cut::{Cutter, MESSAGE_BYTES_MAX};
pub use self::error::{FeedError, InputError, InputPlace};
pub(crate) use self::looks::{kind_of, without_mark};
pub use self::tally::{PartitionTally, Tally};

/// The form of a byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedFormat {
    /// One JSON object per line, each a message; blank lines are skipped, and so is a byte order mark before an object.
    Ndjson,
    /// Each line is a message, blank ones too.
    Lines,
    /// Each line of UTF-8 is a message, blank ones too; a line ends at LF or CRLF.
    Text,
    /// All bytes together are one message.
    Raw,
}

/// Settings of a feed: cutting, checking and identity.
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
    /// The line at which the feed begins, from 1: those before it are passed over. No line is passed over of a stream that
    /// is one message.
    pub first_line: u64,
    /// Gives each message the id `<prefix>:<topic>:<line>`, with `<topic>/<partition>` if the caller chooses one, so that a
    /// stream which is fed again stores nothing twice within the queue's duplicate window.
    pub id_prefix: Option<String>,
}

/// A topic that is fed.
pub struct Feed<'a> {
    /// Sends the messages of this feed alone: a failure takes back all that it has buffered. Its options decide the size of
    /// batches, and how long a line waits for others.
    pub producer: &'a Producer,
    /// The topic.
    pub topic: &'a TopicName,
    /// Settings of this feed.
    pub options: &'a FeedOptions,
    /// Called for each message that has an outcome, with the bytes of its payload.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// The reason why no more messages are sent.
enum End {
    OfStream,
    Failure,
    NotSent(ProducerError),
    Problem(InputError),
}

impl Feed<'_> {
    /// Sends the whole content of `reader`, and counts the messages in `tally`, even if the feed fails or is dropped
    /// midway. A full buffer of the producer delays the next read. No message is sent after a failure is known.
    ///
    /// # Errors
    /// Each states the number of published messages. [`FeedError::Stopped`] leaves nothing uncertain.
    pub async fn run(
        &self,
        reader: &mut (dyn AsyncBufRead + Send + Unpin),
        tally: &mut Tally,
    ) -> Result<(), FeedError> {
        let options = FeedOptions { id_prefix: self.ids(), ..self.options.clone() };
        let mut cutter = Cutter::new(reader, &options);
        let mut on_the_way = OnTheWay::new(tally, self.progress);
        let end = self.send_all(&mut cutter, &mut on_the_way).await;
        // Nothing may be stored behind a message that is not, so a failure takes back what is buffered.
        let outcomes = on_the_way.all_outcomes(|| _ = self.producer.discard());
        // The flush reports no failure that an outcome has not.
        let (_flushed, first_failure) = join!(self.producer.flush(), outcomes);
        let Tally { messages: confirmed, failed, not_sent, .. } = *tally;
        if let Some((line, failure)) = first_failure {
            let place = InputPlace { line, ..cutter.place() };
            return Err(match failed {
                0 => FeedError::Refused { confirmed, not_sent, place, failure },
                _ => FeedError::Unconfirmed { confirmed, failed, not_sent, place, failure },
            });
        }
        match end {
            End::OfStream | End::Failure => Ok(()),
            End::NotSent(error) => {
                tally.not_sent += 1;
                Err(FeedError::NotSent { confirmed, place: cutter.place(), error })
            }
            End::Problem(problem) => Err(FeedError::Stopped { confirmed, problem }),
        }
    }

    /// What the ids begin with. The topic is in them, since several may lie in one stream, which knows its ids by themselves
    /// alone; so may partitions, of which a line has one unless the caller chooses it.
    fn ids(&self) -> Option<String> {
        let (prefix, topic) = (self.options.id_prefix.as_ref()?, self.topic.encoded());
        Some(match self.options.partition {
            Some(partition) => format!("{prefix}:{topic}/{partition}"),
            None => format!("{prefix}:{topic}"),
        })
    }

    /// Passes over lines and over their turns, so that the line behind them goes where it would go with them.
    async fn skip(&self, cutter: &mut Cutter<'_>) -> Result<(), End> {
        if self.options.format == FeedFormat::Raw {
            return Ok(());
        }
        let skipped = cutter.skip_to(self.options.first_line).await.map_err(End::Problem)?;
        let takes_turns = self.options.key_field.is_none() && self.options.partition.is_none();
        if skipped > 0 && takes_turns {
            self.producer.pass_turns(self.topic, skipped).await.map_err(End::NotSent)?;
        }
        Ok(())
    }

    async fn send_all(&self, cutter: &mut Cutter<'_>, on_the_way: &mut OnTheWay<'_>) -> End {
        if let Err(end) = self.skip(cutter).await {
            return end;
        }
        loop {
            if let Err(problem) = on_the_way.count_until(cutter.ready()).await {
                return End::Problem(problem);
            }
            if on_the_way.has_failed() {
                return End::Failure;
            }
            let message = match cutter.next_message().await {
                Ok(Some(message)) => message,
                Ok(None) => return End::OfStream,
                Err(problem) => return End::Problem(problem),
            };
            let bytes = message.payload.len() as u64;
            match self.producer.enqueue(self.topic, self.options.partition, message).await {
                Ok(handle) => on_the_way.add(handle, cutter.line(), bytes),
                Err(error) => return End::NotSent(error),
            }
        }
    }
}

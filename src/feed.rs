//! Messages out of a byte stream: lines, text, NDJSON, or the whole of it as one.
//!
//! Owns: cutting lines, checking them, taking keys out of them, and sending them in batches.
//! Does not own: where the bytes come from (commands), retries and partitions (`ingester`).

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use common::{OutgoingMessage, TopicName};
use ingester::{Producer, SendResult};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Longest line, and largest raw message: what the queues take at most. Bounds the memory of a file without
/// line ends.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A batch is sent when it has this many bytes, whatever its count.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A batch is sent when nothing more has come for so long: lines of a slow source do not wait for others.
const LINGER_MAX: Duration = Duration::from_millis(20);

/// How a byte stream is cut into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FeedFormat {
    /// One JSON object per line, each a message; blank lines are skipped
    Ndjson,
    /// Each line is a message, blank ones too
    Lines,
    /// Each line of UTF-8 is a message, blank ones too; a line ends at LF or CRLF
    Text,
    /// The whole file is one message
    Raw,
}

/// What to read and where to send it.
#[derive(Clone, Debug)]
pub(crate) struct FeedOptions {
    /// What to call the source in errors.
    pub(crate) source: String,
    /// How to cut it.
    pub(crate) format: FeedFormat,
    /// Check that each NDJSON line is an object, and each line of text UTF-8.
    pub(crate) check: bool,
    /// The member of each NDJSON object that becomes the message's key.
    pub(crate) key_field: Option<String>,
    /// The partition of all messages, if one is chosen.
    pub(crate) partition: Option<u32>,
    /// Most messages sent at once.
    pub(crate) batch_messages: usize,
}

/// What was confirmed, per partition.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Tally {
    /// Messages that the queue confirmed.
    pub(crate) messages: u64,
    /// Bytes of their payloads.
    pub(crate) bytes: u64,
    /// By number.
    pub(crate) partitions: BTreeMap<u32, OffsetRange>,
}

/// Where the messages of a partition are.
#[derive(Debug, Serialize)]
pub(crate) struct OffsetRange {
    /// How many there are.
    pub(crate) messages: u64,
    /// The first one's offset.
    pub(crate) first_offset: u64,
    /// The last one's offset.
    pub(crate) last_offset: u64,
}

impl Tally {
    fn add(&mut self, sent: &SendResult) {
        self.messages += 1;
        let range = self.partitions.entry(sent.partition).or_insert(OffsetRange {
            messages: 0,
            first_offset: sent.offset,
            last_offset: sent.offset,
        });
        range.messages += 1;
        range.first_offset = range.first_offset.min(sent.offset);
        range.last_offset = range.last_offset.max(sent.offset);
    }
}

/// Sends everything that `reader` holds and adds to `tally` what was confirmed, also when it fails or is dropped
/// on the way. `progress` hears the bytes of each batch. Batches go one after the other: a full queue makes the
/// next read wait.
pub(crate) async fn feed(
    producer: &Producer,
    topic: &TopicName,
    reader: &mut (dyn AsyncBufRead + Send + Unpin),
    options: &FeedOptions,
    tally: &mut Tally,
    progress: &(dyn Fn(u64) + Sync),
) -> anyhow::Result<()> {
    let mut cutter = Cutter { reader, options, line: 0, at_end: false };
    loop {
        let (batch, problem) = cutter.next_batch().await;
        let (count, bytes) = (batch.len(), batch.iter().map(|message| message.payload.len() as u64).sum::<u64>());
        if count > 0 {
            let sent = producer.send_batch_to(topic, options.partition, batch).await;
            let confirmed = tally.messages;
            let sent = sent.with_context(|| {
                format!("{confirmed} messages are published; of the next {count} that is not certain")
            })?;
            sent.iter().for_each(|result| tally.add(result));
            tally.bytes += bytes;
            progress(bytes);
        }
        if let Some(problem) = problem {
            return Err(problem.context(format!("stopped after {} messages, which are published", tally.messages)));
        }
        if count == 0 {
            return Ok(());
        }
    }
}

struct Cutter<'a> {
    reader: &'a mut (dyn AsyncBufRead + Send + Unpin),
    options: &'a FeedOptions,
    /// Number of the line read last, from 1.
    line: u64,
    at_end: bool,
}

impl Cutter<'_> {
    /// The messages up to the end of the batch, a pause or the end of the stream, or a problem; empty at the end.
    async fn next_batch(&mut self) -> (Vec<OutgoingMessage>, Option<anyhow::Error>) {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < self.options.batch_messages && bytes < BATCH_BYTES_MAX {
            if !batch.is_empty() {
                match tokio::time::timeout(LINGER_MAX, self.reader.fill_buf()).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return (batch, Some(self.ended_by(error.into()))),
                    Err(_nothing_came) => break,
                }
            }
            match self.next_message().await {
                Ok(Some(message)) => {
                    bytes += message.payload.len();
                    batch.push(message);
                }
                Ok(None) => break,
                Err(problem) => return (batch, Some(self.ended_by(problem))),
            }
        }
        (batch, None)
    }

    fn ended_by(&mut self, problem: anyhow::Error) -> anyhow::Error {
        self.at_end = true;
        problem
    }

    async fn next_message(&mut self) -> anyhow::Result<Option<OutgoingMessage>> {
        if self.options.format == FeedFormat::Raw {
            return self.whole().await;
        }
        while let Some(line) = self.next_line().await? {
            let place = || format!("{}:{}", self.options.source, self.line);
            if self.options.format == FeedFormat::Lines {
                return Ok(Some(OutgoingMessage::new(line)));
            }
            if self.options.format == FeedFormat::Text {
                return self.text_message(line).with_context(place).map(Some);
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            return self.ndjson_message(line).with_context(place).map(Some);
        }
        Ok(None)
    }

    async fn whole(&mut self) -> anyhow::Result<Option<OutgoingMessage>> {
        if std::mem::replace(&mut self.at_end, true) {
            return Ok(None);
        }
        let mut payload = Vec::new();
        (&mut *self.reader).take(MESSAGE_BYTES_MAX as u64 + 1).read_to_end(&mut payload).await?;
        if payload.len() > MESSAGE_BYTES_MAX {
            bail!("{} is larger than the {MESSAGE_BYTES_MAX} bytes of one message", self.options.source);
        }
        Ok(Some(OutgoingMessage::new(payload)))
    }

    /// The next line without its end; `None` at the end of the stream.
    async fn next_line(&mut self) -> anyhow::Result<Option<Bytes>> {
        if self.at_end {
            return Ok(None);
        }
        let mut line = Vec::new();
        let mut limited = (&mut *self.reader).take(MESSAGE_BYTES_MAX as u64 + 1);
        let read = limited.read_until(b'\n', &mut line).await;
        if read.with_context(|| format!("reading {}", self.options.source))? == 0 {
            self.at_end = true;
            return Ok(None);
        }
        self.line += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
            if self.options.format == FeedFormat::Text && line.last() == Some(&b'\r') {
                line.pop();
            }
        } else if line.len() > MESSAGE_BYTES_MAX {
            bail!("{}:{}: the line is longer than {MESSAGE_BYTES_MAX} bytes", self.options.source, self.line);
        }
        Ok(Some(line.into()))
    }

    fn text_message(&self, line: Bytes) -> anyhow::Result<OutgoingMessage> {
        if self.options.check {
            std::str::from_utf8(&line).context("not UTF-8 (--no-check publishes it as it is)")?;
        }
        Ok(OutgoingMessage::new(line))
    }

    fn ndjson_message(&self, line: Bytes) -> anyhow::Result<OutgoingMessage> {
        let key = match &self.options.key_field {
            Some(field) => Some(key_of(&line, field)?),
            None => {
                if self.options.check {
                    check_object(&line)?;
                }
                None
            }
        };
        Ok(OutgoingMessage { key, ..OutgoingMessage::new(line) })
    }
}

fn check_object(line: &[u8]) -> anyhow::Result<()> {
    serde_json::from_slice::<IgnoredAny>(line).context("not JSON (--no-check publishes it as it is)")?;
    if line.trim_ascii_start().first() != Some(&b'{') {
        bail!("not a JSON object (--no-check publishes it as it is)");
    }
    Ok(())
}

fn key_of(line: &[u8], field: &str) -> anyhow::Result<Bytes> {
    let value: Value = serde_json::from_slice(line).context("not JSON, which --key-field needs")?;
    match value.get(field) {
        Some(Value::String(text)) => Ok(Bytes::copy_from_slice(text.as_bytes())),
        Some(Value::Number(number)) => Ok(number.to_string().into()),
        Some(Value::Bool(flag)) => Ok(flag.to_string().into()),
        Some(_) => bail!("member {field:?} is no string, number or boolean and cannot be the key"),
        None => bail!("there is no member {field:?} to take the key from"),
    }
}

#[cfg(test)]
mod tests;

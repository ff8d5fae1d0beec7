//! Cutting: splits a byte stream into messages by lines, text or NDJSON, or takes it whole.
//!
//! Owns: cutting, the bounds of a message and of a batch. Does not own: the check of a line (`check`), sending
//! (`feed`).

use std::time::Duration;

use bytes::Bytes;
use common::OutgoingMessage;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

use super::check::{LineProblem, check_object, check_text, key_of};
use super::error::InputError;
use super::{FeedFormat, FeedOptions};

/// Longest line, and largest raw message, in bytes: the most that queues accept. Bounds the memory of a stream
/// without line ends.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A batch is sent when it has this many bytes, whatever its count.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A batch is sent when the stream has paused for this long: lines of a slow source do not wait for others.
const LINGER_MAX: Duration = Duration::from_millis(20);

/// Cuts one stream.
pub struct Cutter<'a> {
    reader: &'a mut (dyn AsyncBufRead + Send + Unpin),
    options: &'a FeedOptions,
    /// Number of the last line read, from 1.
    line: u64,
    at_end: bool,
}

impl<'a> Cutter<'a> {
    /// A cutter at the beginning of `reader`.
    pub fn new(reader: &'a mut (dyn AsyncBufRead + Send + Unpin), options: &'a FeedOptions) -> Self {
        Self { reader, options, line: 0, at_end: false }
    }

    /// The messages up to the end of the batch, a pause, a problem or the end of the stream. Empty without a problem
    /// means the end; no batch follows a problem.
    pub async fn next_batch(&mut self) -> (Vec<OutgoingMessage>, Option<InputError>) {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < self.options.batch_messages && bytes < BATCH_BYTES_MAX {
            if !batch.is_empty() {
                match tokio::time::timeout(LINGER_MAX, self.reader.fill_buf()).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return (batch, Some(self.ended_by(self.unreadable(error)))),
                    Err(_) => break,
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

    fn ended_by(&mut self, problem: InputError) -> InputError {
        self.at_end = true;
        problem
    }

    fn unreadable(&self, error: std::io::Error) -> InputError {
        InputError::Read { input: self.options.input_name.clone(), error }
    }

    async fn next_message(&mut self) -> Result<Option<OutgoingMessage>, InputError> {
        if self.options.format == FeedFormat::Raw {
            return self.whole().await;
        }
        while let Some(line) = self.next_line().await? {
            if self.options.format == FeedFormat::Lines {
                return Ok(Some(OutgoingMessage::new(line)));
            }
            let placed =
                |problem| InputError::Line { input: self.options.input_name.clone(), line: self.line, problem };
            if self.options.format == FeedFormat::Text {
                return self.text_message(line).map(Some).map_err(placed);
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            return self.ndjson_message(line).map(Some).map_err(placed);
        }
        Ok(None)
    }

    async fn whole(&mut self) -> Result<Option<OutgoingMessage>, InputError> {
        if std::mem::replace(&mut self.at_end, true) {
            return Ok(None);
        }
        let mut payload = Vec::new();
        let read = (&mut *self.reader).take(MESSAGE_BYTES_MAX as u64 + 1).read_to_end(&mut payload).await;
        read.map_err(|error| self.unreadable(error))?;
        if payload.len() > MESSAGE_BYTES_MAX {
            return Err(InputError::MessageTooLarge { input: self.options.input_name.clone() });
        }
        Ok(Some(OutgoingMessage::new(payload)))
    }

    /// The next line without its end; `None` at the end of the stream.
    async fn next_line(&mut self) -> Result<Option<Bytes>, InputError> {
        if self.at_end {
            return Ok(None);
        }
        let mut line = Vec::new();
        let read = (&mut *self.reader).take(MESSAGE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line).await;
        if read.map_err(|error| self.unreadable(error))? == 0 {
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
            return Err(InputError::LineTooLong { input: self.options.input_name.clone(), line: self.line });
        }
        Ok(Some(line.into()))
    }

    fn text_message(&self, line: Bytes) -> Result<OutgoingMessage, LineProblem> {
        if self.options.check {
            check_text(&line)?;
        }
        Ok(OutgoingMessage::new(line))
    }

    fn ndjson_message(&self, line: Bytes) -> Result<OutgoingMessage, LineProblem> {
        let key = match &self.options.key_field {
            Some(field) => Some(key_of(&line, field)?),
            None if self.options.check => {
                check_object(&line)?;
                None
            }
            None => None,
        };
        Ok(OutgoingMessage { key, ..OutgoingMessage::new(line) })
    }
}

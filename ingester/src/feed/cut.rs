//! Cutting: splits a byte stream into messages by lines, text or NDJSON, or takes it whole.
//!
//! Owns: cutting, the bounds of a message, its id. Does not own: the check of a line (`check`), sending (`feed`).

use bytes::Bytes;
use common::OutgoingMessage;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

use super::check::{LineProblem, check_object, check_text, key_of};
use super::error::{InputError, InputPlace};
use super::looks::without_mark;
use super::{FeedFormat, FeedOptions};

/// Longest line, and largest raw message, in bytes: the most that queues accept. Bounds the memory of a stream
/// without line ends.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Cuts one stream.
pub struct Cutter<'a> {
    reader: &'a mut (dyn AsyncBufRead + Send + Unpin),
    options: &'a FeedOptions,
    /// Number of the last line read, from 1; 0 for a stream that is one message.
    line: u64,
    at_end: bool,
}

impl<'a> Cutter<'a> {
    /// A cutter at the beginning of `reader`.
    pub fn new(reader: &'a mut (dyn AsyncBufRead + Send + Unpin), options: &'a FeedOptions) -> Self {
        Self { reader, options, line: 0, at_end: false }
    }

    /// Waits until the stream has bytes or has ended. Cancel-safe, unlike [`Cutter::next_message`].
    ///
    /// # Errors
    /// The source's.
    pub async fn ready(&mut self) -> Result<(), InputError> {
        if self.at_end {
            return Ok(());
        }
        let filled = self.reader.fill_buf().await.map(|_| ());
        filled.map_err(|error| self.unreadable(error))
    }

    /// Number of the line of the message that was cut last, from 1; 0 for a stream that is one message.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The place of that message.
    pub fn place(&self) -> InputPlace {
        InputPlace { input: self.options.input_name.clone(), line: self.line }
    }

    /// Passes over the lines before `first_line`, and returns the number of messages in them.
    ///
    /// # Errors
    /// The stream cannot be read, or has fewer lines.
    pub async fn skip_to(&mut self, first_line: u64) -> Result<u64, InputError> {
        let mut messages = 0;
        while self.line + 1 < first_line {
            let Some(line) = self.next_line().await? else {
                let input = self.options.input_name.clone();
                return Err(InputError::NoSuchLine { input, lines: self.line, first_line });
            };
            let is_message = self.options.format != FeedFormat::Ndjson || !without_mark(&line).trim_ascii().is_empty();
            messages += u64::from(is_message);
        }
        Ok(messages)
    }

    /// The next message; `None` at the end of the stream.
    ///
    /// # Errors
    /// The stream cannot be read or cut any further.
    pub async fn next_message(&mut self) -> Result<Option<OutgoingMessage>, InputError> {
        let message = self.next_without_id().await?;
        Ok(message.map(|message| match &self.options.id_prefix {
            Some(prefix) => message.with_message_id(format!("{prefix}:{}", self.line)),
            None => message,
        }))
    }

    fn unreadable(&self, error: std::io::Error) -> InputError {
        InputError::Read { input: self.options.input_name.clone(), error }
    }

    async fn next_without_id(&mut self) -> Result<Option<OutgoingMessage>, InputError> {
        if self.options.format == FeedFormat::Raw {
            return self.whole().await;
        }
        while let Some(line) = self.next_line().await? {
            if self.options.format == FeedFormat::Lines {
                return Ok(Some(OutgoingMessage::new(line)));
            }
            let placed = |problem| InputError::Line { place: self.place(), problem };
            if self.options.format == FeedFormat::Text {
                return self.text_message(line).map(Some).map_err(placed);
            }
            let line = line.slice_ref(without_mark(&line));
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
            return Err(InputError::LineTooLong { place: self.place() });
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

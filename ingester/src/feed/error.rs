//! Errors of a feed.
//!
//! Owns: the number of published messages, and the uncertain ones. Does not own: the problems of a line (`check`).

use std::{fmt, io};

use super::check::LineProblem;
use super::cut::MESSAGE_BYTES_MAX;
use crate::error::ProducerError;
use crate::outcome::SendFailure;

/// A place in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputPlace {
    /// Name of the stream.
    pub input: String,
    /// Number of the line, from 1; 0 for a stream that is one message.
    pub line: u64,
}

impl fmt::Display for InputPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.input),
            line => write!(f, "{}:{line}", self.input),
        }
    }
}

/// Errors that end a feed before its stream ends.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// A message could not be sent; it is not stored, and nothing after it was sent.
    #[error("{confirmed} messages are published; {place} was not sent")]
    NotSent {
        /// Messages that are confirmed.
        confirmed: u64,
        /// The place of the message.
        place: InputPlace,
        /// The cause.
        #[source]
        error: ProducerError,
    },
    /// Messages were refused before they were sent, and are certainly not stored; all others that were read are confirmed.
    #[error("{confirmed} messages are published, {not_sent} were not sent; the first of them is {place}")]
    Refused {
        /// Messages that are confirmed.
        confirmed: u64,
        /// Messages that were not sent.
        not_sent: u64,
        /// The place of the first of them.
        place: InputPlace,
        /// Its failure.
        #[source]
        failure: SendFailure,
    },
    /// Some messages were not confirmed; each of these may be stored or not.
    #[error(
        "{confirmed} messages are published; {}of {failed} more that is not certain; the first failure is that of {place}",
        not_sent_text(*not_sent)
    )]
    Unconfirmed {
        /// Messages that are confirmed.
        confirmed: u64,
        /// Messages that were not confirmed.
        failed: u64,
        /// Messages that were not sent.
        not_sent: u64,
        /// The place of the first message that failed.
        place: InputPlace,
        /// Its failure.
        #[source]
        failure: SendFailure,
    },
    /// The stream could not be read or cut any further. Everything before that is published.
    #[error("stopped after {confirmed} messages, which are published")]
    Stopped {
        /// Messages that are confirmed.
        confirmed: u64,
        /// The cause.
        #[source]
        problem: InputError,
    },
}

fn not_sent_text(not_sent: u64) -> String {
    if not_sent == 0 { String::new() } else { format!("{not_sent} were not sent, and ") }
}

/// Errors of cutting a stream into messages.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The source failed.
    #[error("reading {input}")]
    Read {
        /// Name of the stream.
        input: String,
        /// The error of the source.
        #[source]
        error: io::Error,
    },
    /// A stream for a single message is larger than a message may be.
    #[error("{input} is larger than the {MESSAGE_BYTES_MAX} bytes of one message")]
    MessageTooLarge {
        /// Name of the stream.
        input: String,
    },
    /// The stream ends before the line at which the feed is to begin.
    #[error("{input} has {lines} lines, so there is no line {first_line} to begin with")]
    NoSuchLine {
        /// Name of the stream.
        input: String,
        /// Its lines.
        lines: u64,
        /// The line wanted.
        first_line: u64,
    },
    /// A line is larger than a message may be.
    #[error("{place}: the line is longer than {MESSAGE_BYTES_MAX} bytes")]
    LineTooLong {
        /// Its place.
        place: InputPlace,
    },
    /// A line is invalid.
    #[error("{place}")]
    Line {
        /// Its place.
        place: InputPlace,
        /// Its fault.
        #[source]
        problem: LineProblem,
    },
}

//! Errors of a feed.
//!
//! Owns: the number of published messages, and the uncertain ones. Does not own: the problems of a line (`check`).

use std::io;

use super::check::LineProblem;
use super::cut::MESSAGE_BYTES_MAX;
use crate::error::ProducerError;
use crate::outcome::SendFailure;

/// Errors that end a feed before its stream ends.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// A batch could not be sent; none of its messages is stored.
    #[error("{confirmed} messages are published; the next {count} were not sent")]
    NotSent {
        /// Messages that the queue confirmed earlier.
        confirmed: u64,
        /// Messages of the batch.
        count: usize,
        /// The cause.
        #[source]
        error: ProducerError,
    },
    /// Messages of the last batch were refused before they were sent, and are certainly not stored; all others are
    /// confirmed.
    #[error("{confirmed} messages are published, {not_sent} were not sent")]
    Refused {
        /// Messages that the queue confirmed, those of the last batch included.
        confirmed: u64,
        /// Messages that were not sent.
        not_sent: u64,
        /// The failure of the first of them.
        #[source]
        failure: SendFailure,
    },
    /// Some messages of the last batch were not confirmed; each of these may be stored or not.
    #[error("{confirmed} messages are published; {}of {failed} more that is not certain", not_sent_text(*not_sent))]
    Unconfirmed {
        /// Messages that the queue confirmed, those of the last batch included.
        confirmed: u64,
        /// Messages that it did not confirm.
        failed: u64,
        /// Messages that were not sent.
        not_sent: u64,
        /// The failure of the first of them.
        #[source]
        failure: SendFailure,
    },
    /// The stream could not be read or cut any further. Everything before that is published.
    #[error("stopped after {confirmed} messages, which are published")]
    Stopped {
        /// Messages that the queue confirmed.
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
    /// A line is larger than a message may be.
    #[error("{input}:{line}: the line is longer than {MESSAGE_BYTES_MAX} bytes")]
    LineTooLong {
        /// Name of the stream.
        input: String,
        /// Number of the line, from 1.
        line: u64,
    },
    /// A line is invalid.
    #[error("{input}:{line}")]
    Line {
        /// Name of the stream.
        input: String,
        /// Number of the line, from 1.
        line: u64,
        /// Its fault.
        #[source]
        problem: LineProblem,
    },
}

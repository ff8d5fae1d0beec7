//! Intake: the messages of one subscription that arrived in order, from arrival to hand-over and ack.
//!
//! Owns: applying the rules (`contiguity`, `runs`, `status`) to each frame; the ready messages.
//! Does not own: the phase of reading (`phase`), the connection, memory permits, waiting. It is plain state: no call
//! waits.

use std::sync::Arc;

use crate::ack_subject::{self, AckPattern, DeliveryInfo};
use crate::contiguity::Contiguity;
use crate::headers::{self, Decoded};
use crate::retention::Acks;
use crate::runs::{Run, Runs};
use crate::status::{self, Status};
use common::message::Message;

/// Upper bound of a message's size, independent of the limit that the server reports.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(super) struct Intake {
    acks: Acks,
    contiguity: Contiguity,
    /// Deliveries below were already read: they are acked in due course and not handed over again.
    from_offset: u64,
    runs: Runs,
    acked: u64,
    ack_pattern: Option<AckPattern>,
    /// The last message's subject; the next message mostly has the same one and shares it.
    subject: Arc<str>,
    ready: Vec<Message>,
    ready_bytes: usize,
    /// Raised when a message is larger than the server's limit.
    message_bytes_max: usize,
}

/// A trusted frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A message of `bytes` on the wire. It is ready now, unless it was already read.
    Delivered { bytes: usize },
    /// The pull still waits.
    Heartbeat,
    /// A pull ended and left this part unserved, as far as the server reports it.
    PullEnded { messages_left: Option<usize>, bytes_left: Option<usize> },
    /// The server refuses pulls for now.
    PullRefused { reason: String },
}

impl Intake {
    /// The intake of a consumer that starts at `start`, for a reader that needs messages from `from_offset` on.
    pub(super) fn new(start: u64, from_offset: u64, acks: Acks, message_bytes_max: usize) -> Self {
        Self {
            acks,
            contiguity: Contiguity::new(start),
            from_offset,
            runs: Runs::default(),
            acked: start,
            ack_pattern: None,
            subject: Arc::from(""),
            ready: Vec::new(),
            ready_bytes: 0,
            message_bytes_max,
        }
    }

    /// Accepts one frame, or returns the reason why the subscription can no longer be trusted.
    pub(super) fn accept(&mut self, frame: async_nats::Message) -> Result<Frame, String> {
        // Only deliveries have such a reply subject; a status line in a stored message does not make it a status.
        match frame.reply.as_deref().filter(|reply| ack_subject::is_delivery(reply)) {
            Some(reply) => match ack_subject::parse(reply) {
                Some(info) => self.accept_delivery(&info, frame),
                None => Err(format!("the reply subject {reply} cannot be read")),
            },
            None => self.accept_status(&frame),
        }
    }

    fn accept_delivery(&mut self, info: &DeliveryInfo, frame: async_nats::Message) -> Result<Frame, String> {
        self.contiguity.accept(info)?;
        let delivered = Frame::Delivered { bytes: frame.length };
        if self.acks != Acks::None {
            self.runs.push(info.stream_sequence, info.consumer_sequence);
            if self.ack_pattern.is_none() {
                self.ack_pattern = frame.reply.as_deref().and_then(AckPattern::of);
            }
        }
        if info.stream_sequence < self.from_offset {
            return Ok(delivered);
        }
        if *self.subject != *frame.subject {
            self.subject = Arc::from(frame.subject.as_str());
        }
        let Decoded { key, headers, is_awaited } =
            frame.headers.as_ref().map_or_else(Decoded::default, headers::decode);
        let message = Message {
            offset: info.stream_sequence,
            timestamp_us: info.timestamp_ns.div_euclid(1_000),
            key,
            headers,
            subject: Arc::clone(&self.subject),
            payload: frame.payload,
            is_awaited,
        };
        self.ready_bytes += message.memory_bytes();
        self.ready.push(message);
        Ok(delivered)
    }

    fn accept_status(&mut self, frame: &async_nats::Message) -> Result<Frame, String> {
        match status::read(frame) {
            Status::Heartbeat { last_consumer_sequence } => {
                last_consumer_sequence.map_or(Ok(()), |sequence| self.contiguity.check_sent(sequence))?;
                Ok(Frame::Heartbeat)
            }
            Status::PullEnded { messages_left, bytes_left, is_oversized } => {
                if is_oversized && bytes_left.is_some_and(|left| left > self.message_bytes_max) {
                    self.expect_larger()?;
                }
                Ok(Frame::PullEnded { messages_left, bytes_left })
            }
            Status::PullRefused { reason } => Ok(Frame::PullRefused { reason }),
            Status::Lost { reason } => Err(reason),
        }
    }

    /// Makes later pulls larger, after a whole pull had no room for the next message.
    fn expect_larger(&mut self) -> Result<(), String> {
        if self.message_bytes_max >= MESSAGE_BYTES_MAX {
            return Err(format!("the next message is larger than {MESSAGE_BYTES_MAX} bytes"));
        }
        self.message_bytes_max = (self.message_bytes_max * 2).min(MESSAGE_BYTES_MAX);
        Ok(())
    }

    /// The first unread offset.
    pub(super) fn position(&self) -> u64 {
        self.contiguity.position().max(self.from_offset)
    }

    /// Largest expected message.
    pub(super) fn message_bytes_max(&self) -> usize {
        self.message_bytes_max
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// True if the ready messages reach neither limit.
    pub(super) fn has_room(&self, messages_max: usize, bytes_max: usize) -> bool {
        self.ready.len() < messages_max && (self.ready.is_empty() || self.ready_bytes < bytes_max)
    }

    /// Removes up to `messages_max` ready messages, and returns them with their [`Message::memory_bytes`].
    pub(super) fn take(&mut self, messages_max: usize) -> (Vec<Message>, usize) {
        let (messages, bytes) = if self.ready.len() <= messages_max {
            (std::mem::take(&mut self.ready), self.ready_bytes)
        } else {
            let messages: Vec<Message> = self.ready.drain(..messages_max).collect();
            let bytes = messages.iter().map(Message::memory_bytes).sum();
            (messages, bytes)
        };
        self.ready_bytes -= bytes;
        (messages, bytes)
    }

    /// Drops all messages that were not handed over.
    pub(super) fn clear(&mut self) {
        self.ready = Vec::new();
        self.ready_bytes = 0;
    }

    /// Memory of the ready messages.
    pub(super) fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// The ack subjects of every unacked message below `high_watermark`.
    pub(super) fn ack_subjects(&mut self, high_watermark: u64) -> impl Iterator<Item = String> + use<> {
        let mut runs = Vec::new();
        if self.acks != Acks::None && high_watermark > self.acked {
            self.acked = high_watermark;
            runs = self.runs.take_below(high_watermark);
        }
        if self.acks == Acks::Cumulative {
            // The server ignores an ack that names any other delivery than that of the last message.
            runs = runs.last().map(|run| run.last()).into_iter().collect();
        }
        let pattern = self.ack_pattern.clone();
        runs.into_iter().flat_map(Run::each).filter_map(move |(stream_sequence, consumer_sequence)| {
            Some(pattern.as_ref()?.subject(stream_sequence, consumer_sequence))
        })
    }
}

#[cfg(test)]
mod tests;

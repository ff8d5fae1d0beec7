//! What has arrived for one subscription and was found good, until it is handed over and acked.
//!
//! Owns: applying the rules (`contiguity`, `pulls`, `runs`, `status`, `silence`) to each frame; the ready messages.
//! Does not own: the connection, memory permits, waiting. It is plain state: no call waits.

use std::sync::Arc;

use tokio::time::Instant;

use crate::ack_subject::{self, AckPattern, DeliveryInfo};
use crate::contiguity::Contiguity;
use crate::headers;
use crate::pulls::Pulls;
use crate::retention::Acks;
use crate::runs::{Run, Runs};
use crate::silence::Silence;
use crate::status::{self, Status};
use common::message::Message;

/// Messages are at most so large, whatever the server says of itself.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(super) struct Intake {
    acks: Acks,
    contiguity: Contiguity,
    /// Deliveries below were read before: they are acked in their time and not handed over again.
    from_offset: u64,
    pub(super) pulls: Pulls,
    pub(super) silence: Silence,
    runs: Runs,
    acked: u64,
    ack_pattern: Option<AckPattern>,
    /// The last message's subject: the next one's is mostly the same, and then shared.
    subject: Arc<str>,
    ready: Vec<Message>,
    ready_bytes: usize,
    /// Raised when a message turns out larger than the server's limit.
    message_bytes_max: usize,
    /// Whether a message came since the last pull.
    pub(super) is_flowing: bool,
}

/// What a good frame was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A message, now ready, or a sign of life, or the end of a pull.
    Taken,
    /// The server takes no pull for now.
    PullRefused(String),
}

impl Intake {
    /// For a consumer that starts at `start`, and a reader that wants messages from `from_offset` on.
    pub(super) fn new(start: u64, from_offset: u64, acks: Acks, message_bytes_max: usize, silence: Silence) -> Self {
        Self {
            acks,
            contiguity: Contiguity::new(start),
            from_offset,
            pulls: Pulls::default(),
            silence,
            runs: Runs::default(),
            acked: start,
            ack_pattern: None,
            subject: Arc::from(""),
            ready: Vec::new(),
            ready_bytes: 0,
            message_bytes_max,
            is_flowing: false,
        }
    }

    /// Takes one frame, or says why the subscription can no longer be trusted.
    pub(super) fn accept(&mut self, frame: async_nats::Message, now: Instant) -> Result<Frame, String> {
        // Only deliveries have such a reply subject; a status line in a stored message does not make it a status.
        match frame.reply.as_deref().filter(|reply| ack_subject::is_delivery(reply)) {
            Some(reply) => match ack_subject::parse(reply) {
                Some(info) => self.accept_delivery(&info, frame, now).map(|()| Frame::Taken),
                None => Err(format!("the reply subject {reply} cannot be read")),
            },
            None => self.accept_status(&frame, now),
        }
    }

    fn accept_delivery(&mut self, info: &DeliveryInfo, frame: async_nats::Message, now: Instant) -> Result<(), String> {
        self.contiguity.accept(info)?;
        self.pulls.delivered(frame.length);
        self.silence.delivered(now);
        self.is_flowing = true;
        if self.acks != Acks::None {
            self.runs.push(info.stream_sequence, info.consumer_sequence);
            if self.ack_pattern.is_none() {
                self.ack_pattern = frame.reply.as_deref().and_then(AckPattern::of);
            }
        }
        if info.stream_sequence < self.from_offset {
            return Ok(());
        }
        if *self.subject != *frame.subject {
            self.subject = Arc::from(frame.subject.as_str());
        }
        let (key, headers) = frame.headers.as_ref().map_or((None, Vec::new()), headers::decode);
        let message = Message {
            offset: info.stream_sequence,
            timestamp_us: info.timestamp_ns.div_euclid(1_000),
            key,
            headers,
            subject: Arc::clone(&self.subject),
            payload: frame.payload,
        };
        self.ready_bytes += message.memory_bytes();
        self.ready.push(message);
        Ok(())
    }

    fn accept_status(&mut self, frame: &async_nats::Message, now: Instant) -> Result<Frame, String> {
        self.silence.heard(now);
        match status::read(frame) {
            Status::Heartbeat { last_consumer_sequence } => {
                last_consumer_sequence.map_or(Ok(()), |sequence| self.contiguity.check_sent(sequence))?;
                Ok(Frame::Taken)
            }
            Status::PullEnded { messages_left, bytes_left, is_oversized } => {
                self.pulls.ended(messages_left, bytes_left);
                if is_oversized && bytes_left.is_some_and(|left| left > self.message_bytes_max) {
                    self.expect_larger()?;
                }
                Ok(Frame::Taken)
            }
            Status::PullRefused { reason } => {
                self.pulls.ended(None, None);
                self.is_flowing = false;
                Ok(Frame::PullRefused(reason))
            }
            Status::Lost { reason } => Err(reason),
        }
    }

    /// A whole pull had no room for the next message: later ones get more, or they would repeat this for ever.
    fn expect_larger(&mut self) -> Result<(), String> {
        if self.message_bytes_max >= MESSAGE_BYTES_MAX {
            return Err(format!("the next message is larger than {MESSAGE_BYTES_MAX} bytes"));
        }
        self.message_bytes_max = (self.message_bytes_max * 2).min(MESSAGE_BYTES_MAX);
        Ok(())
    }

    /// The first offset that was not read yet.
    pub(super) fn position(&self) -> u64 {
        self.contiguity.position().max(self.from_offset)
    }

    /// Largest message to be expected.
    pub(super) fn message_bytes_max(&self) -> usize {
        self.message_bytes_max
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether what is ready reaches neither limit.
    pub(super) fn has_room(&self, messages_max: usize, bytes_max: usize) -> bool {
        self.ready.len() < messages_max && (self.ready.is_empty() || self.ready_bytes < bytes_max)
    }

    /// Removes up to `messages_max` ready messages, and gives their [`Message::memory_bytes`].
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

    /// Forgets everything that was not handed over.
    pub(super) fn clear(&mut self) {
        self.ready = Vec::new();
        self.ready_bytes = 0;
        self.pulls.ended(None, None);
    }

    /// Memory that is needed for what is ready and for what may still come.
    pub(super) fn needed_bytes(&self) -> usize {
        self.ready_bytes + self.pulls.credit_bytes()
    }

    /// Where to send the acks of everything below `high_watermark` that was not acked yet.
    pub(super) fn ack_subjects(&mut self, high_watermark: u64) -> impl Iterator<Item = String> + use<> {
        let mut runs = Vec::new();
        if self.acks != Acks::None && high_watermark > self.acked {
            self.acked = high_watermark;
            runs = self.runs.take_below(high_watermark);
        }
        if self.acks == Acks::Cumulative {
            // An ack through any other delivery than that of the very message would be ignored without a word.
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

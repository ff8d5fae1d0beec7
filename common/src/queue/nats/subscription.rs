//! One reader of one partition on JetStream: an own pull loop over the plain client.
//!
//! Owns: when to pull and with how much memory, what to do with each frame, when to give up.
//! Does not own: the rules (`contiguity`, `pulls`, `runs`, `silence`), the consumer's settings (`consumer`).
//! There is no task: everything happens inside [`Subscription::next`], and all state survives its cancellation.
//! Between two calls frames wait in the client's channel, which the pulls keep from overflowing.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::Subscriber;
use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::time::Instant;

use super::ack_subject::{self, DeliveryInfo};
use super::config::AckMode;
use super::connection::{Connection, REQUEST_TIMEOUT};
use super::contiguity::Contiguity;
use super::pulls::{PullSize, Pulls};
use super::runs::Runs;
use super::silence::{Silence, Verdict};
use super::status::{self, Status};
use super::topic_streams::PartitionStream;
use super::{consumer, headers, read};
use crate::memory::{MemoryBudget, MemoryPermit};
use crate::message::Message;
use crate::queue::{Delivery, QueueError, SubscribeRequest, Subscription};
use crate::receipt::CommitReceipt;

/// A pull that waits at the server, and how often the server says that it still does.
const LONG_EXPIRES: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A pull while memory is scarce holds its credit no longer than this.
const SHORT_EXPIRES: Duration = Duration::from_millis(50);
/// Pause after a short pull that brought nothing; doubled up to the second value while nothing comes.
const SHORT_PAUSE_MIN: Duration = Duration::from_millis(250);
const SHORT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Messages are at most so large, whatever the server says of itself.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(super) struct NatsSubscription {
    connection: Arc<Connection>,
    stream: Arc<PartitionStream>,
    ack_mode: AckMode,
    consumer: String,
    pull_subject: String,
    inbox: String,
    /// Number of this subscription among those of the partition in this process.
    reader: u64,
    losses: watch::Receiver<u64>,
    frames: Subscriber,
    budget: MemoryBudget,
    /// Memory for what is ready and for what the pulls may bring.
    held: Option<MemoryPermit>,
    /// Accepted, not handed over yet.
    ready: Vec<Message>,
    ready_bytes: usize,
    pulls: Pulls,
    pull_count: u64,
    /// Raised when a message turns out larger than the server's limit.
    message_bytes_max: usize,
    contiguity: Contiguity,
    runs: Runs,
    acked: u64,
    /// A reply subject of this consumer, as pattern for acks.
    reply_pattern: Option<String>,
    subject: Arc<str>,
    silence: Silence,
    /// Whether anything came since the last pull.
    is_flowing: bool,
    pause: Duration,
    paused_until: Option<Instant>,
    lost: Option<String>,
}

impl NatsSubscription {
    pub(super) async fn new(
        connection: Arc<Connection>,
        stream: Arc<PartitionStream>,
        request: SubscribeRequest,
        ack_mode: AckMode,
    ) -> Result<Self, QueueError> {
        // Seen from before the consumer is made: whatever is lost after this ends the subscription.
        let losses = connection.losses();
        let reader = stream.reader.fetch_add(1, Ordering::SeqCst) + 1;
        let inbox = connection.client.new_inbox();
        let frames = connection.client.subscribe(format!("{inbox}.*")).await.map_err(QueueError::unavailable)?;
        let consumer = consumer::create(&connection, &stream, request.epoch, request.from_offset, ack_mode).await?;
        consumer::delete_others(&connection, &stream, request.epoch, &consumer).await;
        let message_bytes_max = connection.message_bytes_max();
        connection.reader_came();
        Ok(Self {
            pull_subject: format!("$JS.API.CONSUMER.MSG.NEXT.{}.{consumer}", stream.stream),
            contiguity: Contiguity::new(request.from_offset),
            acked: request.from_offset,
            budget: request.budget,
            silence: Silence::new(HEARTBEAT, Instant::now()),
            connection,
            stream,
            ack_mode,
            consumer,
            inbox,
            reader,
            losses,
            frames,
            held: None,
            ready: Vec::new(),
            ready_bytes: 0,
            pulls: Pulls::default(),
            pull_count: 0,
            message_bytes_max,
            runs: Runs::default(),
            reply_pattern: None,
            subject: Arc::from(""),
            is_flowing: false,
            pause: SHORT_PAUSE_MIN,
            paused_until: None,
            lost: None,
        })
    }

    /// Ends the subscription for good.
    fn lose(&mut self, reason: impl Into<String>) -> QueueError {
        let reason = reason.into();
        tracing::debug!(partition = %self.stream.partition, consumer = %self.consumer, %reason, "subscription lost");
        // What was fetched and not handed over is fetched again by the next subscription.
        self.ready = Vec::new();
        self.ready_bytes = 0;
        self.pulls.ended(None, None);
        self.held = None;
        self.lost = Some(reason.clone());
        QueueError::SubscriptionLost { partition: self.stream.partition.clone(), reason }
    }

    fn check(&mut self) -> Result<(), QueueError> {
        if let Some(reason) = self.lost.clone() {
            return Err(self.lose(reason));
        }
        if self.losses.has_changed().unwrap_or(true) {
            return Err(self.lose("the connection was disturbed"));
        }
        if self.stream.reader.load(Ordering::SeqCst) != self.reader {
            return Err(self.lose("a later subscription superseded it"));
        }
        Ok(())
    }

    /// Takes the frames that are here, up to the limits.
    fn drain(&mut self, messages_max: usize, bytes_max: usize) -> Result<(), QueueError> {
        while self.ready.len() < messages_max && (self.ready.is_empty() || self.ready_bytes < bytes_max) {
            // Unconstrained, or the runtime would call the channel empty after 128 frames.
            let Some(frame) = tokio::task::unconstrained(self.frames.next()).now_or_never() else { break };
            self.accept(frame)?;
        }
        Ok(())
    }

    fn accept(&mut self, frame: Option<async_nats::Message>) -> Result<(), QueueError> {
        let Some(frame) = frame else { return Err(self.lose("the connection was closed")) };
        let taken = match frame.reply.as_deref().filter(|reply| ack_subject::is_delivery(reply)) {
            Some(reply) => match ack_subject::parse(reply) {
                Some(info) => self.accept_delivery(&info, frame),
                None => Err(format!("the reply subject {reply} cannot be read")),
            },
            None => self.accept_status(&frame),
        };
        taken.map_err(|reason| self.lose(reason))
    }

    fn accept_delivery(&mut self, info: &DeliveryInfo, frame: async_nats::Message) -> Result<(), String> {
        self.contiguity.accept(info)?;
        self.pulls.delivered(frame.length);
        self.silence.delivered(Instant::now());
        self.is_flowing = true;
        if self.ack_mode == AckMode::All {
            self.runs.push(info.stream_sequence, info.consumer_sequence);
            if self.reply_pattern.is_none() {
                self.reply_pattern = frame.reply.as_ref().map(ToString::to_string);
            }
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

    fn accept_status(&mut self, frame: &async_nats::Message) -> Result<(), String> {
        self.silence.heard(Instant::now());
        match status::read(frame) {
            Status::Heartbeat { last_consumer_sequence: Some(sequence) } => self.contiguity.check_sent(sequence),
            Status::Heartbeat { last_consumer_sequence: None } => Ok(()),
            Status::PullEnded { messages_left, bytes_left, is_oversized } => {
                self.pulls.ended(messages_left, bytes_left);
                if is_oversized && bytes_left.is_some_and(|left| left > self.message_bytes_max) {
                    if self.message_bytes_max >= MESSAGE_BYTES_MAX {
                        return Err(format!("a message is larger than {MESSAGE_BYTES_MAX} bytes"));
                    }
                    self.message_bytes_max = (self.message_bytes_max * 2).min(MESSAGE_BYTES_MAX);
                }
                Ok(())
            }
            Status::PullRefused { reason } => {
                tracing::debug!(partition = %self.stream.partition, %reason, "pull refused for now");
                self.pulls.ended(None, None);
                self.is_flowing = false;
                self.paused_until = Some(Instant::now() + SHORT_PAUSE_MAX);
                Ok(())
            }
            Status::Lost { reason } => Err(reason),
        }
    }

    fn hand_over(&mut self, messages_max: usize) -> Delivery {
        let messages = if self.ready.len() <= messages_max {
            std::mem::take(&mut self.ready)
        } else {
            self.ready.drain(..messages_max).collect()
        };
        let bytes =
            if self.ready.is_empty() { self.ready_bytes } else { messages.iter().map(Message::memory_bytes).sum() };
        self.ready_bytes -= bytes;
        let held = self.held.as_mut().expect("messages come only by a pull, which has credit");
        let mut memory = held.split(bytes);
        // Headers take more memory than bytes on the wire; the account is corrected afterwards.
        memory.resize(bytes);
        self.release_free();
        Delivery { messages, memory }
    }

    /// Memory that neither ready messages nor pulls need.
    fn free_bytes(&self) -> usize {
        let needed = self.ready_bytes + self.pulls.credit_bytes();
        self.held.as_ref().map_or(0, MemoryPermit::bytes).saturating_sub(needed)
    }

    fn release_free(&mut self) {
        let free = self.free_bytes();
        if let Some(held) = &mut self.held
            && free > 0
        {
            held.resize(held.bytes() - free);
        }
    }

    fn hold(&mut self, permit: MemoryPermit) {
        match &mut self.held {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
    }

    fn pull_size(&self, bytes_max: usize) -> PullSize {
        PullSize::new(bytes_max, self.connection.reader_count(), self.message_bytes_max)
    }

    /// Credit for a pull that may wait at the server: only while at least half of the budget stays free, so that
    /// idle partitions never keep busy ones from memory.
    fn idle_credit(&self, bytes: usize) -> Option<MemoryPermit> {
        let is_half_free = self.budget.used_bytes() + bytes <= self.budget.capacity_bytes() / 2;
        is_half_free.then(|| self.budget.try_acquire(bytes)).flatten()
    }

    /// Requests a first pull, waiting for memory.
    async fn pull(&mut self, bytes_max: usize) -> Result<(), QueueError> {
        self.release_free();
        if let Some(until) = self.paused_until {
            tokio::select! {
                _ = self.losses.changed() => return Err(self.lose("the connection was disturbed")),
                () = tokio::time::sleep_until(until) => self.paused_until = None,
            }
        }
        let size = self.pull_size(bytes_max);
        if let Some(credit) = self.idle_credit(size.credit_bytes()) {
            return self.request(size, credit, LONG_EXPIRES).await;
        }
        let credit = tokio::select! {
            _ = self.losses.changed() => return Err(self.lose("the connection was disturbed")),
            credit = self.budget.acquire(size.credit_bytes()) => credit,
        };
        self.request(size, credit, SHORT_EXPIRES).await
    }

    /// Requests the next pull while the last one is still served, if memory is free now.
    async fn top_up(&mut self, bytes_max: usize) -> Result<(), QueueError> {
        if !self.pulls.is_half_served() {
            return Ok(());
        }
        let size = self.pull_size(bytes_max);
        // Two pulls of every reader must stay below what the server buffers for the connection.
        if self.pulls.is_outstanding() && 2 * size.bytes_max * self.connection.reader_count() > MESSAGE_BYTES_MAX {
            return Ok(());
        }
        if let Some(credit) = self.idle_credit(size.credit_bytes()) {
            return self.request(size, credit, LONG_EXPIRES).await;
        }
        match self.budget.try_acquire(size.credit_bytes()) {
            Some(credit) => self.request(size, credit, SHORT_EXPIRES).await,
            None => Ok(()),
        }
    }

    async fn request(&mut self, size: PullSize, credit: MemoryPermit, expires: Duration) -> Result<(), QueueError> {
        let number = self.pull_count + 1;
        let (batch, bytes) = (size.batch, size.bytes_max);
        let mut request = format!(r#"{{"batch":{batch},"max_bytes":{bytes},"expires":{}"#, expires.as_nanos());
        if expires == LONG_EXPIRES {
            request.push_str(&format!(r#","idle_heartbeat":{}"#, HEARTBEAT.as_nanos()));
        }
        request.push('}');
        let reply = format!("{}.{number}", self.inbox);
        let sent = self.connection.client.publish_with_reply(self.pull_subject.clone(), reply, request.into()).await;
        if let Err(error) = sent {
            return Err(self.lose(format!("no pull could be sent: {error}")));
        }
        // Nothing is awaited from here on: the request is sent and accounted for, or neither.
        self.pull_count = number;
        self.hold(credit);
        self.pulls.requested(size);
        self.silence.pulled(Instant::now(), expires == LONG_EXPIRES);
        self.is_flowing = false;
        Ok(())
    }

    /// Waits for one frame.
    async fn wait(&mut self) -> Result<(), QueueError> {
        let deadline = self.silence.deadline();
        let frame = tokio::select! {
            biased;
            _ = self.losses.changed() => return Err(self.lose("the connection was disturbed")),
            frame = self.frames.next() => Some(frame),
            () = tokio::time::sleep_until(deadline) => None,
        };
        match frame {
            Some(frame) => self.accept(frame)?,
            None => self.break_silence().await?,
        }
        if !self.pulls.is_outstanding() && self.ready.is_empty() && !self.is_flowing && self.paused_until.is_none() {
            self.rest();
        } else if !self.ready.is_empty() {
            self.pause = SHORT_PAUSE_MIN;
        }
        Ok(())
    }

    /// After a pull that brought nothing: its memory is given back, and short pulls are spaced.
    fn rest(&mut self) {
        self.release_free();
        if self.silence.is_long() {
            return;
        }
        self.paused_until = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(SHORT_PAUSE_MAX);
    }

    async fn break_silence(&mut self) -> Result<(), QueueError> {
        match self.silence.verdict(Instant::now()) {
            Verdict::Wait => Ok(()),
            Verdict::Lost(reason) => Err(self.lose(reason)),
            Verdict::Ask => {
                let position = self.contiguity.position();
                let next = read::next_from_leader(&self.connection, &self.stream, position).await;
                // No answer says nothing about the consumer; the question is asked again later.
                self.silence.answered(Instant::now(), matches!(next, Ok(Some(_))));
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Subscription for NatsSubscription {
    async fn next(&mut self, messages_max: usize, bytes_max: usize) -> Result<Delivery, QueueError> {
        let messages_max = messages_max.max(1);
        loop {
            self.check()?;
            self.drain(messages_max, bytes_max)?;
            if !self.ready.is_empty() {
                self.top_up(bytes_max).await?;
                return Ok(self.hand_over(messages_max));
            }
            if !self.pulls.is_outstanding() {
                self.pull(bytes_max).await?;
            }
            self.wait().await?;
        }
    }

    async fn ack(&mut self, receipt: &CommitReceipt) -> Result<(), QueueError> {
        if *receipt.partition() != self.stream.partition {
            let (here, given) = (&self.stream.partition, receipt.partition());
            return Err(QueueError::refused(format!("a receipt of {given} cannot ack a subscription of {here}")));
        }
        self.check()?;
        if self.ack_mode == AckMode::None || receipt.high_watermark() <= self.acked {
            return Ok(());
        }
        self.acked = receipt.high_watermark();
        let Some((stream_sequence, consumer_sequence)) = self.runs.take_below(self.acked) else { return Ok(()) };
        // An ack through any other delivery than that of the very message would be ignored without a word.
        let pattern = self.reply_pattern.as_deref().expect("a run comes with a delivery");
        let subject = ack_subject::for_other_delivery(pattern, stream_sequence, consumer_sequence)
            .expect("the pattern was read before");
        self.connection.client.publish(subject, "+ACK".into()).await.map_err(QueueError::unavailable)
    }

    async fn close(mut self: Box<Self>) -> Result<(), QueueError> {
        self.held = None;
        let closed = tokio::time::timeout(REQUEST_TIMEOUT, async {
            self.connection.client.flush().await.map_err(QueueError::unavailable)?;
            self.frames.unsubscribe().await.map_err(QueueError::unavailable)?;
            consumer::delete(&self.connection, &self.stream, &self.consumer).await
        });
        closed.await.unwrap_or_else(|_| Err(QueueError::unavailable("the server did not answer while closing")))
    }
}

impl Drop for NatsSubscription {
    fn drop(&mut self) {
        self.connection.reader_went();
    }
}

impl fmt::Debug for NatsSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NatsSubscription({} at {})", self.stream.partition, self.contiguity.position())
    }
}

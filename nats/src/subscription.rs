//! One reader of one partition on JetStream: an own pull loop over the plain client.
//!
//! Owns: when to pull and with how much memory, when to wait, when to give up.
//! Does not own: what each frame means (`intake`), the consumer's settings (`consumer`).
//! There is no task: everything happens inside [`Subscription::next`], and all state survives its cancellation.
//! Between two calls frames wait in the client's channel, which the pulls keep from overflowing.

mod pulling;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::Subscriber;
use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::AckMode;
use crate::connection::{Connection, REQUEST_TIMEOUT};
use crate::intake::{Frame, Intake};
use crate::silence::{Silence, Verdict};
use crate::topic_streams::PartitionStream;
use crate::{consumer, read};
use common::memory::{MemoryBudget, MemoryPermit};
use common::message::Message;
use common::queue::{Delivery, QueueError, SubscribeRequest, Subscription};
use common::receipt::CommitReceipt;

/// How often the server says that a pull still waits.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Pause after a short pull that brought nothing; doubled up to the second value while nothing comes.
const SHORT_PAUSE_MIN: Duration = Duration::from_millis(250);
const SHORT_PAUSE_MAX: Duration = Duration::from_secs(1);

pub(super) struct NatsSubscription {
    connection: Arc<Connection>,
    stream: Arc<PartitionStream>,
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
    intake: Intake,
    /// A message that was fetched beside the consumer, handed over first.
    first: Option<Message>,
    pull_count: u64,
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
        let first = if stream.losses.is_suspect(request.from_offset) {
            tracing::warn!(partition = %stream.partition, offset = request.from_offset,
                "the connection was lost here before, the next message is fetched by itself");
            read::next_from_leader(&connection, &stream, request.from_offset).await?
        } else {
            None
        };
        let from_offset = first.as_ref().map_or(request.from_offset, |first| first.offset + 1);
        let acks = stream.retention.acks(ack_mode);
        let wanted =
            consumer::Wanted { epoch: request.epoch, from_offset, committed: request.committed.min(from_offset), acks };
        let made = consumer::make(&connection, &stream, &wanted).await?;
        let silence = Silence::new(HEARTBEAT, Instant::now());
        let intake = Intake::new(made.start, from_offset, acks, connection.message_bytes_max(), silence);
        let consumer = made.name;
        connection.reader_came();
        Ok(Self {
            pull_subject: format!("$JS.API.CONSUMER.MSG.NEXT.{}.{consumer}", stream.stream),
            budget: request.budget,
            connection,
            stream,
            consumer,
            inbox,
            reader,
            losses,
            frames,
            held: None,
            intake,
            first,
            pull_count: 0,
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
        self.intake.clear();
        self.held = None;
        self.lost = Some(reason.clone());
        QueueError::SubscriptionLost { partition: self.stream.partition.clone(), reason }
    }

    fn check(&mut self) -> Result<(), QueueError> {
        if let Some(reason) = self.lost.clone() {
            return Err(self.lose(reason));
        }
        if self.stream.reader.load(Ordering::SeqCst) != self.reader {
            return Err(self.lose("a later subscription superseded it"));
        }
        Ok(())
    }

    fn is_disturbed(&self) -> bool {
        self.losses.has_changed().unwrap_or(true)
    }

    fn lose_connection(&mut self) -> QueueError {
        self.stream.losses.note(self.intake.position());
        self.lose("the connection was disturbed")
    }

    /// Takes the frames that are here, up to the limits.
    fn drain(&mut self, messages_max: usize, bytes_max: usize) -> Result<(), QueueError> {
        // One look at the clock for all of them: the silence it measures is counted in seconds.
        let now = Instant::now();
        while self.intake.has_room(messages_max, bytes_max) {
            // Unconstrained, or the runtime would call the channel empty after 128 frames.
            let Some(frame) = tokio::task::unconstrained(self.frames.next()).now_or_never() else { break };
            self.accept(frame, now)?;
        }
        Ok(())
    }

    fn accept(&mut self, frame: Option<async_nats::Message>, now: Instant) -> Result<(), QueueError> {
        let Some(frame) = frame else { return Err(self.lose("the connection was closed")) };
        match self.intake.accept(frame, now) {
            Ok(Frame::Taken) => Ok(()),
            Ok(Frame::PullRefused(reason)) => {
                tracing::debug!(partition = %self.stream.partition, %reason, "pull refused for now");
                self.paused_until = Some(now + SHORT_PAUSE_MAX);
                Ok(())
            }
            Err(reason) => Err(self.lose(reason)),
        }
    }

    fn hand_over(&mut self, messages_max: usize) -> Delivery {
        let (messages, bytes) = self.intake.take(messages_max);
        let held = self.held.as_mut().expect("messages come only by a pull, which has credit");
        let mut memory = held.split(bytes);
        // Headers take more memory than bytes on the wire; the account is corrected afterwards.
        memory.resize(bytes);
        self.release_free();
        Delivery { messages, memory }
    }

    /// Waits for one frame.
    async fn wait(&mut self) -> Result<(), QueueError> {
        let deadline = self.intake.silence.deadline();
        let frame = tokio::select! {
            biased;
            // Frames first: what came before a disturbance is good, and brings the position up to its cause.
            frame = self.frames.next() => Some(frame),
            _ = self.losses.changed() => return Err(self.lose_connection()),
            () = tokio::time::sleep_until(deadline) => None,
        };
        match frame {
            Some(frame) => self.accept(frame, Instant::now())?,
            None => self.break_silence().await?,
        }
        if !self.intake.pulls.is_outstanding()
            && !self.intake.has_ready()
            && !self.intake.is_flowing
            && self.paused_until.is_none()
        {
            self.rest();
        } else if self.intake.has_ready() {
            self.pause = SHORT_PAUSE_MIN;
        }
        Ok(())
    }

    /// After a pull that brought nothing: its memory is given back, and short pulls are spaced.
    fn rest(&mut self) {
        self.release_free();
        if self.intake.silence.is_long() {
            return;
        }
        self.paused_until = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(SHORT_PAUSE_MAX);
    }

    async fn break_silence(&mut self) -> Result<(), QueueError> {
        match self.intake.silence.verdict(Instant::now()) {
            Verdict::Wait => Ok(()),
            Verdict::Lost(reason) => Err(self.lose(format!("{reason}{}", self.connection.because()))),
            Verdict::Ask => {
                let position = self.intake.position();
                let next = read::next_from_leader(&self.connection, &self.stream, position).await;
                // No answer says nothing about the consumer; the question is asked again later.
                self.intake.silence.answered(Instant::now(), matches!(next, Ok(Some(_))));
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Subscription for NatsSubscription {
    async fn next(&mut self, messages_max: usize, bytes_max: usize) -> Result<Delivery, QueueError> {
        let messages_max = messages_max.max(1);
        self.check()?;
        if let Some(first) = &self.first {
            let memory = self.budget.acquire(first.memory_bytes()).await;
            if self.stream.retention.deletes() {
                self.stream.losses.note_aside(first.offset);
            }
            let messages = self.first.take().into_iter().collect();
            return Ok(Delivery { messages, memory });
        }
        loop {
            self.check()?;
            self.drain(messages_max, bytes_max)?;
            if !self.intake.has_ready() && self.is_disturbed() {
                return Err(self.lose_connection());
            }
            if self.intake.has_ready() {
                if !self.is_disturbed() {
                    self.top_up(bytes_max).await?;
                }
                return Ok(self.hand_over(messages_max));
            }
            if !self.intake.pulls.is_outstanding() {
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
        for subject in self.intake.ack_subjects(receipt.high_watermark()) {
            self.connection.client.publish(subject, "+ACK".into()).await.map_err(QueueError::unavailable)?;
        }
        // The consumer cannot deliver these, so they cannot be acked; each costs the connection until it is gone.
        for offset in self.stream.losses.take_aside_below(receipt.high_watermark()) {
            read::delete(&self.connection, &self.stream, offset).await?;
        }
        Ok(())
    }

    async fn close(mut self: Box<Self>) -> Result<(), QueueError> {
        self.held = None;
        let closed = tokio::time::timeout(REQUEST_TIMEOUT, async {
            self.connection.client.flush().await.map_err(QueueError::unavailable)?;
            self.frames.unsubscribe().await.map_err(QueueError::unavailable)?;
            if self.stream.retention.keeps_consumer() {
                return Ok(());
            }
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
        write!(f, "NatsSubscription({} at {})", self.stream.partition, self.intake.position())
    }
}

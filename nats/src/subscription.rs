//! One reader of one partition on JetStream: a pull loop over the plain client.
//!
//! Owns: waiting for frames, memory and the end of a rest; the time of each pull. Does not own: the state and its
//! rules (`reading`), creating the consumer (`opening`), the text of pulls (`pull_requests`). It has no task: all
//! work happens inside [`Subscription::next`], and all state survives its cancellation. Between two calls frames wait
//! in the client's channel, which the pulls keep from overflowing.

mod credit;
mod opening;
mod pull_requests;
mod reading;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_nats::Subscriber;
use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::AckMode;
use crate::connection::{Connection, REQUEST_TIMEOUT};
use crate::phase::{Event, PullKind};
use crate::pull_account::PullSize;
use crate::silence::{Silence, Verdict};
use crate::topic_streams::PartitionStream;
use crate::{consumer, read};
use common::memory::MemoryPermit;
use common::message::Message;
use common::queue::{Delivery, QueueError, SubscribeRequest, Subscription};
use common::receipt::CommitReceipt;

use self::credit::Credit;
pub(super) use self::opening::suspect;
use self::opening::{Opened, open};
use self::pull_requests::{HEARTBEAT, PullRequests};
use self::reading::Reading;

/// The server's buffer for one connection; the server drops a reader that exceeds it.
const SERVER_BUFFER_BYTES: usize = 64 * 1024 * 1024;

pub(super) struct NatsSubscription {
    connection: Arc<Connection>,
    stream: Arc<PartitionStream>,
    consumer: String,
    /// Number of this subscription among those of the partition in this process.
    reader: u64,
    losses: watch::Receiver<u64>,
    frames: Subscriber,
    requests: PullRequests,
    reading: Reading,
    /// A message that was fetched without the consumer, and is handed over first.
    first: Option<Message>,
}

impl NatsSubscription {
    pub(super) async fn new(
        connection: Arc<Connection>,
        stream: Arc<PartitionStream>,
        mut request: SubscribeRequest,
        first: Option<Message>,
        ack_mode: AckMode,
    ) -> Result<Self, QueueError> {
        if let Some(first) = &first {
            request.from_offset = first.offset + 1;
        }
        let opened = open(&connection, &stream, &request, ack_mode).await?;
        connection.reader_came();
        let Opened { consumer, reader, losses, frames, requests, intake } = opened;
        let (silence, credit) = (Silence::new(HEARTBEAT, Instant::now()), Credit::new(request.budget));
        let reading = Reading::new(stream.partition.clone(), silence, intake, credit);
        Ok(Self { connection, stream, consumer, reader, losses, frames, requests, reading, first })
    }

    /// Ends the subscription permanently.
    fn lose(&mut self, reason: impl Into<String>) -> QueueError {
        let reason = reason.into();
        tracing::debug!(partition = %self.stream.partition, consumer = %self.consumer, %reason, "subscription lost");
        self.reading.apply(Event::Lost { reason: reason.clone() });
        QueueError::SubscriptionLost { partition: self.stream.partition.clone(), reason }
    }

    fn check(&mut self) -> Result<(), QueueError> {
        if let Some(reason) = self.reading.phase().lost() {
            let (partition, reason) = (self.stream.partition.clone(), reason.to_owned());
            return Err(QueueError::SubscriptionLost { partition, reason });
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
        self.stream.losses.note(self.reading.intake.position());
        self.lose("the connection was disturbed")
    }

    /// Accepts the frames that have arrived, up to the limits.
    fn drain(&mut self, messages_max: usize, bytes_max: usize) -> Result<(), QueueError> {
        // One clock reading for all of them: silence is measured in seconds.
        let now = Instant::now();
        while self.reading.intake.has_room(messages_max, bytes_max) {
            // Unconstrained: the runtime would report the channel empty after 128 frames.
            let Some(frame) = tokio::task::unconstrained(self.frames.next()).now_or_never() else { break };
            self.accept(frame, now)?;
        }
        Ok(())
    }

    fn accept(&mut self, frame: Option<async_nats::Message>, now: Instant) -> Result<(), QueueError> {
        let Some(frame) = frame else { return Err(self.lose("the connection was closed")) };
        self.reading.accept(frame, now).map_err(|reason| self.lose(reason))
    }

    fn pull_size(&self, bytes_max: usize) -> PullSize {
        PullSize::new(bytes_max, self.connection.reader_count(), self.reading.intake.message_bytes_max())
    }

    /// Requests a first pull, waiting for the end of a rest and for memory.
    async fn pull(&mut self, bytes_max: usize) -> Result<(), QueueError> {
        self.reading.release_free();
        if let Some(until) = self.reading.phase().resting_until() {
            tokio::select! {
                _ = self.losses.changed() => return Err(self.lose_connection()),
                () = tokio::time::sleep_until(until) => self.reading.apply(Event::RestEnded),
            }
        }
        let size = self.pull_size(bytes_max);
        let (permit, kind) = match self.reading.credit.try_for_pull(size.credit_bytes()) {
            Some(taken) => taken,
            None => tokio::select! {
                _ = self.losses.changed() => return Err(self.lose_connection()),
                permit = self.reading.credit.acquire(size.credit_bytes()) => (permit, PullKind::Short),
            },
        };
        self.request(size, permit, kind).await
    }

    /// Requests the next pull while the last one is still served, if memory is free now.
    async fn top_up(&mut self, bytes_max: usize) -> Result<(), QueueError> {
        if !self.reading.phase().wants_more() {
            return Ok(());
        }
        let size = self.pull_size(bytes_max);
        // Two pulls of every reader must stay below the server's buffer for the connection.
        if self.reading.phase().is_outstanding()
            && 2 * size.bytes_max * self.connection.reader_count() > SERVER_BUFFER_BYTES
        {
            return Ok(());
        }
        match self.reading.credit.try_for_pull(size.credit_bytes()) {
            Some((permit, kind)) => self.request(size, permit, kind).await,
            None => Ok(()),
        }
    }

    async fn request(&mut self, size: PullSize, permit: MemoryPermit, kind: PullKind) -> Result<(), QueueError> {
        if let Err(error) = self.requests.send(size, kind).await {
            return Err(self.lose(format!("no pull could be sent: {error}")));
        }
        // No await from here on: the request is both sent and accounted for, or neither.
        self.reading.requested(size, permit, kind, Instant::now());
        Ok(())
    }

    /// Waits for one frame of an outstanding pull.
    async fn wait(&mut self) -> Result<(), QueueError> {
        let deadline = self.reading.silence.deadline();
        let frame = tokio::select! {
            biased;
            // Frames first: those that arrived before a disturbance are good, and bring the position up to its cause.
            frame = self.frames.next() => Some(frame),
            _ = self.losses.changed() => return Err(self.lose_connection()),
            () = tokio::time::sleep_until(deadline) => None,
        };
        match frame {
            Some(frame) => self.accept(frame, Instant::now()),
            None => self.break_silence().await,
        }
    }

    async fn break_silence(&mut self) -> Result<(), QueueError> {
        match self.reading.silence.verdict(Instant::now()) {
            Verdict::Wait => Ok(()),
            Verdict::Lost(reason) => Err(self.lose(format!("{reason}{}", self.connection.because()))),
            Verdict::Ask => {
                let position = self.reading.intake.position();
                let next = read::next_from_leader(&self.connection, &self.stream, position).await;
                // No answer proves nothing about the consumer; the query is repeated later.
                self.reading.silence.answered(Instant::now(), matches!(next, Ok(Some(_))));
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
            let memory = self.reading.credit.acquire(first.memory_bytes()).await;
            if self.stream.retention.deletes() {
                self.stream.losses.note_aside(first.offset);
            }
            let messages = self.first.take().into_iter().collect();
            return Ok(Delivery { messages, memory });
        }
        loop {
            self.check()?;
            self.drain(messages_max, bytes_max)?;
            if !self.reading.intake.has_ready() && self.is_disturbed() {
                return Err(self.lose_connection());
            }
            if self.reading.intake.has_ready() {
                if !self.is_disturbed() {
                    self.top_up(bytes_max).await?;
                }
                return Ok(self.reading.hand_over(messages_max));
            }
            if !self.reading.phase().is_outstanding() {
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
        for subject in self.reading.intake.ack_subjects(receipt.high_watermark()) {
            self.connection.client.publish(subject, "+ACK".into()).await.map_err(QueueError::unavailable)?;
        }
        // The consumer cannot deliver these, so they cannot be acked; each costs the connection until it is deleted.
        for offset in self.stream.losses.take_aside_below(receipt.high_watermark()) {
            read::delete(&self.connection, &self.stream, offset).await?;
        }
        Ok(())
    }

    async fn close(mut self: Box<Self>) -> Result<(), QueueError> {
        self.reading.credit.clear();
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
        write!(f, "NatsSubscription({} at {})", self.stream.partition, self.reading.intake.position())
    }
}

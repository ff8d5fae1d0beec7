//! The reader of one partition: raw deliveries through the real rule.
//!
//! Owns: messages that were accepted and not handed over, and giving up. Does not own: the rule
//! (`nats::contiguity`), deliveries (`pump`).

use std::collections::VecDeque;
use std::fmt;

use async_trait::async_trait;
use common::memory::MemoryBudget;
use common::queue::{Delivery, QueueError, Subscription};
use common::{CommitReceipt, Message, TopicPartition};
use nats::contiguity::Contiguity;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::client::AckObserver;
use super::pump::{Frame, HEARTBEAT};
use super::server::QueueServer;
use crate::network::Link;
use crate::watch;

pub(super) struct ModelSubscription {
    pub(super) server: QueueServer,
    pub(super) link: Link,
    pub(super) partition: TopicPartition,
    pub(super) consumer: u64,
    pub(super) frames: mpsc::Receiver<Frame>,
    /// Changes when the connection was disturbed.
    pub(super) losses: watch::Receiver<u64>,
    pub(super) budget: MemoryBudget,
    pub(super) contiguity: Contiguity,
    pub(super) ready: VecDeque<Message>,
    pub(super) heard: Instant,
    pub(super) lost: Option<String>,
    pub(super) acks: Option<std::sync::Arc<dyn AckObserver>>,
}

impl ModelSubscription {
    fn lose(&mut self, reason: impl Into<String>) -> QueueError {
        let reason = reason.into();
        self.ready.clear();
        self.lost = Some(reason.clone());
        QueueError::SubscriptionLost { partition: self.partition.clone(), reason }
    }

    fn check(&mut self) -> Result<(), QueueError> {
        if let Some(reason) = self.lost.clone() {
            return Err(self.lose(reason));
        }
        if self.losses.has_changed().unwrap_or(true) {
            return Err(self.lose("the connection was disturbed"));
        }
        Ok(())
    }

    fn accept(&mut self, frame: Option<Frame>) -> Result<(), QueueError> {
        self.heard = Instant::now();
        match frame {
            Some(Frame::Delivery(info, message)) => {
                self.contiguity.accept(&info).map_err(|reason| self.lose(reason))?;
                self.ready.push_back(message);
                Ok(())
            }
            Some(Frame::Heartbeat { last_consumer_sequence }) => {
                self.contiguity.check_sent(last_consumer_sequence).map_err(|reason| self.lose(reason))
            }
            Some(Frame::Ended(reason)) => Err(self.lose(reason)),
            None => Err(self.lose("deliveries ended")),
        }
    }

    /// Takes the frames that have arrived.
    fn drain(&mut self, messages_max: usize) -> Result<(), QueueError> {
        while self.ready.len() < messages_max {
            match self.frames.try_recv() {
                Ok(frame) => self.accept(Some(frame))?,
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) if self.ready.is_empty() => self.accept(None)?,
                Err(mpsc::error::TryRecvError::Disconnected) => break,
            }
        }
        Ok(())
    }

    /// Number of ready messages that one call may return, and their bytes.
    fn measure(&self, messages_max: usize, bytes_max: usize) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        for message in self.ready.iter().take(messages_max) {
            let next = bytes + message.memory_bytes();
            if count > 0 && next > bytes_max {
                break;
            }
            (count, bytes) = (count + 1, next);
        }
        (count, bytes)
    }
}

#[async_trait]
impl Subscription for ModelSubscription {
    async fn next(&mut self, messages_max: usize, bytes_max: usize) -> Result<Delivery, QueueError> {
        let messages_max = messages_max.max(1);
        loop {
            self.link.process().pass().await;
            self.check()?;
            self.drain(messages_max)?;
            if !self.ready.is_empty() {
                let (count, bytes) = self.measure(messages_max, bytes_max);
                let memory = self.budget.acquire(bytes).await;
                return Ok(Delivery { messages: self.ready.drain(..count).collect(), memory });
            }
            let silent = self.heard + HEARTBEAT * 5 / 2;
            tokio::select! {
                biased;
                frame = self.frames.recv() => self.accept(frame)?,
                _ = self.losses.changed() => return Err(self.lose("the connection was disturbed")),
                () = tokio::time::sleep_until(silent) => return Err(self.lose("no heartbeat came")),
            }
        }
    }

    async fn ack(&mut self, receipt: &CommitReceipt) -> Result<(), QueueError> {
        if *receipt.partition() != self.partition {
            let reason = format!("a receipt of {} cannot ack {}", receipt.partition(), self.partition);
            return Err(QueueError::Refused { reason });
        }
        if let Some(acks) = &self.acks {
            acks.acked(receipt);
        }
        self.check()?;
        let (server, partition, high_watermark) =
            (self.server.clone(), self.partition.clone(), receipt.high_watermark());
        self.link.post(move || server.acked(&partition, high_watermark));
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<(), QueueError> {
        let (server, partition, consumer) = (self.server.clone(), self.partition.clone(), self.consumer);
        let closed = self.link.call(move || server.delete_consumer(&partition, consumer)).await;
        closed.map_err(|lost| QueueError::Unavailable { reason: format!("no answer while closing: {lost:?}") })
    }
}

impl fmt::Debug for ModelSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelSubscription({} at {})", self.partition, self.contiguity.position())
    }
}

//! Asking for messages, as far as memory goes.
//!
//! Owns: when a pull is sent, with which credit and for how long. Does not own: what a pull asks for (`pulls`), what it
//! brings (`intake`).

use std::time::Duration;

use tokio::time::Instant;

use super::{HEARTBEAT, NatsSubscription};
use crate::pulls::PullSize;
use common::memory::MemoryPermit;
use common::queue::QueueError;

/// A pull that waits at the server.
const LONG_EXPIRES: Duration = Duration::from_secs(30);
/// A pull while memory is scarce holds its credit no longer than this.
const SHORT_EXPIRES: Duration = Duration::from_millis(50);
/// What the server buffers for one connection before it gives up on the reader.
const SERVER_BUFFER_BYTES: usize = 64 * 1024 * 1024;

impl NatsSubscription {
    /// Memory that neither ready messages nor pulls need.
    fn free_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, MemoryPermit::bytes).saturating_sub(self.intake.needed_bytes())
    }

    pub(super) fn release_free(&mut self) {
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

    pub(super) fn pull_size(&self, bytes_max: usize) -> PullSize {
        PullSize::new(bytes_max, self.connection.reader_count(), self.intake.message_bytes_max())
    }

    /// Credit for a pull that may wait at the server: only while at least half of the budget stays free, so that
    /// idle partitions never keep busy ones from memory.
    fn idle_credit(&self, bytes: usize) -> Option<MemoryPermit> {
        let is_half_free = self.budget.used_bytes() + bytes <= self.budget.capacity_bytes() / 2;
        is_half_free.then(|| self.budget.try_acquire(bytes)).flatten()
    }

    /// Requests a first pull, waiting for memory.
    pub(super) async fn pull(&mut self, bytes_max: usize) -> Result<(), QueueError> {
        self.release_free();
        if let Some(until) = self.paused_until {
            tokio::select! {
                _ = self.losses.changed() => return Err(self.lose_connection()),
                () = tokio::time::sleep_until(until) => self.paused_until = None,
            }
        }
        let size = self.pull_size(bytes_max);
        if let Some(credit) = self.idle_credit(size.credit_bytes()) {
            return self.request(size, credit, LONG_EXPIRES).await;
        }
        let credit = tokio::select! {
            _ = self.losses.changed() => return Err(self.lose_connection()),
            credit = self.budget.acquire(size.credit_bytes()) => credit,
        };
        self.request(size, credit, SHORT_EXPIRES).await
    }

    /// Requests the next pull while the last one is still served, if memory is free now.
    pub(super) async fn top_up(&mut self, bytes_max: usize) -> Result<(), QueueError> {
        if !self.intake.pulls.is_half_served() {
            return Ok(());
        }
        let size = self.pull_size(bytes_max);
        // Two pulls of every reader must stay below what the server buffers for the connection.
        if self.intake.pulls.is_outstanding()
            && 2 * size.bytes_max * self.connection.reader_count() > SERVER_BUFFER_BYTES
        {
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
        self.intake.pulls.requested(size);
        self.intake.silence.pulled(Instant::now(), expires == LONG_EXPIRES);
        self.intake.is_flowing = false;
        Ok(())
    }
}

//! One reader of one partition in memory.
//!
//! Owns: the position. Does not own: the messages.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::partition::Partition;
use crate::memory::MemoryBudget;
use crate::queue::{Delivery, QueueError, Subscription};
use crate::receipt::CommitReceipt;

pub(super) struct MemorySubscription {
    partition: Arc<Partition>,
    reader: u64,
    next_offset: u64,
    budget: MemoryBudget,
}

impl MemorySubscription {
    pub(super) fn new(partition: Arc<Partition>, from_offset: u64, budget: MemoryBudget) -> Self {
        let reader = partition.new_reader();
        Self { partition, reader, next_offset: from_offset, budget }
    }

    fn check(&self) -> Result<(), QueueError> {
        match self.partition.lost(self.reader) {
            None => Ok(()),
            Some(reason) => {
                Err(QueueError::SubscriptionLost { partition: self.partition.id().clone(), reason: reason.to_owned() })
            }
        }
    }
}

#[async_trait]
impl Subscription for MemorySubscription {
    async fn next(&mut self, messages_max: usize, bytes_max: usize) -> Result<Delivery, QueueError> {
        loop {
            let changed = self.partition.changed().notified();
            tokio::pin!(changed);
            // Enabled before the check, so that a message that arrives in between still wakes this task.
            changed.as_mut().enable();
            self.check()?;
            let (count, bytes) = self.partition.measure(self.next_offset, messages_max, bytes_max);
            if count == 0 {
                changed.await;
                continue;
            }
            // The messages are in memory already: the budget is taken only for the returned ones, so that the readers
            // of idle partitions hold nothing.
            let memory = self.budget.acquire(bytes).await;
            self.check()?;
            let messages = self.partition.take(self.next_offset, count);
            let Some(last) = messages.last() else { continue };
            self.next_offset = last.offset + 1;
            return Ok(Delivery { messages, memory });
        }
    }

    async fn ack(&mut self, receipt: &CommitReceipt) -> Result<(), QueueError> {
        if receipt.partition() != self.partition.id() {
            let (here, given) = (self.partition.id(), receipt.partition());
            return Err(QueueError::refused(format!("a receipt of {given} cannot ack a subscription of {here}")));
        }
        self.check()?;
        self.partition.remove_below(receipt.high_watermark());
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<(), QueueError> {
        Ok(())
    }
}

impl fmt::Debug for MemorySubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemorySubscription({} from {})", self.partition.id(), self.next_offset)
    }
}

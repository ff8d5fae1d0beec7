//! Telling other processes what was committed, so that those who wait there look at once.
//!
//! Owns: gathering the watermarks of commits, and one message for all that gathered. Does not own: the way to others (the
//! queue), their meaning: nobody relies on them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use common::queue::{Announcement, Announcements};
use common::{CommitReceipt, TopicPartition};
use tokio::sync::Notify;

/// Watermarks that are not announced yet: one of each partition, so that they do not pile up while a message is sent.
#[derive(Debug, Default)]
pub(crate) struct Unannounced {
    // A std mutex: held to insert or to take, never across an await.
    watermarks: Mutex<BTreeMap<TopicPartition, u64>>,
    came: Notify,
}

impl Unannounced {
    /// Notes commits of one transaction.
    pub(crate) fn note<'a>(&self, receipts: impl Iterator<Item = &'a CommitReceipt>) {
        let mut watermarks = self.watermarks.lock().expect("no holder of this lock panics");
        watermarks.extend(receipts.map(|receipt| (receipt.partition().clone(), receipt.high_watermark())));
        self.came.notify_one();
    }

    fn take(&self) -> Vec<Announcement> {
        let watermarks = std::mem::take(&mut *self.watermarks.lock().expect("no holder of this lock panics"));
        let announcement = |(partition, high_watermark)| Announcement { partition, high_watermark };
        watermarks.into_iter().map(announcement).collect()
    }
}

/// Announces what is noted. Never returns.
pub(crate) async fn announce(announcements: Arc<dyn Announcements>, unannounced: Arc<Unannounced>) {
    loop {
        unannounced.came.notified().await;
        let taken = unannounced.take();
        if !taken.is_empty() {
            announcements.announce(&taken).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use common::{Epoch, TopicName};
    use futures::stream::BoxStream;
    use tokio::sync::{Semaphore, mpsc};

    use super::*;

    /// Passes each message on after it was let through.
    #[derive(Debug)]
    struct Gate {
        open: Semaphore,
        sent: mpsc::Sender<Vec<Announcement>>,
    }

    #[async_trait]
    impl Announcements for Gate {
        async fn announce(&self, announcements: &[Announcement]) {
            self.open.acquire().await.expect("not closed").forget();
            self.sent.send(announcements.to_vec()).await.expect("the test listens");
        }

        async fn listen(&self) -> Option<BoxStream<'static, Vec<Announcement>>> {
            None
        }
    }

    fn partition(partition_id: u32) -> TopicPartition {
        TopicPartition::new(TopicName::new("orders").expect("valid"), partition_id)
    }

    #[allow(clippy::disallowed_methods, reason = "the test has no catalog")]
    fn receipt(partition_id: u32, high_watermark: u64) -> CommitReceipt {
        CommitReceipt::issue(partition(partition_id), Epoch(1), high_watermark)
    }

    #[tokio::test]
    async fn a_transaction_is_one_message_and_so_is_all_that_comes_while_one_is_sent() {
        let (sent, mut messages) = mpsc::channel(8);
        let gate = Arc::new(Gate { open: Semaphore::new(0), sent });
        let unannounced = Arc::new(Unannounced::default());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(announce(Arc::clone(&gate) as _, Arc::clone(&unannounced)));
        unannounced.note([receipt(0, 5), receipt(1, 7)].iter());
        tokio::task::yield_now().await;
        unannounced.note([receipt(0, 6)].iter());
        unannounced.note([receipt(0, 9), receipt(2, 1)].iter());
        gate.open.add_permits(2);
        let announced =
            |partition_id, high_watermark| Announcement { partition: partition(partition_id), high_watermark };
        assert_eq!(messages.recv().await, Some(vec![announced(0, 5), announced(1, 7)]));
        assert_eq!(messages.recv().await, Some(vec![announced(0, 9), announced(2, 1)]));
        assert!(messages.try_recv().is_err(), "nothing is sent twice");
        assert!(unannounced.take().is_empty());
    }
}

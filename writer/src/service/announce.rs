//! Telling other processes what was committed, so that those who wait there look at once.
//!
//! Owns: gathering the watermarks of commits, and one message for all that gathered. Does not own: the way to others (the
//! queue), their meaning: nobody relies on them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use catalog::CommitOutcome;
use common::TopicPartition;
use common::queue::{Announcement, Announcements};
use tokio::sync::Notify;

/// Watermarks that are not announced yet: one of each partition, so that they do not pile up while a message is sent.
#[derive(Debug)]
pub(crate) struct Unannounced {
    /// The queue has a way for them.
    is_wanted: bool,
    // A std mutex: held to insert or to take, never across an await.
    watermarks: Mutex<BTreeMap<TopicPartition, u64>>,
    came: Notify,
}

impl Unannounced {
    /// Nothing is noted unless it is wanted.
    pub(crate) fn new(is_wanted: bool) -> Self {
        Self { is_wanted, watermarks: Mutex::default(), came: Notify::new() }
    }

    /// Notes the commits of one transaction.
    pub(crate) fn note(&self, outcomes: &[CommitOutcome]) {
        if !self.is_wanted {
            return;
        }
        let receipts = outcomes.iter().filter_map(CommitOutcome::receipt);
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
    use catalog::CatalogError;
    use common::{CommitReceipt, Epoch, TopicName};
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
    fn done(partition_id: u32, high_watermark: u64) -> CommitOutcome {
        CommitOutcome::Done(CommitReceipt::issue(partition(partition_id), Epoch(1), high_watermark))
    }

    #[tokio::test]
    async fn a_transaction_is_one_message_and_so_is_all_that_comes_while_one_is_sent() {
        let (sent, mut messages) = mpsc::channel(8);
        let gate = Arc::new(Gate { open: Semaphore::new(0), sent });
        let unannounced = Arc::new(Unannounced::new(true));
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(announce(Arc::clone(&gate) as _, Arc::clone(&unannounced)));
        unannounced.note(&[done(0, 5), done(1, 7)]);
        tokio::task::yield_now().await;
        unannounced.note(&[done(0, 6)]);
        unannounced.note(&[done(0, 9), CommitOutcome::NotDone(CatalogError::NotCommitted(partition(3))), done(2, 1)]);
        gate.open.add_permits(2);
        let announced =
            |partition_id, high_watermark| Announcement { partition: partition(partition_id), high_watermark };
        assert_eq!(messages.recv().await, Some(vec![announced(0, 5), announced(1, 7)]));
        assert_eq!(messages.recv().await, Some(vec![announced(0, 9), announced(2, 1)]));
        assert!(messages.try_recv().is_err(), "nothing is sent twice");
        assert!(unannounced.take().is_empty());
    }

    #[test]
    fn nothing_gathers_where_nothing_is_announced() {
        let unannounced = Unannounced::new(false);
        unannounced.note(&[done(0, 5)]);
        assert!(unannounced.take().is_empty());
    }
}

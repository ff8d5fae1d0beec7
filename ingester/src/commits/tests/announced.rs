//! Announcements that are true, false, early, lost, or too many: only the catalog confirms.

use async_trait::async_trait;
use common::queue::{Announcement, Announcements};
use futures::channel::mpsc;
use futures::stream::BoxStream;
use futures::{FutureExt, SinkExt, StreamExt};

use super::*;
use crate::commits::places::Places;

/// The way on which the test itself sends.
#[derive(Debug)]
struct Way(Mutex<Option<mpsc::Receiver<Vec<Announcement>>>>);

#[async_trait]
impl Announcements for Way {
    async fn announce(&self, _: &[Announcement]) {}

    async fn listen(&self) -> Option<BoxStream<'static, Vec<Announcement>>> {
        Some(self.0.lock().expect("no holder panics").take()?.boxed())
    }
}

fn announcement(partition: &TopicPartition, high_watermark: u64) -> Announcement {
    Announcement { partition: partition.clone(), high_watermark }
}

/// A world whose commits get the announcements that are sent here.
async fn world() -> (World, mpsc::Sender<Vec<Announcement>>) {
    let (sender, receiver) = mpsc::channel(4);
    let mut world = World::new().await;
    world.commits.listener = Some(Listener::new(Arc::new(Way(Mutex::new(Some(receiver))))));
    (world, sender)
}

#[tokio::test]
async fn an_announcement_wakes_those_alone_who_wait_below_it_in_its_partition() {
    let places = Places::default();
    let partition = |number| TopicPartition::new(TopicName::new("orders").expect("valid"), number);
    let visitor = places.visit(&partition(0), 5, || Pace::new(None));
    let is_woken = || visitor.place.announced.notified().now_or_never().is_some();
    for (number, high_watermark, expected) in [(0, 5, false), (1, 9, false), (0, 6, true), (0, u64::MAX, true)] {
        places.announced(&announcement(&partition(number), high_watermark));
        assert_eq!(is_woken(), expected, "{number} {high_watermark}");
    }
}

#[tokio::test]
async fn a_record_is_confirmed_after_its_commit_and_not_after_a_false_announcement() {
    let (world, mut sender) = world().await;
    let held = world.take().await;
    let before = world.publish(["a", "b"]).await;
    let partition = world.partition.clone();
    let lies = async {
        loop {
            let lies = vec![announcement(&partition, u64::MAX), announcement(&partition, 1)];
            sender.send(lies).await.expect("somebody listens");
            tokio::task::yield_now().await;
        }
    };
    let waits = async {
        for offset in [0, 1] {
            let error = world.commits.wait(&before, ack(offset), SHORT).await.expect_err("nothing is committed");
            assert!(matches!(error, WaitError::NotInTime { .. }), "{error:?}");
        }
        world.commit_all(&held, 0, 0).await;
        assert_eq!(world.commits.wait(&before, ack(0), LONG).await.expect("committed"), Fate::Committed);
        let error = world.commits.wait(&before, ack(1), SHORT).await.expect_err("it is not committed");
        assert!(matches!(error, WaitError::NotInTime { .. }), "{error:?}");
        world.commit_all(&held, 1, 1).await;
        assert_eq!(world.commits.wait(&before, ack(1), LONG).await.expect("committed"), Fate::Committed);
    };
    tokio::select! {
        () = waits => {}
        () = lies => {}
    }
}

#[tokio::test]
async fn an_announcement_from_another_history_confirms_nothing() {
    let (world, mut sender) = world().await;
    let held = world.take().await;
    let before = world.publish(["a"]).await;
    world.halt_and_resume(&held, 5).await;
    sender.send(vec![announcement(&world.partition, 5)]).await.expect("somebody listens");
    let error = world.commits.wait(&before, ack(0), LONG).await.expect_err("another incarnation");
    assert!(matches!(error, WaitError::OtherHistory { .. }), "{error:?}");
}

#[tokio::test]
async fn a_commit_whose_announcement_is_lost_is_found_by_looking() {
    let (world, sender) = world().await;
    // The stream of announcements ends.
    drop(sender);
    let held = world.take().await;
    let before = world.publish(["a"]).await;
    let waited = world.commits.wait(&before, ack(0), LONG);
    let (answer, ()) = tokio::join!(waited, async { world.commit_all(&held, 0, 0).await });
    assert_eq!(answer.expect("committed"), Fate::Committed);
}

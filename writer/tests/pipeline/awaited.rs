//! Producers that wait for the commit, with the real wait: a queue in memory, SQLite, and a timer that is never due.

use std::sync::Arc;
use std::time::Duration;

use catalog::SegmentKind;
use common::queue::PublishAck;
use common::{OutgoingMessage, TopicPartition};
use futures::future::join_all;
use ingester::{Before, Commits, Fate};
use writer::{RollReason, RunningWriter};

use crate::world::World;

/// The timer, and the time within which a record must be committed without it.
const TIMER: Duration = Duration::from_secs(3600);
const LIMIT: Duration = Duration::from_secs(60);

const JSON: &str = r#"{"format":"json","columns":[{"name":"n","type":"int64"}]}"#;

async fn patient_world() -> World {
    let mut world = World::new().await;
    world.config.batch_age_max = TIMER;
    world
}

fn commits(world: &World) -> Commits {
    Commits::new(Arc::clone(&world.catalog)).with_queue(Arc::clone(&world.queue)).with_storage(world.storage.clone())
}

fn rolls(summary: &writer::Summary, reason: RollReason) -> u64 {
    summary.rolls.iter().find(|(of, _)| *of == reason).map_or(0, |(_, count)| *count)
}

async fn publish(
    world: &World,
    commits: &Commits,
    to: &TopicPartition,
    payloads: impl IntoIterator<Item = &str>,
) -> (Before, Vec<PublishAck>) {
    let before = commits.before(to).await.expect("the partition exists");
    let messages = payloads.into_iter().map(|payload| OutgoingMessage::new(payload.to_owned()).awaited()).collect();
    let acks = world.queue.publish(to, messages).await.expect("published");
    (before, acks)
}

async fn fates(commits: &Commits, (before, acks): (Before, Vec<PublishAck>)) -> Vec<Fate> {
    let waits = join_all(acks.iter().map(|ack| commits.wait(&before, *ack, LIMIT))).await;
    waits.into_iter().map(|fate| fate.expect("it is answered without the timer")).collect()
}

/// Checks that everything was committed because somebody waited, and stops the writer.
async fn stop_after(writer: &mut RunningWriter, messages: u64) {
    let summary = writer.summary();
    assert_eq!(summary.messages, messages);
    assert_eq!(rolls(&summary, RollReason::Awaited), summary.segments, "{summary:?}");
    writer.shutdown().await.expect("drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn awaited_records_are_committed_without_the_timer_one_after_the_other() {
    let world = patient_world().await;
    let topic = world.topic("t", 1, "{}").await;
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut writer = world.start().await;
    // Without hints: the looks alone find the commits.
    let commits = commits(&world);
    for number in 0..20_u64 {
        let sent = publish(&world, &commits, &partition, [number.to_string().as_str()]).await;
        assert_eq!(fates(&commits, sent).await, [Fate::Committed]);
        assert_eq!(world.rows(&topic, SegmentKind::Data).await.len() as u64, number + 1, "it is listed by then");
    }
    stop_after(&mut writer, 20).await;
    world.audit(&topic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_wait_share_commits() {
    const PRODUCERS: u32 = 200;
    let world = patient_world().await;
    let topic = world.topic("t", 2, "{}").await;
    let mut writer = world.start().await;
    let commits = commits(&world).with_hints(writer.commits());
    let produce = async |number: u32| {
        let partition = TopicPartition::new(topic.clone(), number % 2);
        for _ in 0..5 {
            let sent = publish(&world, &commits, &partition, ["message"]).await;
            assert_eq!(fates(&commits, sent).await, [Fate::Committed]);
        }
    };
    join_all((0..PRODUCERS).map(produce)).await;
    let segments = writer.summary().segments;
    assert!(segments < u64::from(PRODUCERS), "{segments} segments for {} messages", 5 * PRODUCERS);
    stop_after(&mut writer, u64::from(5 * PRODUCERS)).await;
    assert_eq!(world.rows(&topic, SegmentKind::Data).await.len() as u32, 5 * PRODUCERS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_record_is_answered_with_its_reason() {
    let world = patient_world().await;
    let topic = world.topic("t", 1, JSON).await;
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut writer = world.start().await;
    let commits = commits(&world);
    let payloads = [r#"{"n":1}"#, "broken", "{\"n\":2}\n{\"n\":\"text\"}", r#"{"n":3}"#];
    let fates = fates(&commits, publish(&world, &commits, &partition, payloads).await).await;
    assert_eq!((&fates[0], &fates[3]), (&Fate::Committed, &Fate::Committed));
    let reason = |fate: &Fate| match fate {
        Fate::Quarantined { reason } => reason.clone(),
        Fate::Committed => panic!("not all of its rows are in the table"),
    };
    let reasons = [reason(&fates[1]), reason(&fates[2])];
    assert!(reasons[0].starts_with("expected value") && reasons[1].starts_with("column \"n\""), "{reasons:?}");
    stop_after(&mut writer, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_outlives_the_writer_and_ends_with_the_commit_of_the_next() {
    let mut world = patient_world().await;
    world.config.lease = Duration::from_millis(500);
    let topic = world.topic("t", 1, "{}").await;
    let partition = TopicPartition::new(topic.clone(), 0);
    let commits = commits(&world);
    let sent = publish(&world, &commits, &partition, ["first"]).await;
    for _ in 0..3 {
        // Aborted at any moment of its start, its fetch or its commit.
        let writer = world.start().await;
        tokio::task::yield_now().await;
        drop(writer);
    }
    let (answered, mut writer) = tokio::join!(fates(&commits, sent), world.start());
    assert_eq!(answered, [Fate::Committed]);
    let sent = publish(&world, &commits, &partition, ["second"]).await;
    assert_eq!(fates(&commits, sent).await, [Fate::Committed]);
    writer.shutdown().await.expect("drains");
    assert_eq!(world.rows(&topic, SegmentKind::Data).await, [(0, 0, 0), (0, 1, 0)]);
}

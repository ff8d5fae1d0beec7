//! Cases: groups of consumers over one lake.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use catalog::ConsumerOffset;
use common::{Incarnation, OutgoingMessage};
use consumer::{Fetcher, GroupConsumer, GroupError, ResetTo, Start, lags, plan_reset};

use super::lake::*;

const RAW: &str = r#"{"format":"raw"}"#;
/// Long enough for a poll to look at the group and at every partition.
const QUIET: Duration = Duration::from_millis(50);

async fn member(fetcher: &Fetcher, lake: &Lake, name: &str) -> GroupConsumer {
    let builder = GroupConsumer::builder(fetcher.clone(), "g").subscribe([lake.topic.clone()]).name(name);
    builder.lease(Duration::from_secs(1)).join().await.expect("joined")
}

/// A member dies without leaving. Its lease is over at once: the group treats it as one that is silent for too long.
async fn die(member: GroupConsumer, lake: &Lake) {
    lake.catalog.leave_group("g", member.member()).await.expect("dropped");
}

/// The values that polls give until there are no more.
async fn drain(member: &mut GroupConsumer) -> Vec<String> {
    let mut read = Vec::new();
    while let Some(records) = member.poll(QUIET).await.expect("polled") {
        read.extend(values(&records.batches));
    }
    read
}

/// Polls all members until each holds its share.
async fn settle(members: &mut [&mut GroupConsumer], share: usize) {
    for _ in 0..100 {
        for member in members.iter_mut() {
            member.poll(Duration::from_millis(20)).await.expect("polled");
            member.commit().await.expect("committed");
        }
        if members.iter().all(|member| member.partitions().count() == share) {
            return;
        }
    }
    panic!("no member should hold more than {share}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_goes_on_where_it_left_off() {
    let lake = Lake::new(2, RAW).await;
    lake.commit(0, numbered(0..10)).await;
    lake.commit(1, numbered(10..20)).await;
    let fetcher = lake.fetcher();
    let mut first = member(&fetcher, &lake, "first").await;
    let read: BTreeSet<String> = drain(&mut first).await.into_iter().collect();
    assert_eq!(read, numbered(0..20).into_iter().collect());
    assert_eq!(first.commit().await.expect("committed"), []);
    first.close().await.expect("left");
    lake.commit(0, numbered(20..25)).await;
    let mut second = member(&fetcher, &lake, "second").await;
    assert_eq!(drain(&mut second).await, numbered(20..25));
    die(second, &lake).await;
    // What was not committed is given to the next one again.
    let mut third = member(&fetcher, &lake, "third").await;
    assert_eq!(drain(&mut third).await, numbered(20..25));
    third.close().await.expect("left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_share_the_partitions_and_repeat_nothing_that_was_committed() {
    let lake = Lake::new(4, RAW).await;
    let fetcher = lake.fetcher();
    for partition_id in 0..4 {
        lake.commit(partition_id, numbered(0..5).into_iter().map(|value| format!("{partition_id}-{value}"))).await;
    }
    let mut first = member(&fetcher, &lake, "first").await;
    assert_eq!(first.partitions().count(), 4);
    let before = drain(&mut first).await;
    assert_eq!(before.len(), 20);
    let mut second = member(&fetcher, &lake, "second").await;
    assert_eq!(second.partitions().count(), 0, "the first one has not given any up");
    settle(&mut [&mut first, &mut second], 2).await;
    assert_eq!(drain(&mut second).await, Vec::<String>::new(), "the first one committed before it gave them up");
    for partition_id in 0..4 {
        lake.commit(partition_id, [format!("{partition_id}-new")]).await;
    }
    let (of_first, of_second) = (drain(&mut first).await, drain(&mut second).await);
    assert_eq!((of_first.len(), of_second.len()), (2, 2));
    first.commit().await.expect("committed");
    second.commit().await.expect("committed");
    first.close().await.expect("left");
    settle(&mut [&mut second], 4).await;
    assert_eq!(drain(&mut second).await, Vec::<String>::new());
    second.close().await.expect("left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_given_up_commits_nothing() {
    let lake = Lake::new(1, RAW).await;
    lake.commit(0, numbered(0..10)).await;
    let fetcher = lake.fetcher();
    let mut first = member(&fetcher, &lake, "first").await;
    let records = first.poll(QUIET).await.expect("polled").expect("some");
    assert_eq!(records.records, 10);
    lake.catalog.leave_group("g", first.member()).await.expect("its lease is over");
    let mut second = member(&fetcher, &lake, "second").await;
    assert_eq!(drain(&mut second).await, numbered(0..10));
    second.commit().await.expect("committed");
    assert_eq!(first.commit().await.expect("asked"), [lake.partition(0)], "it is told what it lost");
    let error = first.commit_to(&lake.partition(0), records.next).await.expect_err("lost");
    assert!(matches!(error, GroupError::NotHeld { .. }), "{error}");
    let (view, found) = lags(&fetcher, "g").await.expect("read");
    assert_eq!(view.members.len(), 1);
    assert_eq!(
        (found[0].committed_offset, found[0].lag, found[0].member.as_deref()),
        (Some(10), Some(0), Some("second"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_what_was_given_out_can_be_committed() {
    let lake = Lake::new(1, RAW).await;
    lake.commit(0, numbered(0..10)).await;
    let (fetcher, of) = (lake.fetcher(), lake.partition(0));
    let mut first = member(&fetcher, &lake, "first").await;
    let records = first.poll(QUIET).await.expect("polled").expect("some");
    let part = catalog::Position { offset: 4, ..records.next };
    first.commit_to(&of, part).await.expect("committed");
    let beyond = catalog::Position { offset: 11, ..records.next };
    let error = first.commit_to(&of, beyond).await.expect_err("it was not given out");
    assert!(error.to_string().contains("not given out"), "{error}");
    first.close().await.expect("left");
    let mut second = member(&fetcher, &lake, "second").await;
    assert_eq!(drain(&mut second).await, numbered(4..10));
    second.close().await.expect("left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_poll_commits_what_the_one_before_gave_if_it_is_told_to() {
    let lake = Lake::new(1, RAW).await;
    lake.commit(0, numbered(0..10)).await;
    let fetcher = lake.fetcher();
    let builder = GroupConsumer::builder(fetcher.clone(), "g").subscribe([lake.topic.clone()]).commit_at_poll(true);
    let mut first = builder.join().await.expect("joined");
    assert_eq!(drain(&mut first).await.len(), 10);
    first.close().await.expect("left");
    let mut second = member(&fetcher, &lake, "second").await;
    assert_eq!(drain(&mut second).await, Vec::<String>::new());
    second.close().await.expect("left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_is_planned_before_it_is_made() {
    let lake = Lake::new(2, RAW).await;
    lake.commit(0, numbered(0..10)).await;
    let fetcher = lake.fetcher();
    let partitions = [lake.partition(0), lake.partition(1)];
    let offset = |partition_id, committed_offset| ConsumerOffset {
        group_id: "g".to_owned(),
        topic: lake.topic.clone(),
        partition_id,
        incarnation: Incarnation(0),
        committed_offset,
        metadata: None,
    };
    lake.catalog.commit_offset(offset(0, 3)).await.expect("committed");
    let planned = |to| plan_reset(&fetcher, "g", &partitions, to);
    let end = planned(ResetTo::End).await.expect("planned");
    assert_eq!(end.iter().map(|planned| planned.row.clone()).collect::<Vec<_>>(), [offset(0, 10), offset(1, 0)]);
    assert_eq!(end.iter().map(|planned| planned.before.map(|at| at.offset)).collect::<Vec<_>>(), [Some(3), None]);
    let begin = planned(ResetTo::Begin).await.expect("planned");
    assert_eq!(begin[0].row, offset(0, 0));
    let error = planned(ResetTo::Offset(11)).await.expect_err("above the end");
    assert!(error.to_string().contains("above its end"), "{error}");
    assert_eq!(lake.catalog.get_consumer_offsets("g").await.expect("read"), [offset(0, 3)], "nothing is changed");
    let (_, found) = lags(&fetcher, "g").await.expect("read");
    assert_eq!((found.len(), found[0].lag), (1, Some(7)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_begins_anew_in_a_topic_that_was_made_again() {
    let lake = Lake::new(1, RAW).await;
    lake.commit(0, numbered(0..10)).await;
    let fetcher = lake.fetcher();
    let mut reader = member(&fetcher, &lake, "reader").await;
    assert_eq!(drain(&mut reader).await.len(), 10);
    reader.commit().await.expect("committed");
    catalog::delete_topic(lake.writer.queue().as_ref(), lake.catalog.as_ref(), &lake.topic).await.expect("deleted");
    tokio::time::sleep(Duration::from_millis(2)).await;
    lake.create(1, RAW).await;
    let (of, messages) = (lake.partition(0), numbered(100..103).into_iter().map(OutgoingMessage::new).collect());
    let acks = lake.writer.queue().publish(&of, messages).await.expect("published");
    let end = acks.last().expect("some").offset + 1;
    // The writer still knows the watermark of the deleted topic, so the catalog is asked; a flush that meets the end of that
    // topic's pipeline says so.
    while lake.catalog.get_partition(&of).await.expect("read").expect("there").high_watermark < end {
        lake.writer.flush().await.ok();
        tokio::task::yield_now().await;
    }
    let mut read = Vec::new();
    for _ in 0..100 {
        read.extend(drain(&mut reader).await);
        if !read.is_empty() {
            break;
        }
    }
    assert_eq!(read, numbered(100..103), "offset 10 was one of another topic");
    assert_eq!(reader.commit().await.expect("committed"), []);
    reader.close().await.expect("left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_come_and_die_lose_no_record() {
    let lake = Lake::new(6, RAW).await;
    let fetcher = lake.fetcher();
    let mut rand = fastrand::Rng::with_seed(7);
    let mut members: Vec<GroupConsumer> = Vec::new();
    let (mut seen, mut committed): (BTreeMap<String, u32>, BTreeSet<String>) = (BTreeMap::new(), BTreeSet::new());
    let mut uncommitted: Vec<Vec<String>> = Vec::new();
    let mut repeated_committed = 0;
    let mut published = 0;
    for round in 0..120 {
        if members.len() < 3 && rand.u8(..) < 128 {
            members.push(member(&fetcher, &lake, &format!("m{round}")).await);
            uncommitted.push(Vec::new());
        }
        let some = rand.u64(1..5);
        lake.commit(rand.u32(..6), numbered(published..published + some)).await;
        published += some;
        for at in 0..members.len() {
            let polled = members[at].poll(Duration::from_millis(5)).await.expect("polled");
            for value in polled.map(|records| values(&records.batches)).unwrap_or_default() {
                repeated_committed += u32::from(committed.contains(&value));
                *seen.entry(value.clone()).or_default() += 1;
                uncommitted[at].push(value);
            }
            if rand.u8(..) < 128 {
                let lost = members[at].commit().await.expect("committed");
                if lost.is_empty() {
                    committed.extend(uncommitted[at].drain(..));
                } else {
                    uncommitted[at].clear();
                }
            }
        }
        if members.len() > 1 && rand.u8(..) < 20 {
            let dead = rand.usize(..members.len());
            die(members.remove(dead), &lake).await;
            uncommitted.remove(dead);
        }
    }
    for member in members {
        die(member, &lake).await;
    }
    let mut last = member(&fetcher, &lake, "last").await;
    for value in drain(&mut last).await {
        repeated_committed += u32::from(committed.contains(&value));
        *seen.entry(value).or_default() += 1;
    }
    assert_eq!(seen.len() as u64, published, "no record is lost");
    assert_eq!(repeated_committed, 0, "what was committed is not repeated");
    last.close().await.expect("left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_without_a_sensible_option_is_refused() {
    let lake = Lake::new(1, RAW).await;
    let builder = || GroupConsumer::builder(lake.fetcher(), "g").start(Start::End);
    let error = builder().join().await.expect_err("no topic");
    assert!(error.to_string().contains("subscribe"), "{error}");
    let error = builder().subscribe([name("absent")]).join().await.expect_err("no such topic");
    assert!(error.to_string().contains("absent"), "{error}");
    let short = builder().subscribe([lake.topic.clone()]).lease(Duration::from_millis(10));
    assert!(short.join().await.expect_err("too short").to_string().contains("one second"));
    let error = GroupConsumer::builder(lake.fetcher(), "").subscribe([lake.topic.clone()]).join().await;
    assert!(error.expect_err("no name").to_string().contains("group's id is empty"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_was_lost_at_a_poll_is_named_by_the_next_commit() {
    let lake = Lake::new(1, RAW).await;
    lake.commit(0, numbered(0..5)).await;
    let mut member = member(&lake.fetcher(), &lake, "m").await;
    let records = member.poll(QUIET).await.expect("polled").expect("some");
    assert_eq!(values(&records.batches), numbered(0..5));
    lake.catalog.leave_group("g", member.member()).await.expect("dropped");
    let again = member.poll(Duration::from_secs(10)).await.expect("polled").expect("it looked and claimed anew");
    assert_eq!(values(&again.batches), numbered(0..5), "nothing was committed");
    assert_eq!(member.commit().await.expect("committed"), [lake.partition(0)]);
    assert_eq!(member.commit().await.expect("committed"), [], "each is named once");
}

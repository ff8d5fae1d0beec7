//! The seam between segments and tail, with a queue that drops, loses and hangs as a test says.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use catalog::{Partition, SegmentKind, Topic, TopicStore};
use common::{QueueError, TopicPartition};
use lake::query::HotTail;
use lake::tail::{TailEnd, TailError, TailRequest, TailRows, TailSource};

use crate::lake::{Lake, name, rows};

/// What happens at the next read.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The offsets up to this one, exclusive, are committed, in one segment, and dropped.
    Committed(u64),
    /// The offsets up to this one, exclusive, are gone.
    Lost(u64),
    /// The queue does not answer at first.
    Unavailable,
    /// The queue never answers.
    Silent,
}

/// A queue whose message of offset `n` is the row that a segment has for it.
#[derive(Debug)]
struct Scripted {
    lake: Lake,
    next_offset: u64,
    events: Mutex<Vec<Event>>,
    gone_before: Mutex<u64>,
}

#[async_trait]
impl TailSource for Scripted {
    async fn ends(&self, _: &Topic, partitions: &[&Partition]) -> Vec<Result<TailEnd, TailError>> {
        let end = |partition: &&Partition| {
            let (partition_id, first_offset) = (partition.partition_id, partition.high_watermark);
            Ok(TailEnd { partition_id, first_offset, next_offset: self.next_offset, history: "one".to_owned() })
        };
        partitions.iter().map(end).collect()
    }

    async fn read(&self, request: TailRequest<'_>) -> Result<TailRows, TailError> {
        let event = self.events.lock().expect("whole").pop();
        match event {
            Some(Event::Committed(to)) => {
                let from = request.partition.high_watermark.max(*self.gone_before.lock().expect("whole"));
                self.lake.settle("t", 0, from..=to - 1).await;
                let of = TopicPartition::new(name("t"), 0);
                self.lake.catalog.update_high_watermark(&of, to).await.expect("moved");
                *self.gone_before.lock().expect("whole") = to;
            }
            Some(Event::Lost(to)) => *self.gone_before.lock().expect("whole") = to,
            Some(Event::Unavailable) => return Err(QueueError::unavailable("not now").into()),
            Some(Event::Silent) => std::future::pending().await,
            None => {}
        }
        let gone_before = *self.gone_before.lock().expect("whole");
        // Two offsets at a time.
        let next_offset = (request.from_offset + 2).min(request.to_offset);
        let held = request.from_offset.max(gone_before)..next_offset;
        let mut answer = TailRows {
            next_offset,
            has_holes: gone_before > request.from_offset,
            gone_before: (gone_before > request.from_offset).then_some(gone_before.min(next_offset)),
            message_bytes: held.clone().count() * 100,
            message_count: held.clone().count(),
            ..TailRows::default()
        };
        if !held.is_empty() {
            let held = held.start..=held.end - 1;
            answer.rows.push(rows(&request.topic.config, 0, held, SegmentKind::Data));
        }
        Ok(answer)
    }
}

/// A lake of offsets 0 to 9 in a segment, and 10 to 19 in the queue; events come in order.
async fn lake(events: &[Event]) -> (Lake, Arc<Mutex<Vec<String>>>) {
    let mut lake = Lake::in_memory().await;
    lake.create("t", 1, r#"{"format":"json","columns":[{"name":"n","type":"int64"}]}"#).await;
    lake.settle("t", 0, 0..=9).await;
    lake.catalog.update_high_watermark(&TopicPartition::new(name("t"), 0), 10).await.expect("moved");
    let events = Mutex::new(events.iter().rev().copied().collect());
    let source = Scripted { lake: lake.alike(), next_offset: 20, events, gone_before: Mutex::default() };
    let notes: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&notes);
    let hot = HotTail::of(Arc::new(source)).noting(move |note| noted.lock().expect("whole").push(note.to_owned()));
    lake.session = lake.session(Default::default()).with_hot_tail(hot);
    (lake, notes)
}

const SUM: &str = "SELECT sum(n) * 100 + count(*) AS n FROM t";
/// Offsets 0 to 19.
const ALL: i64 = 190 * 100 + 20;

#[tokio::test]
async fn every_offset_is_there_once_whatever_is_committed_meanwhile() {
    for events in [
        &[][..],
        &[Event::Committed(15)],
        // Beyond the end that the query looked at.
        &[Event::Committed(25)],
        &[Event::Committed(12), Event::Committed(13), Event::Unavailable, Event::Committed(30)],
    ] {
        let (lake, notes) = lake(events).await;
        assert_eq!(lake.number(SUM).await, ALL, "{events:?}");
        assert_eq!(*notes.lock().expect("whole"), Vec::<String>::new());
    }
    // A table that is named twice ends at the same offset both times.
    let (lake, _) = lake(&[Event::Committed(25)]).await;
    let joined = "SELECT count(*) AS n FROM t JOIN t AS u ON t._offset = u._offset";
    assert_eq!(lake.number(joined).await, 20);
}

#[tokio::test]
async fn filters_and_projections_hold_for_rows_from_either_side() {
    for (sql, expected) in [
        ("SELECT count(*) AS n FROM t WHERE _offset BETWEEN 8 AND 16", 9),
        ("SELECT max(_offset) AS n FROM t WHERE n < 18 AND n % 2 = 1", 17),
        ("SELECT n FROM t WHERE _offset = 14", 14),
        ("SELECT count(*) AS n FROM (SELECT _key FROM t LIMIT 13)", 13),
        ("SELECT count(_key) AS n FROM t WHERE s IS NULL AND _offset > 11", 8),
    ] {
        let sql = sql.replace("s IS NULL", "_extra IS NULL");
        let (lake, _) = lake(&[Event::Committed(13)]).await;
        assert_eq!(lake.number(&sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn a_loss_is_noted_or_refused() {
    let (lake, notes) = lake(&[Event::Lost(12)]).await;
    assert_eq!(lake.number("SELECT count(*) AS n FROM t").await, 18);
    let notes = notes.lock().expect("whole").join("\n");
    assert!(notes.contains("offsets 10 to 11 of partition t/0 are neither committed nor in the queue"), "{notes}");
    let (lake, _) = super::hot_tail::lake(&[Event::Lost(12)]).await;
    lake.rows("SET siltstone.hot_tail = on").await;
    let error = lake.error("SELECT count(*) AS n FROM t").await;
    assert!(error.contains("offsets 10 to 11") && error.contains("SET siltstone.hot_tail = off"), "{error}");
}

#[tokio::test]
async fn bounds_are_errors_that_name_the_lag_and_the_remedy() {
    let (lake, _) = lake(&[Event::Silent]).await;
    lake.rows("SET siltstone.hot_tail_timeout = '50ms'").await;
    let error = lake.error("SELECT count(*) FROM t").await;
    for part in ["siltstone.hot_tail_timeout = 50ms", "10 offsets in 1 range", "partition 0 has 10 to 19", "'200ms'"] {
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
    lake.rows("RESET siltstone.hot_tail_timeout").await;
    lake.rows("SET siltstone.hot_tail_bytes = 900").await;
    let error = lake.error("SELECT count(*) FROM t").await;
    for part in ["siltstone.hot_tail_bytes = 900", "10 offsets in 1 range", "SET siltstone.hot_tail_bytes = 3600"] {
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
    lake.rows("SET siltstone.hot_tail_bytes = 1000").await;
    assert_eq!(lake.number(SUM).await, ALL);
    lake.rows("SET siltstone.hot_tail = off").await;
    assert_eq!(lake.number("SELECT count(*) AS n FROM t").await, 10);
}

#[tokio::test]
async fn without_a_queue_committed_rows_are_shown_unless_the_tail_is_demanded() {
    let (lake, _) = lake(&[]).await;
    let notes: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&notes);
    let hot =
        HotTail::unavailable("it is elsewhere").noting(move |note| noted.lock().expect("whole").push(note.to_owned()));
    let session = lake.session(Default::default()).with_hot_tail(hot);
    let count = async || session.sql("SELECT * FROM t").await.expect("plans").count().await;
    assert_eq!(count().await.expect("counts"), 10);
    let said = notes.lock().expect("whole").join("\n");
    assert!(said.contains("topic t: committed rows only, without the hot tail: it is elsewhere"), "{said}");
    session.sql("SET siltstone.hot_tail = on").await.expect("set");
    let error = count().await.expect_err("demanded").to_string();
    assert!(error.contains("topic t has no hot tail here: it is elsewhere"), "{error}");
}

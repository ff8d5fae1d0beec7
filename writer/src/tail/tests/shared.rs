//! Tests of the rows that readers share: they are those of the queue, whatever happened to it since they were read.

use catalog::TopicStore;
use futures::future::join;

use super::*;

/// A tail with its queue, over the lake.
async fn opened(committed: u64) -> (Lake, Arc<Drops>, QueueTail) {
    let mut lake = Lake::new(20).await;
    if committed > 0 {
        lake.commit(committed).await;
    }
    let queue = Drops::of(lake.queue.clone());
    let tail = QueueTail::new(Arc::clone(&queue) as _);
    (lake, queue, tail)
}

/// All rows of the tail as a new reader gets them, and the ranges that were read for them.
async fn read(lake: &Lake, queue: &Drops, tail: &QueueTail, limits: TailLimits) -> (TailRows, Vec<(u64, u64)>) {
    let (topic, partition) = snapshot(lake).await;
    let end = end(tail, &topic, &partition).await.expect("a tail");
    let mut cursor = TailCursor::new(topic, partition, end);
    let mut all = TailRows::default();
    queue.reads();
    loop {
        match cursor.step(tail, lake.catalog.as_ref(), limits).await.expect("a step") {
            TailStep::Rows(rows) => {
                assert!(rows.message_count <= limits.messages_max, "{rows:?}");
                all.rows.extend(rows.rows);
                all.quarantine.extend(rows.quarantine);
                all.message_count += rows.message_count;
                all.message_bytes += rows.message_bytes;
            }
            TailStep::End => return (all, queue.reads()),
            other => panic!("{other:?} of a queue that dropped nothing"),
        }
    }
}

/// What a reader without any other before it gets.
async fn anew(lake: &Lake, queue: &Arc<Drops>) -> TailRows {
    let tail = QueueTail::new(Arc::clone(queue) as _).caching(0);
    let (rows, _) = read(lake, queue, &tail, ALL).await;
    assert_eq!(tail.cached_bytes(), 0);
    rows
}

/// The rows as one batch of each kind, however they came.
fn joined(rows: &TailRows) -> Vec<String> {
    let text = |batches: &[arrow_array::RecordBatch]| {
        let mut lines = Vec::new();
        for batch in batches {
            for row in 0..batch.num_rows() {
                lines.push(format!("{:?}", batch.slice(row, 1).columns()));
            }
        }
        lines
    };
    let mut all = text(&rows.rows);
    all.extend(text(&rows.quarantine));
    all.push(format!("{} messages of {} bytes", rows.message_count, rows.message_bytes));
    all
}

async fn publish(queue: &Drops, lake: &Lake, count: u64) {
    for number in 0..count {
        let message = OutgoingMessage::new(format!("{{\"n\":{}}}", 1_000 + number));
        queue.queue().publish(&lake.partition, vec![message]).await.expect("published");
    }
}

#[tokio::test]
async fn a_later_reader_reads_what_is_new_and_gets_everything() {
    let (lake, queue, tail) = opened(7).await;
    let (first, reads) = read(&lake, &queue, &tail, ALL).await;
    assert_eq!(reads, [(7, 20)]);
    assert_eq!(joined(&first), joined(&anew(&lake, &queue).await));
    let (again, reads) = read(&lake, &queue, &tail, ALL).await;
    assert_eq!((joined(&again), reads), (joined(&first), vec![]));
    publish(&queue, &lake, 5).await;
    // In small parts, which begin and end within the pages.
    for limits in [ALL, TailLimits { messages_max: 3, ..ALL }, TailLimits { bytes_max: 1, ..ALL }] {
        let (rows, _) = read(&lake, &queue, &tail, limits).await;
        assert_eq!(joined(&rows), joined(&anew(&lake, &queue).await), "{limits:?}");
    }
    publish(&queue, &lake, 2).await;
    let (_, reads) = read(&lake, &queue, &tail, ALL).await;
    // The last message that was known, and the new ones.
    assert_eq!(reads, [(24, 27)]);
}

#[tokio::test]
async fn one_message_is_found_wherever_it_is() {
    let (lake, queue, tail) = opened(3).await;
    let (topic, partition) = snapshot(&lake).await;
    for offset in [19, 3, 12, 18, 4] {
        let end = end(&tail, &topic, &partition).await.expect("a tail");
        let mut cursor = TailCursor::new(Arc::clone(&topic), partition.clone(), end).within(offset, offset + 1);
        let step = cursor.step(&tail, lake.catalog.as_ref(), ALL).await.expect("a step");
        let TailStep::Rows(rows) = step else { panic!("{step:?}") };
        assert_eq!(
            (rows.message_count, rows.last.map(|last| last.offset), rows.next_offset),
            (1, Some(offset), offset + 1)
        );
    }
    assert_eq!(queue.reads().len(), 1, "the first reader filled the gap for the others");
}

#[tokio::test]
async fn a_queue_that_lost_its_end_and_stored_other_messages_is_read_anew() {
    // As many as before, fewer and more, from a message on that the readers had; and another stream from the start.
    for (kept, others) in [(15, 5), (15, 3), (12, 20), (19, 1), (19, 30)] {
        let (lake, queue, tail) = opened(7).await;
        read(&lake, &queue, &tail, ALL).await;
        *queue.queue.lock().expect("whole") =
            queue_of(&lake.partition, &[(1_000_000, kept), (9_000_000, others)]).await;
        let (rows, _) = read(&lake, &queue, &tail, ALL).await;
        assert_eq!(joined(&rows), joined(&anew(&lake, &queue).await), "{kept} kept, {others} others");
        assert_eq!(rows.message_count as u64, kept + others - 7);
    }
}

#[tokio::test]
async fn a_loss_while_a_reader_reads_is_an_error_of_the_reader() {
    let (lake, queue, tail) = opened(7).await;
    read(&lake, &queue, &tail, ALL).await;
    let (topic, partition) = snapshot(&lake).await;
    let seen = end(&tail, &topic, &partition).await.expect("a tail");
    *queue.queue.lock().expect("whole") = queue_of(&lake.partition, &[(1_000_000, 15)]).await;
    let refused = tail.read(request(&topic, &partition, &seen)).await.expect_err("it went back");
    assert!(refused.to_string().contains("the queue went back"), "{refused}");
    *queue.queue.lock().expect("whole") = queue_of(&lake.partition, &[(9_000_000, 30)]).await;
    let refused = tail.read(request(&topic, &partition, &seen)).await.expect_err("another history");
    assert!(refused.to_string().contains("is not the one that was read before"), "{refused}");
}

#[tokio::test]
async fn what_is_committed_is_forgotten_and_what_the_queue_dropped_is_found() {
    let (mut lake, queue, tail) = opened(5).await;
    read(&lake, &queue, &tail, TailLimits { messages_max: 4, ..ALL }).await;
    let before = tail.cached_bytes();
    lake.commit(10).await;
    queue.below.store(15, Ordering::Relaxed);
    let (rows, reads) = read(&lake, &queue, &tail, ALL).await;
    assert_eq!((rows.message_count, reads), (5, vec![]));
    assert_eq!(joined(&rows), joined(&anew(&lake, &queue).await));
    assert!(0 < tail.cached_bytes() && tail.cached_bytes() < before, "{} of {before}", tail.cached_bytes());
    // A reader with an older snapshot still has its part from the queue or from the catalog.
    lake.commit(5).await;
    publish(&queue, &lake, 1).await;
    queue.below.store(20, Ordering::Relaxed);
    let (rows, _) = read(&lake, &queue, &tail, ALL).await;
    assert_eq!(joined(&rows), joined(&anew(&lake, &queue).await));
}

#[tokio::test]
async fn other_columns_and_another_incarnation_have_rows_of_their_own() {
    let (mut lake, queue, tail) = opened(5).await;
    let (old, partition) = snapshot(&lake).await;
    read(&lake, &queue, &tail, ALL).await;
    let config = r#"{"format":"json","columns":[{"name":"n","type":"int64"},{"name":"m","type":"string"}]}"#;
    let config = serde_json::from_str(config).expect("valid");
    lake.catalog.update_topic_options(&lake.partition.topic, 1, config).await.expect("updated");
    let (rows, reads) = read(&lake, &queue, &tail, ALL).await;
    assert!(rows.rows[0].column_by_name("m").is_some(), "{rows:?}");
    assert_eq!(reads, [(5, 20)]);
    // A reader that began before the change keeps its columns.
    let seen = end(&tail, &old, &partition).await.expect("a tail");
    let before = tail.read(request(&old, &partition, &seen)).await.expect("rows");
    assert!(before.rows[0].column_by_name("m").is_none() && before.message_count == 15, "{before:?}");
    lake.begin_incarnation().await;
    let (rows, reads) = read(&lake, &queue, &tail, ALL).await;
    let incarnations = rows.rows[0].column_by_name("_incarnation").expect("there");
    assert_eq!(incarnations.as_primitive::<arrow_array::types::Int32Type>().value(0), 1);
    assert_eq!(reads, [(5, 20)]);
}

#[tokio::test]
async fn memory_is_bounded_and_what_finds_no_room_is_read_each_time() {
    let (lake, queue, tail) = opened(0).await;
    let limits = TailLimits { messages_max: 4, ..ALL };
    read(&lake, &queue, &tail, limits).await;
    let bytes_max = tail.cached_bytes() / 2;
    let tail = QueueTail::new(Arc::clone(&queue) as _).caching(bytes_max);
    for _ in 0..3 {
        let (rows, reads) = read(&lake, &queue, &tail, limits).await;
        assert_eq!(joined(&rows), joined(&anew(&lake, &queue).await));
        assert!(0 < tail.cached_bytes() && tail.cached_bytes() <= bytes_max, "{}", tail.cached_bytes());
        assert!(!reads.is_empty());
    }
}

#[tokio::test]
async fn readers_at_once_read_the_queue_once() {
    let (lake, queue, tail) = opened(5).await;
    let ((one, _), (other, _)) = join(read(&lake, &queue, &tail, ALL), read(&lake, &queue, &tail, ALL)).await;
    assert_eq!(joined(&one), joined(&other));
    let (topic, partition) = snapshot(&lake).await;
    let seen = end(&tail, &topic, &partition).await.expect("a tail");
    publish(&queue, &lake, 10).await;
    let later = end(&tail, &topic, &partition).await.expect("a tail");
    queue.reads();
    let (one, other) =
        join(tail.read(request(&topic, &partition, &later)), tail.read(request(&topic, &partition, &seen))).await;
    assert_eq!(one.expect("rows").message_count, 25);
    assert_eq!(other.expect("rows").message_count, 15, "an earlier look ends earlier");
    assert_eq!(queue.reads(), [(19, 30)]);
}

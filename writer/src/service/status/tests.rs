//! The numbers that are computed from the progress of partitions.

use common::TopicName;

use super::*;

#[test]
fn lag_counts_what_the_queue_holds_or_the_writer_has_and_nothing_that_is_gone() {
    let status = |high_watermark, position, queue_first_offset, queue_next_offset| PartitionStatus {
        partition: TopicPartition::new(TopicName::new("t").expect("valid"), 0),
        position,
        high_watermark,
        queue_first_offset,
        queue_next_offset,
        batch_bytes: 0,
        freshness: Duration::ZERO,
        discard_margin: None,
        discard_margin_time: None,
        failing: false,
    };
    assert_eq!(status(0, 0, 1, 1).lag(), 0, "an empty stream of JetStream, which counts from 1");
    assert_eq!(status(50, 50, 101, 101).lag(), 0, "everything was purged");
    assert_eq!(status(50, 50, 81, 101).lag(), 20, "a part was purged");
    assert_eq!(status(50, 70, 50, 101).lag(), 51, "a part is fetched");
    assert_eq!(status(50, 70, 101, 101).lag(), 20, "what is fetched is gone from the queue");
    assert_eq!(status(50, 70, 40, 60).lag(), 20, "the queue was asked before that was published");
}

#[test]
fn freshness_is_the_age_of_the_oldest_uncommitted_batch() {
    let board = StatusBoard::default();
    let partition = TopicPartition::new(TopicName::new("t").expect("valid"), 0);
    let progress = board.insert(partition, 10);
    let freshness = |now_us| board.statuses(now_us)[0].freshness;
    assert_eq!(freshness(1_000), Duration::ZERO);
    progress.batch_opened(10, 100);
    progress.batch_opened(20, 300);
    assert_eq!(freshness(1_000), Duration::from_micros(900));
    progress.committed(20);
    assert_eq!(freshness(1_000), Duration::from_micros(700));
    progress.committed(30);
    assert_eq!(freshness(1_000), Duration::ZERO);
}

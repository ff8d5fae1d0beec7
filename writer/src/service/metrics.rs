//! The writer's metrics: their names, and setting the gauges before each scrape.
//!
//! Owns: names, units and help texts. Does not own: the recorder (the crate `service`).

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::TopicPartition;
use common::memory::MemoryBudget;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::pipeline::roll::RollReason;
use crate::service::status::StatusBoard;

pub(crate) const MESSAGES: &str = "siltstone_messages_fetched_total";
pub(crate) const MESSAGE_BYTES: &str = "siltstone_message_bytes_fetched_total";
pub(crate) const RECORDS: &str = "siltstone_records_committed_total";
pub(crate) const QUARANTINED: &str = "siltstone_records_quarantined_total";
pub(crate) const TOPIC_QUARANTINED: &str = "siltstone_quarantined_records_total";
pub(crate) const SEGMENTS: &str = "siltstone_segments_committed_total";
pub(crate) const SEGMENT_BYTES: &str = "siltstone_segment_bytes_committed_total";
pub(crate) const ROLL_SECONDS: &str = "siltstone_roll_seconds";
pub(crate) const UPLOAD_SECONDS: &str = "siltstone_upload_seconds";
pub(crate) const COMMIT_SECONDS: &str = "siltstone_commit_seconds";
pub(crate) const UPLOAD_RETRIES: &str = "siltstone_upload_retries_total";
pub(crate) const COMMIT_RETRIES: &str = "siltstone_commit_retries_total";
pub(crate) const ATTACHES: &str = "siltstone_attaches_total";
pub(crate) const GAP_OFFSETS: &str = "siltstone_gap_offsets_total";
pub(crate) const COMPACTED_OFFSETS: &str = "siltstone_compacted_offsets_total";
pub(crate) const SKIPPED_OFFSETS: &str = "siltstone_skipped_offsets_total";
pub(crate) const OBJECTS_DELETED: &str = "siltstone_janitor_objects_deleted_total";
pub(crate) const COMMITS_FOLDED: &str = "siltstone_janitor_commits_folded_total";
pub(crate) const SNAPSHOTS_DROPPED: &str = "siltstone_janitor_snapshots_dropped_total";
pub(crate) const COMPACTION_JOBS: &str = "siltstone_compaction_jobs_total";
pub(crate) const COMPACTION_OBJECTS: &str = "siltstone_compaction_objects_merged_total";
pub(crate) const COMPACTION_BYTES_READ: &str = "siltstone_compaction_bytes_read_total";
pub(crate) const COMPACTION_BYTES_WRITTEN: &str = "siltstone_compaction_bytes_written_total";
pub(crate) const COMPACTION_BACKLOG: &str = "siltstone_compaction_backlog_objects";
pub(crate) const WRITE_AMPLIFICATION: &str = "siltstone_write_amplification";
pub(crate) const TABLES_PUBLISHED: &str = "siltstone_iceberg_tables_published_total";
pub(crate) const PUBLICATIONS_FAILED: &str = "siltstone_iceberg_publications_failed_total";
pub(crate) const ICEBERG_LAG: &str = "siltstone_iceberg_lag_seconds";
pub(crate) const OBJECTS_EXPIRED: &str = "siltstone_retention_objects_total";
pub(crate) const SEGMENTS_EXPIRED: &str = "siltstone_retention_segments_total";
pub(crate) const RECORDS_EXPIRED: &str = "siltstone_retention_records_total";
pub(crate) const BYTES_EXPIRED: &str = "siltstone_retention_bytes_total";
pub(crate) const QUEUE_OFFSETS_LOST: &str = "siltstone_queue_offsets_lost_total";
const MEMORY_USED: &str = "siltstone_memory_used_bytes";
const MEMORY_PEAK: &str = "siltstone_memory_peak_bytes";
const MEMORY_BUDGET: &str = "siltstone_memory_budget_bytes";
const PARTITIONS: &str = "siltstone_partitions_owned";
const TROUBLES: &str = "siltstone_troubles";
const LAG: &str = "siltstone_partition_lag_messages";
const FRESHNESS: &str = "siltstone_partition_freshness_seconds";
const MARGIN_MESSAGES: &str = "siltstone_discard_margin_messages";
const MARGIN_SECONDS: &str = "siltstone_discard_margin_seconds";

/// Gives every metric its help text, and sets counters to zero, so that the page shows them before the first event.
pub(crate) fn describe() {
    describe_counter!(MESSAGES, "messages fetched from the queue");
    describe_counter!(MESSAGE_BYTES, "bytes of messages fetched, as counted against memory");
    describe_counter!(RECORDS, "rows committed to topics' tables");
    describe_counter!(QUARANTINED, "records committed to quarantine");
    describe_counter!(TOPIC_QUARANTINED, "records committed to quarantine, by topic");
    describe_counter!(SEGMENTS, "batches committed, by the reason that closed them");
    describe_counter!(SEGMENT_BYTES, "bytes of segments committed");
    describe_histogram!(ROLL_SECONDS, "from the reason to close a batch to its sealed segment");
    describe_histogram!(UPLOAD_SECONDS, "from sealed to durably stored, retries included");
    describe_histogram!(COMMIT_SECONDS, "from stored to committed, retries included");
    describe_counter!(UPLOAD_RETRIES, "uploads tried again");
    describe_counter!(COMMIT_RETRIES, "commits tried again");
    describe_counter!(ATTACHES, "times a partition was attached to the queue, the first time included");
    describe_counter!(GAP_OFFSETS, "offsets that the queue no longer held and was not meant to forget");
    describe_counter!(
        COMPACTED_OFFSETS,
        "offsets that a stream with a limit for each subject forgot, as it is meant to"
    );
    describe_counter!(SKIPPED_OFFSETS, "offsets before the place at which a topic was told to begin");
    describe_counter!(OBJECTS_DELETED, "objects deleted that were never listed, or no longer");
    describe_counter!(COMMITS_FOLDED, "commits folded into a run with their neighbours");
    describe_counter!(SNAPSHOTS_DROPPED, "lake snapshots that were thinned out");
    describe_counter!(COMPACTION_JOBS, "jobs of compaction, by their outcome");
    describe_counter!(COMPACTION_OBJECTS, "objects that were merged into others");
    describe_counter!(COMPACTION_BYTES_READ, "bytes of the objects that were merged");
    describe_counter!(COMPACTION_BYTES_WRITTEN, "bytes of the objects that took their place");
    describe_gauge!(COMPACTION_BACKLOG, "objects that were due to be merged at the last look");
    describe_gauge!(WRITE_AMPLIFICATION, "how often a byte of the live objects was written, at the last look");
    describe_counter!(TABLES_PUBLISHED, "versions of tables published for readers of Iceberg");
    describe_counter!(PUBLICATIONS_FAILED, "publications for readers of Iceberg that failed and are tried again");
    describe_gauge!(ICEBERG_LAG, "age of the oldest change that readers of Iceberg do not see, at the last look");
    describe_counter!(OBJECTS_EXPIRED, "objects older than their topic's retention, taken off the list");
    describe_counter!(SEGMENTS_EXPIRED, "segments of these objects");
    describe_counter!(RECORDS_EXPIRED, "rows of these objects");
    describe_counter!(BYTES_EXPIRED, "bytes of these objects");
    describe_counter!(QUEUE_OFFSETS_LOST, "offsets by which the queue's end was found to have moved back");
    describe_gauge!(MEMORY_USED, "bytes of messages and open segments held now");
    describe_gauge!(MEMORY_PEAK, "most bytes held at once since start");
    describe_gauge!(MEMORY_BUDGET, "bytes that may be held");
    describe_gauge!(PARTITIONS, "partitions this writer owns");
    describe_gauge!(TROUBLES, "partitions that are halted or failed by a defect, and topics that cannot be opened");
    describe_gauge!(LAG, "messages in the queue that are not committed");
    describe_gauge!(FRESHNESS, "age of the oldest message that is fetched and not committed");
    describe_gauge!(MARGIN_MESSAGES, "messages that may be published before the queue discards an uncommitted one");
    describe_gauge!(MARGIN_SECONDS, "seconds before the queue discards an uncommitted message for its age");
    set_to_zero();
}

fn set_to_zero() {
    for name in [MESSAGES, MESSAGE_BYTES, RECORDS, QUARANTINED, SEGMENT_BYTES] {
        counter!(name).increment(0);
    }
    for name in
        [UPLOAD_RETRIES, COMMIT_RETRIES, ATTACHES, GAP_OFFSETS, QUEUE_OFFSETS_LOST, COMPACTED_OFFSETS, SKIPPED_OFFSETS]
    {
        counter!(name).increment(0);
    }
    for name in [OBJECTS_DELETED, COMMITS_FOLDED, SNAPSHOTS_DROPPED, TABLES_PUBLISHED, PUBLICATIONS_FAILED] {
        counter!(name).increment(0);
    }
    for name in [COMPACTION_OBJECTS, COMPACTION_BYTES_READ, COMPACTION_BYTES_WRITTEN] {
        counter!(name).increment(0);
    }
    for outcome in ["done", "refused", "failed"] {
        counter!(COMPACTION_JOBS, "outcome" => outcome).increment(0);
    }
    for name in [OBJECTS_EXPIRED, SEGMENTS_EXPIRED, RECORDS_EXPIRED, BYTES_EXPIRED] {
        counter!(name).increment(0);
    }
    for reason in RollReason::ALL {
        counter!(SEGMENTS, "reason" => reason.as_str()).increment(0);
    }
    // Registered only: the first duration is recorded by its event.
    let _empty = (histogram!(ROLL_SECONDS), histogram!(UPLOAD_SECONDS), histogram!(COMMIT_SECONDS));
}

/// Partitions whose gauges were set; true if the queue limits them. A partition that was given back must not keep its
/// last lag.
// A std mutex: held for one look at all partitions, never across an await.
pub(crate) type Shown = Arc<Mutex<BTreeMap<TopicPartition, bool>>>;

/// Sets the gauges before each scrape, so that they cost nothing in between.
pub(crate) fn observe(board: &StatusBoard, budget: &MemoryBudget, shown: &Shown, now_us: i64) {
    gauge!(MEMORY_USED).set(budget.used_bytes() as f64);
    gauge!(MEMORY_PEAK).set(budget.used_bytes_peak() as f64);
    gauge!(MEMORY_BUDGET).set(budget.capacity_bytes() as f64);
    let statuses = board.statuses(now_us);
    gauge!(PARTITIONS).set(statuses.len() as f64);
    gauge!(TROUBLES).set(board.troubles().len() as f64);
    let mut shown = shown.lock().expect("no holder of this lock panics");
    let mut gone = mem::take(&mut *shown);
    for status in statuses {
        set_partition(&status.partition, status.lag() as f64, status.freshness.as_secs_f64());
        let was_limited = gone.remove(&status.partition).unwrap_or(false);
        let is_limited = status.discard_margin.is_some() || status.discard_margin_time.is_some();
        if is_limited || was_limited {
            set_margin(&status.partition, status.discard_margin, status.discard_margin_time);
        }
        shown.insert(status.partition, is_limited || was_limited);
    }
    for (partition, was_limited) in gone {
        set_partition(&partition, 0.0, 0.0);
        if was_limited {
            set_margin(&partition, None, None);
        }
    }
}

/// Without a limit the margin is infinite.
fn set_margin(partition: &TopicPartition, messages: Option<u64>, time: Option<Duration>) {
    let labels = [("topic", partition.topic.to_string()), ("partition", partition.partition_id.to_string())];
    gauge!(MARGIN_MESSAGES, &labels).set(messages.map_or(f64::INFINITY, |messages| messages as f64));
    gauge!(MARGIN_SECONDS, &labels).set(time.map_or(f64::INFINITY, |time| time.as_secs_f64()));
}

fn set_partition(partition: &TopicPartition, lag: f64, freshness: f64) {
    let labels = [("topic", partition.topic.to_string()), ("partition", partition.partition_id.to_string())];
    gauge!(LAG, &labels).set(lag);
    gauge!(FRESHNESS, &labels).set(freshness);
}

#[cfg(test)]
mod tests {
    use common::TopicName;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn a_partition_that_was_given_up_no_longer_shows_lag() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let (board, budget, shown) = (StatusBoard::default(), MemoryBudget::new(1), Shown::default());
        let partition = TopicPartition::new(TopicName::new("t").expect("valid"), 0);
        let seen = || {
            metrics::with_local_recorder(&recorder, || observe(&board, &budget, &shown, 1_000_000));
            let text = recorder.handle().render();
            let of = |name: &str| text.lines().find(|line| line.starts_with(&format!("{name}{{"))).map(str::to_owned);
            [of(LAG), of(FRESHNESS)].map(|line| line.and_then(|line| line.rsplit_once(' ').map(|(_, n)| n.to_owned())))
        };
        let progress = board.insert(partition.clone(), 0);
        progress.batch_opened(0, 0);
        progress.fetched(7);
        assert_eq!(seen(), [Some("7".to_owned()), Some("1".to_owned())]);
        board.remove(&partition);
        assert_eq!(seen(), [Some("0".to_owned()), Some("0".to_owned())]);
    }
}

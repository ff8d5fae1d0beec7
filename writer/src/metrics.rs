//! The writer's metrics: their names, and the gauges that are made when somebody looks.
//!
//! Owns: names, units and help texts. Does not own: the recorder (common's telemetry).

use common::memory::MemoryBudget;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::roll::RollReason;
use crate::status::StatusBoard;

pub(crate) const MESSAGES: &str = "siltstone_messages_fetched_total";
pub(crate) const MESSAGE_BYTES: &str = "siltstone_message_bytes_fetched_total";
pub(crate) const RECORDS: &str = "siltstone_records_committed_total";
pub(crate) const QUARANTINED: &str = "siltstone_records_quarantined_total";
pub(crate) const SEGMENTS: &str = "siltstone_segments_committed_total";
pub(crate) const SEGMENT_BYTES: &str = "siltstone_segment_bytes_committed_total";
pub(crate) const UPLOAD_SECONDS: &str = "siltstone_upload_seconds";
pub(crate) const COMMIT_SECONDS: &str = "siltstone_commit_seconds";
pub(crate) const UPLOAD_RETRIES: &str = "siltstone_upload_retries_total";
pub(crate) const COMMIT_RETRIES: &str = "siltstone_commit_retries_total";
pub(crate) const ATTACHES: &str = "siltstone_attaches_total";
pub(crate) const GAP_OFFSETS: &str = "siltstone_gap_offsets_total";
const MEMORY_USED: &str = "siltstone_memory_used_bytes";
const MEMORY_PEAK: &str = "siltstone_memory_peak_bytes";
const MEMORY_BUDGET: &str = "siltstone_memory_budget_bytes";
const PARTITIONS: &str = "siltstone_partitions_owned";
const LAG: &str = "siltstone_partition_lag_messages";
const FRESHNESS: &str = "siltstone_partition_freshness_seconds";

/// Gives every metric its help text, and counters their zero: what has not happened yet is shown as well.
pub(crate) fn describe() {
    describe_counter!(MESSAGES, "messages fetched from the queue");
    describe_counter!(MESSAGE_BYTES, "bytes of messages fetched, as counted against memory");
    describe_counter!(RECORDS, "rows committed to topics' tables");
    describe_counter!(QUARANTINED, "records committed to quarantine");
    describe_counter!(SEGMENTS, "batches committed, by the reason that closed them");
    describe_counter!(SEGMENT_BYTES, "bytes of segments committed");
    describe_histogram!(UPLOAD_SECONDS, "from sealed to durably stored, retries included");
    describe_histogram!(COMMIT_SECONDS, "from stored to committed, retries included");
    describe_counter!(UPLOAD_RETRIES, "uploads tried again");
    describe_counter!(COMMIT_RETRIES, "commits tried again");
    describe_counter!(ATTACHES, "times a partition was attached to the queue, the first time included");
    describe_counter!(GAP_OFFSETS, "offsets that the queue no longer held");
    describe_gauge!(MEMORY_USED, "bytes of messages and open segments held now");
    describe_gauge!(MEMORY_PEAK, "most bytes held at once since start");
    describe_gauge!(MEMORY_BUDGET, "bytes that may be held");
    describe_gauge!(PARTITIONS, "partitions this writer owns");
    describe_gauge!(LAG, "messages in the queue that are not committed");
    describe_gauge!(FRESHNESS, "age of the oldest message that is fetched and not committed");
    for name in [MESSAGES, MESSAGE_BYTES, RECORDS, QUARANTINED, SEGMENT_BYTES] {
        counter!(name).increment(0);
    }
    for name in [UPLOAD_RETRIES, COMMIT_RETRIES, ATTACHES, GAP_OFFSETS] {
        counter!(name).increment(0);
    }
    for reason in RollReason::ALL {
        counter!(SEGMENTS, "reason" => reason.as_str()).increment(0);
    }
    // Made known; a duration is recorded when there is one.
    let _empty = (histogram!(UPLOAD_SECONDS), histogram!(COMMIT_SECONDS));
}

/// Sets the gauges; called before each scrape, so that they cost nothing in between.
pub(crate) fn observe(board: &StatusBoard, budget: &MemoryBudget, now_us: i64) {
    gauge!(MEMORY_USED).set(budget.used_bytes() as f64);
    gauge!(MEMORY_PEAK).set(budget.used_bytes_peak() as f64);
    gauge!(MEMORY_BUDGET).set(budget.capacity_bytes() as f64);
    let statuses = board.statuses(now_us);
    gauge!(PARTITIONS).set(statuses.len() as f64);
    for status in statuses {
        let labels =
            [("topic", status.partition.topic.to_string()), ("partition", status.partition.partition_id.to_string())];
        gauge!(LAG, &labels).set(status.lag() as f64);
        gauge!(FRESHNESS, &labels).set(status.freshness.as_secs_f64());
    }
}

//! Object keys: one shape, unique, never reused.
//!
//! Owns: `<prefix>/<topic>/partition=<p>/date=<yyyy-mm-dd>/<base>-<end>-<epoch>-<uuid>[.quarantine].parquet`.
//! Does not own: the existence of an object under a key.

use catalog::SegmentKind;
use chrono::DateTime;
use common::{Epoch, OffsetRange, TopicPartition};
use object_store::path::Path;
use uuid::Uuid;

/// The parts of a key.
#[derive(Clone, Debug)]
pub struct SegmentName<'a> {
    /// Partition whose messages the object holds.
    pub partition: &'a TopicPartition,
    /// The offsets that it covers.
    pub range: OffsetRange,
    /// Epoch under which it is put.
    pub epoch: Epoch,
    /// Table or quarantine.
    pub kind: SegmentKind,
    /// Queue time of the range's first message; gives the date, in UTC.
    pub first_timestamp_us: i64,
}

/// A fresh id and the key that carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// `<topic>-<partition>-<base_offset>-<uuid>`.
    pub id: String,
    /// Key in the store.
    pub key: Path,
}

impl SegmentName<'_> {
    /// A key that was never used before.
    pub fn new_key(&self, prefix: &Path) -> NewKey {
        self.key_with(prefix, Uuid::now_v7())
    }

    fn key_with(&self, prefix: &Path, uuid: Uuid) -> NewKey {
        let topic = self.partition.topic.encoded();
        let date = DateTime::from_timestamp_micros(self.first_timestamp_us).unwrap_or_default().format("%Y-%m-%d");
        let suffix = match self.kind {
            SegmentKind::Data => "parquet",
            SegmentKind::Quarantine => "quarantine.parquet",
        };
        let (base, end, epoch) = (self.range.base(), self.range.end(), self.epoch);
        let path = format!(
            "{topic}/partition={}/date={date}/{base:020}-{end:020}-{epoch}-{uuid}.{suffix}",
            self.partition.partition_id
        );
        // `Path::from` would encode the percent signs of the topic once more; every part is plain already.
        let path = if prefix.as_ref().is_empty() { path } else { format!("{prefix}/{path}") };
        let key = Path::parse(&path).expect("encoded parts make a valid path");
        let id = format!("{}-{}-{base}-{uuid}", self.partition.topic, self.partition.partition_id);
        NewKey { id, key }
    }
}

#[cfg(test)]
mod tests {
    use common::TopicName;

    use super::*;

    fn key(topic: &str, prefix: &str) -> String {
        let partition = TopicPartition::new(TopicName::new(topic).expect("valid"), 3);
        let name = SegmentName {
            partition: &partition,
            range: OffsetRange::new(1000, 1999).expect("in order"),
            epoch: Epoch(7),
            kind: SegmentKind::Data,
            first_timestamp_us: 1_700_000_000_000_000,
        };
        name.key_with(&Path::parse(prefix).expect("valid"), Uuid::nil()).key.to_string()
    }

    #[test]
    fn a_key_tells_topic_partition_date_and_range() {
        let expected = "lake/orders/partition=3/date=2023-11-14/00000000000000001000-00000000000000001999-7-\
            00000000-0000-0000-0000-000000000000.parquet";
        assert_eq!(key("orders", "lake"), expected);
    }

    #[test]
    fn any_queue_time_gives_a_key() {
        let partition = TopicPartition::new(TopicName::new("t").expect("valid"), 0);
        for first_timestamp_us in [i64::MIN, -1, 0, 253_402_300_800_000_000, i64::MAX] {
            let (range, epoch) = (OffsetRange::new(0, u64::MAX - 1).expect("a range"), Epoch(u64::MAX));
            let (partition, kind) = (&partition, SegmentKind::Quarantine);
            let name = SegmentName { partition, range, epoch, kind, first_timestamp_us };
            let key = name.new_key(&Path::default()).key.to_string();
            assert_eq!(key.split('/').count(), 4, "{key}");
            assert!(key.ends_with(".quarantine.parquet"), "{key}");
        }
    }

    #[test]
    fn no_topic_name_leaves_the_prefix() {
        for topic in ["..", "../x", "a/b", "%2e%2e", "日志"] {
            let key = key(topic, "lake");
            assert!(key.starts_with("lake/"), "{key}");
            assert_eq!(key.split('/').count(), 5, "{key}");
            assert!(!key.split('/').any(|part| part == ".." || part == "."), "{key}");
        }
    }
}

//! Object keys: one shape, unique, never reused.
//!
//! Owns: `<prefix>/<topic>[.quarantine]/<yyyy-mm-dd>/<partition>/<base>-<end>-<epoch>-<uuid>.parquet` for the object of one
//! segment, and `<prefix>/<topic>[.quarantine]/<yyyy-mm-dd>/<uuid>.parquet` for one that may hold segments of many partitions; the
//! directory of a table's metadata.
//! Does not own: the existence of an object under a key.
//!
//! No part has the form `name=value`: readers of directories take that for a column, in place of a declared one of its name.
//! Rows, quarantine and metadata never share a directory, so that a pattern over a topic's directory is its table alone. An encoded
//! topic holds no dot: no topic's directory is another one's quarantine. Objects of version 0.1.0 keep keys of another
//! shape; nothing takes a key apart.

use catalog::SegmentKind;
use chrono::DateTime;
use common::{Epoch, OffsetRange, TopicName, TopicPartition};
use object_store::path::Path;
use uuid::Uuid;

/// The parts of the key of an object with segments of many partitions.
#[derive(Clone, Debug)]
pub struct SharedName<'a> {
    /// The topic.
    pub topic: &'a TopicName,
    /// Table or quarantine.
    pub kind: SegmentKind,
    /// Queue time of the earliest message; gives the date, in UTC.
    pub first_timestamp_us: i64,
}

impl SharedName<'_> {
    /// A key that was never used before.
    pub fn new_key(&self, prefix: &Path) -> NewKey {
        let uuid = Uuid::now_v7();
        let directory = directory(self.topic, self.kind, self.first_timestamp_us);
        NewKey { id: format!("{}-{uuid}", self.topic), key: below(prefix, &format!("{directory}/{uuid}.parquet")) }
    }
}

/// The parts of the key of an object with one segment.
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
    /// `<topic>-<partition>-<base_offset>-<uuid>`; of a shared object `<topic>-<uuid>`.
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
        let directory = directory(&self.partition.topic, self.kind, self.first_timestamp_us);
        let (partition, base, end, epoch) =
            (self.partition.partition_id, self.range.base(), self.range.end(), self.epoch);
        let key = below(prefix, &format!("{directory}/{partition}/{base:020}-{end:020}-{epoch}-{uuid}.parquet"));
        let id = format!("{}-{}-{base}-{uuid}", self.partition.topic, self.partition.partition_id);
        NewKey { id, key }
    }
}

/// Directory of the objects of a table and day.
fn directory(topic: &TopicName, kind: SegmentKind, first_timestamp_us: i64) -> String {
    let date = DateTime::from_timestamp_micros(first_timestamp_us).unwrap_or_default().format("%Y-%m-%d");
    format!("{}{}/{date}", topic.encoded(), suffix(kind))
}

/// The directory of the metadata of a table, whose own id this is: `<prefix>/<topic>[.quarantine].iceberg/<uuid>`.
pub fn table_directory(prefix: &Path, topic: &TopicName, kind: SegmentKind, uuid: &str) -> Path {
    below(prefix, &format!("{}{}.iceberg/{uuid}", topic.encoded(), suffix(kind)))
}

fn suffix(kind: SegmentKind) -> &'static str {
    match kind {
        SegmentKind::Data => "",
        SegmentKind::Quarantine => ".quarantine",
    }
}

fn below(prefix: &Path, path: &str) -> Path {
    // `Path::from` would encode the percent signs of the topic once more; every part is plain already.
    let path = if prefix.as_ref().is_empty() { path.to_owned() } else { format!("{prefix}/{path}") };
    Path::parse(&path).expect("encoded parts make a valid path")
}

#[cfg(test)]
mod tests {
    use common::TopicName;

    use super::*;

    fn key(topic: &str, kind: SegmentKind, prefix: &str) -> String {
        let partition = TopicPartition::new(TopicName::new(topic).expect("valid"), 3);
        let name = SegmentName {
            partition: &partition,
            range: OffsetRange::new(1000, 1999).expect("in order"),
            epoch: Epoch(7),
            kind,
            first_timestamp_us: 1_700_000_000_000_000,
        };
        name.key_with(&Path::parse(prefix).expect("valid"), Uuid::nil()).key.to_string()
    }

    #[test]
    fn a_key_tells_topic_kind_date_partition_and_range() {
        let file =
            "2023-11-14/3/00000000000000001000-00000000000000001999-7-00000000-0000-0000-0000-000000000000.parquet";
        assert_eq!(key("orders", SegmentKind::Data, "lake"), format!("lake/orders/{file}"));
        assert_eq!(key("orders", SegmentKind::Quarantine, "lake"), format!("lake/orders.quarantine/{file}"));
    }

    #[test]
    fn keys_of_shared_objects_differ_and_tell_topic_kind_and_date() {
        let topic = TopicName::new("orders").expect("valid");
        let name =
            SharedName { topic: &topic, kind: SegmentKind::Quarantine, first_timestamp_us: 1_700_000_000_000_000 };
        let keys = [(); 2].map(|()| name.new_key(&Path::parse("lake").expect("valid")).key.to_string());
        assert_ne!(keys[0], keys[1]);
        for key in keys {
            assert!(key.starts_with("lake/orders.quarantine/2023-11-14/") && key.split('/').count() == 4, "{key}");
        }
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
            assert!(key.starts_with("t.quarantine/") && key.ends_with(".parquet"), "{key}");
        }
    }

    #[test]
    fn no_topic_name_leaves_the_prefix_or_makes_a_column_of_a_directory() {
        for topic in ["..", "../x", "a/b", "%2e%2e", "日志", "date=2020-01-01", "x.quarantine"] {
            let keys = [SegmentKind::Data, SegmentKind::Quarantine].map(|kind| key(topic, kind, "lake"));
            assert_ne!(keys[0].split('/').nth(1), keys[1].split('/').nth(1));
            for key in keys {
                assert!(key.starts_with("lake/"), "{key}");
                assert_eq!(key.split('/').count(), 5, "{key}");
                assert!(!key.split('/').any(|part| part == ".." || part == "."), "{key}");
                assert!(!key.contains('='), "{key}");
                assert!(!key.starts_with("lake/x.quarantine/"), "{key}");
            }
        }
    }
}

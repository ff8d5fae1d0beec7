//! Footer: the words with which an object describes itself, so that a catalog could be rebuilt from objects.
//!
//! Owns: the key-values in the metadata of a Parquet file, written and compared here alone, and the words of a kind.
//! Does not own: the rest of the file (`segment`).

use catalog::{SegmentInfo, SegmentKind};
use common::{Epoch, Incarnation, TopicPartition};
use parquet::file::metadata::{KeyValue, ParquetMetaData};

/// The description of an object in its footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The partition.
    pub partition: TopicPartition,
    /// History of the queue that its offsets count in.
    pub incarnation: Incarnation,
    /// First offset of its range.
    pub base_offset: u64,
    /// Last offset of its range.
    pub end_offset: u64,
    /// Ownership under which it was written.
    pub epoch: Epoch,
    /// Table or quarantine.
    pub kind: SegmentKind,
    /// The topic's schema version.
    pub schema_version: u32,
}

impl Footer {
    /// The footer that a listed segment must have; `epoch` is that of its commit.
    pub fn of(segment: &SegmentInfo, epoch: Epoch) -> Self {
        Self {
            partition: TopicPartition::new(segment.topic.clone(), segment.partition_id),
            incarnation: segment.incarnation,
            base_offset: segment.base_offset,
            end_offset: segment.end_offset,
            epoch,
            kind: segment.kind,
            schema_version: segment.schema_version,
        }
    }

    /// The key-values of a new file, in order.
    pub fn pairs(&self) -> Vec<KeyValue> {
        let pair = |(name, value): (&str, String)| KeyValue::new(key(name), value);
        let version = ("writer_version", env!("CARGO_PKG_VERSION").to_owned());
        self.described().into_iter().chain([version]).map(pair).collect()
    }

    /// Compares the footer of a file with this one. Any version may have written it.
    ///
    /// # Errors
    /// Names the first difference.
    pub fn check(&self, metadata: &ParquetMetaData) -> Result<(), String> {
        let pairs = metadata.file_metadata().key_value_metadata().map_or(&[][..], Vec::as_slice);
        for (name, expected) in self.described() {
            let key = key(name);
            let found = pairs.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.as_deref());
            if found != Some(expected.as_str()) {
                let found = found.unwrap_or("nothing");
                return Err(format!("its footer says {name} {found}, the catalog says {expected}"));
            }
        }
        Ok(())
    }

    fn described(&self) -> [(&'static str, String); 8] {
        [
            ("topic", self.partition.topic.to_string()),
            ("partition", self.partition.partition_id.to_string()),
            ("incarnation", self.incarnation.to_string()),
            ("base_offset", self.base_offset.to_string()),
            ("end_offset", self.end_offset.to_string()),
            ("epoch", self.epoch.to_string()),
            ("kind", kind_word(self.kind).to_owned()),
            ("schema_version", self.schema_version.to_string()),
        ]
    }
}

fn key(name: &str) -> String {
    format!("siltstone.{name}")
}

/// The word of a kind, in footers and system tables.
pub fn kind_word(kind: SegmentKind) -> &'static str {
    match kind {
        SegmentKind::Data => "data",
        SegmentKind::Quarantine => "quarantine",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, RecordBatch};
    use arrow_schema::{DataType, Field, Schema};
    use bytes::Bytes;
    use common::TopicName;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::segment::SegmentEncoder;

    fn footer() -> Footer {
        Footer {
            partition: TopicPartition::new(TopicName::new("my orders").expect("valid"), 3),
            incarnation: Incarnation(2),
            base_offset: 10,
            end_offset: 19,
            epoch: Epoch(7),
            kind: SegmentKind::Quarantine,
            schema_version: 4,
        }
    }

    fn written(pairs: Vec<KeyValue>) -> Arc<ParquetMetaData> {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let rows = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Int64Array::from(vec![1]))]);
        let mut encoder = SegmentEncoder::new(&schema, 1024).expect("a valid schema");
        encoder.write(&rows.expect("matches")).expect("fits");
        let segment = encoder.finish(pairs).expect("finishes");
        let bytes = Bytes::from(segment.payload.iter().flatten().copied().collect::<Vec<u8>>());
        Arc::clone(ParquetRecordBatchReaderBuilder::try_new(bytes).expect("a Parquet file").metadata())
    }

    #[test]
    fn the_stored_words_stay_as_they_are() {
        let pairs: Vec<_> =
            footer().pairs().into_iter().map(|pair| (pair.key, pair.value.unwrap_or_default())).collect();
        let expected = [
            ("siltstone.topic", "my orders"),
            ("siltstone.partition", "3"),
            ("siltstone.incarnation", "2"),
            ("siltstone.base_offset", "10"),
            ("siltstone.end_offset", "19"),
            ("siltstone.epoch", "7"),
            ("siltstone.kind", "quarantine"),
            ("siltstone.schema_version", "4"),
            ("siltstone.writer_version", env!("CARGO_PKG_VERSION")),
        ];
        assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(kind_word(SegmentKind::Data), "data");
    }

    #[test]
    fn every_difference_is_named() {
        assert_eq!(footer().check(&written(footer().pairs())), Ok(()));
        let missing = footer().check(&written(vec![])).expect_err("no footer");
        assert_eq!(missing, "its footer says topic nothing, the catalog says my orders");
        for (name, value) in [("topic", "x"), ("partition", "4"), ("incarnation", "1"), ("base_offset", "9")]
            .into_iter()
            .chain([("end_offset", "20"), ("epoch", "8"), ("kind", "data"), ("schema_version", "5")])
        {
            let mut pairs = footer().pairs();
            let changed = pairs.iter_mut().find(|pair| pair.key == key(name)).expect("there");
            changed.value = Some(value.to_owned());
            let found = footer().check(&written(pairs)).expect_err(name);
            assert!(found.starts_with(&format!("its footer says {name} {value}, the catalog says ")), "{found}");
        }
        let mut other_version = footer().pairs();
        other_version.last_mut().expect("some").value = Some("0.0.1".to_owned());
        assert_eq!(footer().check(&written(other_version)), Ok(()));
    }
}

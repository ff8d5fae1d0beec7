//! Footer: an object's description of itself, so that a catalog could be rebuilt from objects.
//!
//! Owns: the key-values in the metadata of a Parquet file, written and compared here alone.
//! Does not own: the rest of the file (`segment`).

use catalog::{SegmentInfo, SegmentKind};
use common::{Epoch, Incarnation, OffsetRange, TopicName};
use parquet::file::metadata::{KeyValue, ParquetMetaData};

/// The description of an object in its footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The topic.
    pub topic: TopicName,
    /// Table or quarantine.
    pub kind: SegmentKind,
    /// The topic's schema version.
    pub schema_version: u32,
    /// The segment whose rows the object holds. `None` for several segments; then only the rows identify them.
    pub segment: Option<FooterSegment>,
}

/// The one segment of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FooterSegment {
    /// The partition.
    pub partition_id: u32,
    /// Incarnation that its offsets count in.
    pub incarnation: Incarnation,
    /// Its offsets.
    pub range: OffsetRange,
    /// Epoch under which it was written. `None` for a replacement, which has no epoch.
    pub epoch: Option<Epoch>,
}

impl FooterSegment {
    /// The footer of a listed segment's object; `epoch` is that of the segment's commit, if it has a single one.
    pub fn of(segment: &SegmentInfo, epoch: Option<Epoch>) -> Self {
        let SegmentInfo { partition_id, incarnation, range, .. } = *segment;
        Self { partition_id, incarnation, range, epoch }
    }
}

impl Footer {
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

    fn described(&self) -> Vec<(&'static str, String)> {
        let mut words = vec![("topic", self.topic.to_string())];
        if let Some(segment) = &self.segment {
            words.push(("partition", segment.partition_id.to_string()));
            words.push(("incarnation", segment.incarnation.to_string()));
            words.push(("base_offset", segment.range.base().to_string()));
            words.push(("end_offset", segment.range.end().to_string()));
            words.extend(segment.epoch.map(|epoch| ("epoch", epoch.to_string())));
        }
        words.push(("kind", self.kind.as_str().to_owned()));
        words.push(("schema_version", self.schema_version.to_string()));
        words
    }
}

fn key(name: &str) -> String {
    format!("siltstone.{name}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, RecordBatch};
    use arrow_schema::{DataType, Field, Schema};
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::segment::SegmentEncoder;

    fn footer() -> Footer {
        Footer {
            topic: TopicName::new("my orders").expect("valid"),
            kind: SegmentKind::Quarantine,
            schema_version: 4,
            segment: Some(FooterSegment {
                partition_id: 3,
                incarnation: Incarnation(2),
                range: OffsetRange::new(10, 19).expect("a range"),
                epoch: Some(Epoch(7)),
            }),
        }
    }

    fn words(footer: &Footer) -> Vec<(String, String)> {
        footer.pairs().into_iter().map(|pair| (pair.key, pair.value.unwrap_or_default())).collect()
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
        assert_eq!(words(&footer()), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn an_object_of_several_segments_says_nothing_of_a_range() {
        let shared = Footer { segment: None, ..footer() };
        let names: Vec<_> = words(&shared).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["topic", "kind", "schema_version", "writer_version"].map(key));
        assert_eq!(shared.check(&written(shared.pairs())), Ok(()));
        let found = footer().check(&written(shared.pairs())).expect_err("one segment says its range");
        assert_eq!(found, "its footer says partition nothing, the catalog says 3");
        let mut replaced = footer();
        replaced.segment.as_mut().expect("one").epoch = None;
        assert!(words(&replaced).iter().all(|(name, _)| *name != key("epoch")));
        assert_eq!(replaced.check(&written(footer().pairs())), Ok(()), "an epoch that nobody knows is not compared");
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

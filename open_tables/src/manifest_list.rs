//! A list of manifests: a snapshot of a table, in one file.
//!
//! Owns: its schema and its bytes, and reading back which manifests it has. Does not own: the manifests.
//!
//! Source: the Iceberg table specification, version 2, "Manifest Lists".

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::avro::{Container, ContainerWriter, Encoder, Malformed, Reader};
use crate::manifest::SPEC_BY_DAY;

/// A stored manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The key of its object.
    pub(crate) key: String,
    /// Its whole address.
    pub(crate) path: String,
    /// Its size in bytes.
    pub(crate) length: u64,
    pub(crate) spec_id: i32,
    /// The day of the first rows of its objects.
    pub(crate) day: i32,
    pub(crate) sequence_number: i64,
    /// The lowest sequence number of its objects.
    pub(crate) min_sequence_number: i64,
    /// The snapshot that wrote it.
    pub(crate) snapshot_id: i64,
    pub(crate) added: Counts,
    pub(crate) existing: Counts,
    pub(crate) deleted: Counts,
}

/// Objects of one status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) files: i64,
    pub(crate) rows: i64,
}

impl Manifest {
    /// The objects that the table has in it.
    pub(crate) fn live(&self) -> Counts {
        Counts { files: self.added.files + self.existing.files, rows: self.added.rows + self.existing.rows }
    }
}

/// The snapshot that a list is of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) snapshot_id: i64,
    pub(crate) parent_id: Option<i64>,
    pub(crate) sequence_number: i64,
}

/// The bytes of a list.
pub(crate) fn write(place: Place, manifests: &[Manifest]) -> Vec<u8> {
    let text = [place.snapshot_id, place.sequence_number].map(|number| number.to_string());
    let parent = place.parent_id.map_or_else(|| "null".to_owned(), |id| id.to_string());
    let properties = [
        ("snapshot-id", text[0].as_str()),
        ("parent-snapshot-id", &parent),
        ("sequence-number", &text[1]),
        ("format-version", "2"),
    ];
    let mut writer = ContainerWriter::new(&avro_schema(), &properties);
    for manifest in manifests {
        writer.add(|record| write_manifest(record, manifest));
    }
    writer.finish()
}

fn write_manifest(record: &mut Encoder, manifest: &Manifest) {
    record.string(&manifest.path);
    record.long(manifest.length.cast_signed());
    record.long(i64::from(manifest.spec_id));
    record.long(0); // data
    record.long(manifest.sequence_number);
    record.long(manifest.min_sequence_number);
    record.long(manifest.snapshot_id);
    let counts = [manifest.added, manifest.existing, manifest.deleted];
    for count in counts.map(|counts| counts.files).into_iter().chain(counts.map(|counts| counts.rows)) {
        record.long(count);
    }
    let bounds = if manifest.spec_id == SPEC_BY_DAY { &[manifest.day.to_le_bytes()][..] } else { &[] };
    record.is_some(true);
    record.array(bounds, |record, day| {
        record.boolean(false);
        record.is_some(true);
        record.boolean(false);
        for _ in 0..2 {
            record.is_some(true);
            record.bytes(day);
        }
    });
    record.is_some(false); // key_metadata
}

/// Reads the addresses of the manifests of a list back.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<String>, Malformed> {
    let container = Container::read(bytes)?;
    let mut reader = Reader::new(&container.records);
    let mut paths = Vec::new();
    for _ in 0..container.count {
        paths.push(reader.string()?.to_owned());
        for _ in 0..12 {
            reader.long()?;
        }
        reader.is_some()?;
        reader.array(|reader| {
            reader.boolean()?;
            reader.is_some()?;
            reader.boolean()?;
            for _ in 0..2 {
                reader.is_some()?;
                reader.bytes()?;
            }
            Ok(())
        })?;
        reader.is_some()?;
    }
    Ok(paths)
}

fn avro_schema() -> Value {
    let required = |id: i32, name: &str, of: &str| json!({ "name": name, "field-id": id, "type": of });
    let optional =
        |id: i32, name: &str, of: &str| json!({ "name": name, "field-id": id, "type": ["null", of], "default": null });
    let summary = json!([
        required(509, "contains_null", "boolean"),
        optional(518, "contains_nan", "boolean"),
        optional(510, "lower_bound", "bytes"),
        optional(511, "upper_bound", "bytes"),
    ]);
    let summary = json!({ "type": "record", "name": "r508", "fields": summary });
    let partitions = json!({ "type": "array", "items": summary, "element-id": 508 });
    let fields = json!([
        required(500, "manifest_path", "string"),
        required(501, "manifest_length", "long"),
        required(502, "partition_spec_id", "int"),
        required(517, "content", "int"),
        required(515, "sequence_number", "long"),
        required(516, "min_sequence_number", "long"),
        required(503, "added_snapshot_id", "long"),
        required(504, "added_files_count", "int"),
        required(505, "existing_files_count", "int"),
        required(506, "deleted_files_count", "int"),
        required(512, "added_rows_count", "long"),
        required(513, "existing_rows_count", "long"),
        required(514, "deleted_rows_count", "long"),
        { "name": "partitions", "field-id": 507, "type": ["null", partitions], "default": null },
        optional(519, "key_metadata", "bytes"),
    ]);
    json!({ "type": "record", "name": "manifest_file", "fields": fields })
}

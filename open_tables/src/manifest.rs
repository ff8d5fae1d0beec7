//! A manifest: some objects of a table, in one file.
//!
//! Owns: its schema and its bytes, and reading back which objects it has. Does not own: the choice of the objects (`plan`).
//!
//! Source: the Iceberg table specification, version 2, "Manifests".

use catalog::{StateFile, TableColumn};
use serde_json::{Value, json};

use crate::avro::{Container, ContainerWriter, Encoder, Malformed, Reader};
use crate::bounds::{ColumnBounds, bounds};

/// The partition spec of objects that span several days.
pub(crate) const SPEC_WHOLE_TABLE: i32 = 0;
/// The partition spec of objects within one day: `day(_timestamp)`.
pub(crate) const SPEC_BY_DAY: i32 = 1;
/// The field id of the day in the second one.
pub(crate) const DAY_FIELD_ID: i32 = 1000;

/// The change of an object in the snapshot that wrote the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Existing = 0,
    Added = 1,
    Deleted = 2,
}

/// An object in a manifest.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) status: Status,
    /// The id of the snapshot that added it, or that deletes it.
    pub(crate) snapshot_id: i64,
    /// The sequence number of the snapshot that added it; `None` for the one that writes the manifest.
    pub(crate) sequence_number: Option<i64>,
    pub(crate) file: &'a StateFile,
    /// Its whole address.
    pub(crate) path: String,
}

/// The properties of a manifest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ManifestSchema<'a> {
    /// The schema of the table.
    pub(crate) table: &'a Value,
    pub(crate) schema_id: i32,
    pub(crate) columns: &'a [TableColumn],
    /// The partition spec of its objects.
    pub(crate) spec_id: i32,
    /// Their day, where they have one.
    pub(crate) day: i32,
}

/// The fields of a partition spec.
pub(crate) fn spec_fields(spec_id: i32) -> Value {
    match spec_id {
        SPEC_BY_DAY => json!([
            { "name": "_timestamp_day", "transform": "day", "source-id": 4, "field-id": DAY_FIELD_ID }
        ]),
        _ => json!([]),
    }
}

/// The bytes of a manifest.
pub(crate) fn write(schema: ManifestSchema<'_>, entries: &[Entry<'_>]) -> Vec<u8> {
    let table = schema.table.to_string();
    let (schema_id, spec_id) = (schema.schema_id.to_string(), schema.spec_id.to_string());
    let spec = spec_fields(schema.spec_id).to_string();
    let properties = [
        ("schema", table.as_str()),
        ("schema-id", &schema_id),
        ("partition-spec", &spec),
        ("partition-spec-id", &spec_id),
        ("format-version", "2"),
        ("content", "data"),
    ];
    let mut writer = ContainerWriter::new(&avro_schema(schema.spec_id), &properties);
    for entry in entries {
        writer.add(|record| write_entry(record, schema, entry));
    }
    writer.finish()
}

fn write_entry(record: &mut Encoder, schema: ManifestSchema<'_>, entry: &Entry<'_>) {
    let object = &entry.file.object;
    record.long(entry.status as i64);
    record.optional_long(Some(entry.snapshot_id));
    // The sequence number of an added object is that of the snapshot, which the list of manifests has.
    record.optional_long(entry.sequence_number);
    record.optional_long(entry.sequence_number);
    record.long(0); // data
    record.string(&entry.path);
    record.string("PARQUET");
    if schema.spec_id == SPEC_BY_DAY {
        record.optional_long(Some(i64::from(schema.day)));
    }
    record.long(object.record_count.cast_signed());
    record.long(object.size_bytes.cast_signed());
    let known = match entry.status {
        Status::Deleted => Vec::new(),
        Status::Existing | Status::Added => bounds(schema.columns, entry.file),
    };
    let sizes: Vec<_> = entry.file.statistics.iter().map(|of| (of.field_id, of.compressed_bytes)).collect();
    let bytes = |of: fn(&ColumnBounds) -> &Option<Vec<u8>>| -> Vec<(i32, &[u8])> {
        known.iter().filter_map(|bounds| Some((bounds.field_id, of(bounds).as_deref()?))).collect()
    };
    let numbers = |of: fn(&ColumnBounds) -> i64| -> Vec<(i32, i64)> {
        known.iter().map(|bounds| (bounds.field_id, of(bounds))).collect()
    };
    map(record, &sizes, |record, size| record.long(size.cast_signed()));
    map(record, &numbers(|bounds| bounds.value_count), |record, count| record.long(*count));
    map(record, &numbers(|bounds| bounds.null_count), |record, count| record.long(*count));
    record.is_some(false); // nan_value_counts
    map(record, &bytes(|bounds| &bounds.lower), |record, bound| record.bytes(bound));
    map(record, &bytes(|bounds| &bounds.upper), |record, bound| record.bytes(bound));
    record.is_some(false); // key_metadata
    record.is_some(false); // split_offsets
    record.is_some(false); // equality_ids
    record.is_some(false); // sort_order_id
}

/// An optional map, which is an array of keys and values.
fn map<V>(record: &mut Encoder, items: &[(i32, V)], write: impl Fn(&mut Encoder, &V)) {
    record.is_some(!items.is_empty());
    if !items.is_empty() {
        record.array(items, |record, (key, value)| {
            record.long(i64::from(*key));
            write(record, value);
        });
    }
}

/// An object that a manifest has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedFile {
    /// Its address.
    pub path: String,
    /// Its number of rows.
    pub record_count: i64,
    /// Its size.
    pub size_bytes: i64,
}

/// Reads the objects of a manifest back, without deleted ones.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<ListedFile>, Malformed> {
    let container = Container::read(bytes)?;
    let is_by_day = container.property("partition-spec-id") == Some("1");
    let mut reader = Reader::new(&container.records);
    let mut files = Vec::new();
    for _ in 0..container.count {
        let is_deleted = reader.long()? == Status::Deleted as i64;
        for _ in 0..3 {
            reader.optional_long()?;
        }
        reader.long()?;
        let path = reader.string()?.to_owned();
        reader.string()?;
        if is_by_day {
            reader.optional_long()?;
        }
        let (record_count, size_bytes) = (reader.long()?, reader.long()?);
        for _ in 0..3 {
            skip_map(&mut reader, |reader| reader.long().map(drop))?;
        }
        reader.is_some()?;
        for _ in 0..2 {
            skip_map(&mut reader, |reader| reader.bytes().map(drop))?;
        }
        for _ in 0..4 {
            reader.is_some()?;
        }
        if !is_deleted {
            files.push(ListedFile { path, record_count, size_bytes });
        }
    }
    Ok(files)
}

fn skip_map(
    reader: &mut Reader<'_>,
    value: impl Fn(&mut Reader<'_>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    if reader.is_some()? {
        reader.array(|reader| {
            reader.long()?;
            value(reader)
        })?;
    }
    Ok(())
}

fn field(id: i32, name: &str, of: impl Into<Value>) -> Value {
    json!({ "name": name, "field-id": id, "type": of.into() })
}

fn optional(id: i32, name: &str, of: impl Into<Value>) -> Value {
    json!({ "name": name, "field-id": id, "type": ["null", of.into()], "default": null })
}

fn map_of((key_id, value_id): (i32, i32), value: &str) -> Value {
    let name = format!("k{key_id}_v{value_id}");
    let fields = json!([field(key_id, "key", "int"), field(value_id, "value", value)]);
    json!({ "type": "array", "logicalType": "map", "items": { "type": "record", "name": name, "fields": fields } })
}

fn avro_schema(spec_id: i32) -> Value {
    let day = json!({ "type": "int", "logicalType": "date" });
    let partition = match spec_id {
        SPEC_BY_DAY => json!([optional(DAY_FIELD_ID, "_timestamp_day", day)]),
        _ => json!([]),
    };
    let data_file = json!([
        field(134, "content", "int"),
        field(100, "file_path", "string"),
        field(101, "file_format", "string"),
        field(102, "partition", json!({ "type": "record", "name": "r102", "fields": partition })),
        field(103, "record_count", "long"),
        field(104, "file_size_in_bytes", "long"),
        optional(108, "column_sizes", map_of((117, 118), "long")),
        optional(109, "value_counts", map_of((119, 120), "long")),
        optional(110, "null_value_counts", map_of((121, 122), "long")),
        optional(137, "nan_value_counts", map_of((138, 139), "long")),
        optional(125, "lower_bounds", map_of((126, 127), "bytes")),
        optional(128, "upper_bounds", map_of((129, 130), "bytes")),
        optional(131, "key_metadata", "bytes"),
        optional(132, "split_offsets", json!({ "type": "array", "items": "long", "element-id": 133 })),
        optional(135, "equality_ids", json!({ "type": "array", "items": "int", "element-id": 136 })),
        optional(140, "sort_order_id", "int"),
    ]);
    let fields = json!([
        field(0, "status", "int"),
        optional(1, "snapshot_id", "long"),
        optional(3, "sequence_number", "long"),
        optional(4, "file_sequence_number", "long"),
        field(2, "data_file", json!({ "type": "record", "name": "r2", "fields": data_file })),
    ]);
    json!({ "type": "record", "name": "manifest_entry", "fields": fields })
}

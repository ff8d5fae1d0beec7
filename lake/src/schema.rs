//! The Arrow schema of a topic's table and of its quarantine, on which writer and readers must agree.
//!
//! Owns: names, order, types and field ids of stored columns. System columns come first and start with `_`.
//! Does not own: decoding into them (writer) or reading them (query features).
//!
//! Field ids: system columns have fixed ids below 100; declared columns have those that the topic's options give them
//! (`TopicOptions::numbered_columns`). Readers find a column by its id: names may change.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use common::topic::{ColumnSpec, ColumnType, DECLARED_ID_FIRST, Format, TopicOptions};

/// Number of the partition.
pub const PARTITION: &str = "_partition_id";
/// The name of [`PARTITION`] in objects of layout 1.
pub const PARTITION_IN_LAYOUT_1: &str = "_partition";
/// Offset of the message.
pub const OFFSET: &str = "_offset";
/// Number of the record in its message, from 0.
pub const ROW: &str = "_row";
/// Queue time.
pub const TIMESTAMP: &str = "_timestamp";
/// The message's key.
pub const KEY: &str = "_key";
/// The message's headers.
pub const HEADERS: &str = "_headers";
/// The subject the message was published to.
pub const SUBJECT: &str = "_subject";
/// Incarnation that the offset counts in. Objects of layout 1 lack it.
pub const INCARNATION: &str = "_incarnation";
/// Members of a JSON object that no column is declared for, as JSON text.
pub const EXTRA: &str = "_extra";
/// The bytes of the record, in topics that keep them beside the declared columns.
pub const KEPT_PAYLOAD: &str = common::topic::KEPT_PAYLOAD;
/// The payload of a `raw` topic, or a line of a `text` topic.
pub const VALUE: &str = "value";
/// Reason of the quarantine.
pub const REASON: &str = "reason";
/// The quarantined bytes.
pub const PAYLOAD: &str = "payload";

const FIELD_ID_KEY: &str = "PARQUET:field_id";

/// The schema of the topic's table.
pub fn table_schema(options: &TopicOptions) -> SchemaRef {
    let mut fields = system_fields();
    match options.format {
        Format::Raw => fields.push(with_id(Field::new(VALUE, DataType::Binary, false), DECLARED_ID_FIRST)),
        Format::Text => fields.push(with_id(Field::new(VALUE, DataType::Utf8, false), DECLARED_ID_FIRST)),
        Format::Json => {
            fields.extend(options.numbered_columns().iter().map(declared_field));
            fields.push(with_id(Field::new(EXTRA, DataType::Utf8, true), 10));
            if options.keep_payload {
                fields.push(with_id(Field::new(KEPT_PAYLOAD, DataType::Binary, true), 14));
            }
        }
    }
    Arc::new(Schema::new(fields))
}

/// The schema of every topic's quarantine.
pub fn quarantine_schema() -> SchemaRef {
    let mut fields = system_fields();
    fields.push(with_id(Field::new(REASON, DataType::Utf8, false), 11));
    fields.push(with_id(Field::new(PAYLOAD, DataType::Binary, false), 12));
    Arc::new(Schema::new(fields))
}

/// The type of `_timestamp`: microseconds, UTC.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
}

/// Key and value of one entry of `_headers`.
pub fn header_fields() -> Fields {
    let key = with_id(Field::new("key", DataType::Utf8, false), 8);
    let value = with_id(Field::new("value", DataType::Utf8, false), 9);
    Fields::from(vec![key, value])
}

fn system_fields() -> Vec<Field> {
    let entries = Field::new("key_value", DataType::Struct(header_fields()), false);
    vec![
        with_id(Field::new(PARTITION, DataType::Int32, false), 1),
        with_id(Field::new(OFFSET, DataType::Int64, false), 2),
        with_id(Field::new(ROW, DataType::Int32, false), 3),
        with_id(Field::new(TIMESTAMP, timestamp_type(), false), 4),
        with_id(Field::new(KEY, DataType::Binary, true), 5),
        with_id(Field::new(HEADERS, DataType::Map(Arc::new(entries), false), true), 6),
        with_id(Field::new(SUBJECT, DataType::Utf8, false), 7),
        with_id(Field::new(INCARNATION, DataType::Int32, false), 13),
    ]
}

/// The name of this column in objects of `layout`; `None` if they lack it.
pub fn name_in_layout(name: &str, layout: u32) -> Option<&str> {
    match (name, layout) {
        (PARTITION, 1) => Some(PARTITION_IN_LAYOUT_1),
        (INCARNATION, 1) => None,
        (other, _) => Some(other),
    }
}

/// Whether the column is one that every table has, whatever its topic declares: its name is taken.
pub fn is_system(field: &Field) -> bool {
    field_id(field).is_some_and(|id| id < DECLARED_ID_FIRST)
}

/// The id by which readers find the column in objects.
pub fn field_id(field: &Field) -> Option<i32> {
    field.metadata().get(FIELD_ID_KEY)?.parse().ok()
}

fn with_id(field: Field, id: i32) -> Field {
    field.with_metadata(HashMap::from([(FIELD_ID_KEY.to_owned(), id.to_string())]))
}

fn declared_field(column: &ColumnSpec) -> Field {
    let id = column.id.expect("columns are numbered");
    with_id(Field::new(&column.name, arrow_type(&column.column_type, id), column.nullable), id)
}

/// The type of the column, or element, that has this id.
fn arrow_type(column_type: &ColumnType, id: i32) -> DataType {
    match column_type {
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::String | ColumnType::Json => DataType::Utf8,
        ColumnType::Binary => DataType::Binary,
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp | ColumnType::TimestampS | ColumnType::TimestampMs | ColumnType::TimestampUs => {
            timestamp_type()
        }
        ColumnType::Decimal { precision, scale } => {
            DataType::Decimal128(*precision, i8::try_from(*scale).expect("checked to be at most 38"))
        }
        ColumnType::List(element) => {
            // The element's id follows its list's.
            let id = id + 1;
            DataType::List(Arc::new(with_id(Field::new("element", arrow_type(element, id), true), id)))
        }
        ColumnType::Struct(members) => DataType::Struct(members.iter().map(declared_field).collect()),
    }
}

#[cfg(test)]
mod tests {
    use common::topic::SYSTEM_COLUMNS;

    use super::*;

    #[test]
    fn no_column_can_be_declared_with_the_name_of_a_system_column() {
        let schema = table_schema(&serde_json::from_str(r#"{"format":"json"}"#).expect("valid"));
        let mut names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        names.push(PARTITION_IN_LAYOUT_1);
        assert_eq!(names, SYSTEM_COLUMNS);
        assert!(schema.fields().iter().all(|field| is_system(field)));
    }

    /// The columns of these fields as the catalog describes them to readers of DuckLake, in the order of ids.
    fn described<'f>(
        fields: impl IntoIterator<Item = &'f Arc<Field>>,
        parent: Option<i32>,
    ) -> Vec<(i32, String, Option<i32>)> {
        let mut columns = Vec::new();
        for field in fields {
            let id = field_id(field).expect("numbered");
            columns.push((id, field.name().clone(), parent));
            match field.data_type() {
                DataType::List(element) => columns.extend(described([element], Some(id))),
                DataType::Struct(members) => columns.extend(described(members, Some(id))),
                DataType::Map(_, _) => columns.extend(described(&header_fields(), Some(id))),
                _ => {}
            }
        }
        columns.sort();
        columns
    }

    #[test]
    fn the_catalog_describes_the_columns_that_objects_have() {
        let columns = r#"[{"name":"a","type":{"list":{"struct":[{"name":"x","type":"bool"},{"name":"y","type":{"list":"date"}}]}}},
            {"name":"b","type":{"struct":[{"name":"c","type":"json"}]}},{"name":"d","type":"int32","nullable":false}]"#;
        let told = |columns: Vec<catalog::TableColumn>| -> Vec<(i32, String, Option<i32>)> {
            columns.into_iter().map(|column| (column.id, column.name, column.parent)).collect()
        };
        for format in ["raw", "text", "json"] {
            let columns = if format == "json" { columns } else { "[]" };
            let text = format!(r#"{{"format":"{format}","columns":{columns}}}"#);
            let options: TopicOptions = serde_json::from_str(&text).expect("valid");
            assert_eq!(told(catalog::table_columns(&options)), described(table_schema(&options).fields(), None));
        }
        let text = format!(r#"{{"format":"json","keep_payload":true,"columns":{columns}}}"#);
        let kept: TopicOptions = serde_json::from_str(&text).expect("valid");
        assert_eq!(told(catalog::table_columns(&kept)), described(table_schema(&kept).fields(), None));
        assert_eq!(table_schema(&kept).fields().last().expect("some").name(), KEPT_PAYLOAD);
        assert_eq!(told(catalog::quarantine_columns()), described(quarantine_schema().fields(), None));
    }

    #[test]
    fn ids_are_unique_and_adding_a_column_keeps_them() {
        let columns =
            r#"[{"name":"a","type":{"list":"int64"}},{"name":"b","type":{"struct":[{"name":"c","type":"bool"}]}}"#;
        let schema = |more: &str| {
            let text = format!(r#"{{"format":"json","columns":{columns}{more}]}}"#);
            table_schema(&serde_json::from_str(&text).expect("valid"))
        };
        let (old, new) = (schema(""), schema(r#",{"name":"d","type":"string"}"#));
        for field in old.fields() {
            assert_eq!(new.field_with_name(field.name()).expect("kept"), field.as_ref());
        }
        let mut ids: Vec<_> = new.fields().iter().map(|field| field.metadata()[FIELD_ID_KEY].clone()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), new.fields().len());
    }
}

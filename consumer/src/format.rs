//! Records as text: JSON lines, CSV, or the payloads themselves.
//!
//! Owns: bytes as text, and values that CSV has no form for. Does not own: the columns (`lake::schema`), where the text goes,
//! the fields of CSV (`lake::csv`).

use std::io::{self, Write};
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, StringArray, StructArray};
use arrow_cast::base64::{BASE64_STANDARD, Engine};
use arrow_json::WriterBuilder;
use arrow_json::writer::LineDelimited;
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef};
use common::TopicName;
use lake::csv;
use lake::schema::VALUE;

/// The member that names the topic of a JSON object. No column of a topic may have a name that begins so.
pub const TOPIC_MEMBER: &str = "_siltstone_topic";

/// The form of bytes in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// Base64, with padding.
    Base64,
    /// As UTF-8. What is not becomes the replacement character, so that other bytes look the same.
    Text,
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "base64" => Ok(Self::Base64),
            "text" => Ok(Self::Text),
            other => Err(format!("{other:?} is unknown; allowed is base64 or text")),
        }
    }
}

/// Writes each record as one JSON object on a line of its own, with null where there is no value.
///
/// # Errors
/// Of the output; when a value cannot be written.
pub fn write_json(output: impl Write, rows: &RecordBatch, bytes: Bytes) -> Result<(), ArrowError> {
    let rows = readable(rows, bytes)?;
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(output);
    writer.write(&rows)?;
    writer.finish()
}

/// The same rows, with the topic's name in a first column: for objects of several topics.
///
/// # Errors
/// Rows that have such a column already.
pub fn naming_topic(rows: &RecordBatch, topic: &TopicName) -> Result<RecordBatch, ArrowError> {
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(std::iter::repeat_n(topic.as_str(), rows.num_rows())));
    let name = Arc::new(Field::new(TOPIC_MEMBER, DataType::Utf8, false));
    let fields: Fields = std::iter::once(name).chain(rows.schema_ref().fields().iter().cloned()).collect();
    let columns = std::iter::once(names).chain(rows.columns().iter().cloned()).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// Writes records as CSV; lists, structs and headers become JSON text. A null is an empty field, an empty text is `""`. The
/// names of the columns come first if wanted.
///
/// # Errors
/// As of [`write_json`].
pub fn write_csv(mut output: impl Write, rows: &RecordBatch, has_header: bool, bytes: Bytes) -> Result<(), ArrowError> {
    let rows = readable(rows, bytes)?;
    let columns = rows.schema_ref().fields().iter().zip(rows.columns()).map(|(field, column)| flat(field, column));
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = columns.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    if has_header {
        csv::write_header(&mut output, &Schema::new(fields))?;
    }
    let columns = columns.iter().map(|column| csv::plain(column.as_ref())).collect::<Result<Vec<_>, _>>()?;
    Ok(csv::write_rows(output, rows.num_rows(), &columns)?)
}

/// The column with the payloads: that of a `raw` or `text` topic, or of a topic that keeps them; `None` if there is none.
pub fn payload_column(schema: &Schema, is_typed: bool) -> Option<&'static str> {
    let name = if is_typed { lake::schema::KEPT_PAYLOAD } else { VALUE };
    schema.index_of(name).ok().map(|_| name)
}

/// Writes the payload of each record, followed by a line feed.
///
/// # Errors
/// Of the output; `NotFound` if the table has no such column.
pub fn write_payloads(mut output: impl Write, rows: &RecordBatch, column: &str) -> io::Result<()> {
    let absent = || io::Error::new(io::ErrorKind::NotFound, format!("there is no column {column}"));
    let column = rows.column_by_name(column).ok_or_else(absent)?;
    let bytes = column.as_binary_opt::<i32>();
    let texts = column.as_string_opt::<i32>();
    for row in (0..column.len()).filter(|row| column.is_valid(*row)) {
        match (bytes, texts) {
            (Some(bytes), _) => output.write_all(bytes.value(row))?,
            (None, Some(texts)) => output.write_all(texts.value(row).as_bytes())?,
            (None, None) => return Err(absent()),
        }
        output.write_all(b"\n")?;
    }
    Ok(())
}

/// The same rows, with texts for bytes.
fn readable(rows: &RecordBatch, bytes: Bytes) -> Result<RecordBatch, ArrowError> {
    let (fields, columns) = all_readable(rows.schema_ref().fields(), rows.columns(), bytes)?;
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    RecordBatch::try_new(schema, columns)
}

fn all_readable(fields: &Fields, columns: &[ArrayRef], bytes: Bytes) -> Result<(Fields, Vec<ArrayRef>), ArrowError> {
    let columns = columns.iter().map(|column| as_text(column, bytes)).collect::<Result<Vec<_>, _>>()?;
    let typed = |(field, column): (&Arc<Field>, &ArrayRef)| {
        Field::new(field.name(), column.data_type().clone(), field.is_nullable())
    };
    Ok((fields.iter().zip(&columns).map(typed).collect(), columns))
}

fn as_text(column: &ArrayRef, bytes: Bytes) -> Result<ArrayRef, ArrowError> {
    Ok(match column.data_type() {
        DataType::Binary => {
            let text = |value: &[u8]| match bytes {
                Bytes::Base64 => BASE64_STANDARD.encode(value),
                Bytes::Text => String::from_utf8_lossy(value).into_owned(),
            };
            let texts = column.as_binary::<i32>().iter().map(|value| value.map(text));
            Arc::new(texts.collect::<StringArray>())
        }
        DataType::Struct(fields) => {
            let held = column.as_struct();
            let (fields, columns) = all_readable(fields, held.columns(), bytes)?;
            Arc::new(StructArray::try_new_with_length(fields, columns, held.nulls().cloned(), held.len())?)
        }
        DataType::List(element) => {
            let held = column.as_list::<i32>();
            let values = as_text(held.values(), bytes)?;
            let element = Field::new(element.name(), values.data_type().clone(), element.is_nullable());
            Arc::new(ListArray::try_new(Arc::new(element), held.offsets().clone(), values, held.nulls().cloned())?)
        }
        _ => Arc::clone(column),
    })
}

/// The column as one of plain values: JSON text if it has others.
fn flat(field: &Field, column: &ArrayRef) -> Result<(Field, ArrayRef), ArrowError> {
    if !column.data_type().is_nested() {
        return Ok((field.clone(), Arc::clone(column)));
    }
    const NAME: &str = "v";
    let alone = Schema::new(vec![Field::new(NAME, column.data_type().clone(), true)]);
    let alone = RecordBatch::try_new(Arc::new(alone), vec![Arc::clone(column)])?;
    let mut lines = Vec::new();
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut lines);
    writer.write(&alone)?;
    writer.finish()?;
    let lines = String::from_utf8(lines).map_err(|error| ArrowError::JsonError(error.to_string()))?;
    let value = |line: &str| {
        let value = line.strip_prefix("{\"v\":").and_then(|line| line.strip_suffix('}'));
        value.filter(|value| *value != "null").map(str::to_owned)
    };
    let texts: StringArray = lines.lines().map(value).collect();
    Ok((Field::new(field.name(), DataType::Utf8, true), Arc::new(texts)))
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::{Int64Builder, ListBuilder};
    use arrow_array::{BinaryArray, Int64Array};

    use super::*;

    fn rows() -> RecordBatch {
        let mut lists = ListBuilder::new(Int64Builder::new());
        lists.append_value([Some(1), None]);
        lists.append_null();
        let lists = lists.finish();
        let fields = vec![
            Field::new("n", DataType::Int64, false),
            Field::new("value", DataType::Binary, true),
            Field::new("l", lists.data_type().clone(), true),
        ];
        let bytes = BinaryArray::from(vec![Some(&b"a\"\xff"[..]), None]);
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![1, 2])), Arc::new(bytes), Arc::new(lists)];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("matches")
    }

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut output = Vec::new();
        write(&mut output);
        String::from_utf8_lossy(&output).into_owned()
    }

    #[test]
    fn each_record_is_a_json_object_on_a_line() {
        let json = |bytes| text(|output| write_json(output, &rows(), bytes).expect("written"));
        let second = r#"{"n":2,"value":null,"l":null}"#;
        assert_eq!(json(Bytes::Base64), format!("{}\n{second}\n", r#"{"n":1,"value":"YSL/","l":[1,null]}"#));
        assert_eq!(
            json(Bytes::Text),
            format!("{}\n{second}\n", "{\"n\":1,\"value\":\"a\\\"\u{fffd}\",\"l\":[1,null]}")
        );
    }

    #[test]
    fn an_object_names_its_topic_where_several_are_read() {
        let topic = TopicName::new("orders").expect("valid");
        let named = naming_topic(&rows(), &topic).expect("no such column");
        let json = text(|output| write_json(output, &named, Bytes::Text).expect("written"));
        assert!(json.lines().all(|line| line.starts_with(r#"{"_siltstone_topic":"orders","n":"#)), "{json}");
        assert!(TOPIC_MEMBER.starts_with(common::topic::RESERVED_PREFIX));
    }

    #[test]
    fn values_without_a_form_in_csv_are_json() {
        let csv = |has_header| text(|output| write_csv(output, &rows(), has_header, Bytes::Base64).expect("written"));
        assert_eq!(csv(true), "n,value,l\n1,YSL/,\"[1,null]\"\n2,,\n");
        assert_eq!(csv(false), "1,YSL/,\"[1,null]\"\n2,,\n");
    }

    #[test]
    fn payloads_are_the_bytes_themselves() {
        let mut output = Vec::new();
        write_payloads(&mut output, &rows(), "value").expect("written");
        assert_eq!(output, b"a\"\xff\n");
        assert!(write_payloads(&mut output, &rows(), "absent").is_err());
        assert_eq!(payload_column(&rows().schema(), false), Some("value"));
        assert_eq!(payload_column(&rows().schema(), true), None);
    }
}

//! Rows as lines.
//!
//! Owns: the form of a record and of a quarantined one, for people and for programs. Does not own: which rows are shown.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use chrono::{DateTime, SecondsFormat};
use common::TopicName;
use futures::StreamExt;
use lake::duckdb::identifier;
use lake::query::{HotTailMode, HotTailSettings, QuerySession, SessionSettings, write_json_lines};
use lake::schema::{KEY, OFFSET, PARTITION, PAYLOAD, REASON, ROW, TIMESTAMP, VALUE};

use crate::output;

/// Columns that each table has and no line for people repeats.
const SYSTEM: [&str; 8] = [PARTITION, OFFSET, ROW, TIMESTAMP, KEY, "_headers", "_subject", "_incarnation"];

/// Shows rows of a topic.
pub(super) struct Shown<'s> {
    pub(super) session: &'s QuerySession,
    pub(super) topic: &'s TopicName,
    pub(super) json: bool,
}

/// Nobody reads standard output any more.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(super) struct Unread;

impl Shown<'_> {
    /// Shows the rows that fulfil `condition`, first those of the table, then those of quarantine; returns their number.
    ///
    /// # Errors
    /// Those of the query; [`Unread`].
    pub(super) async fn rows(&self, condition: &str, mode: HotTailMode) -> anyhow::Result<usize> {
        let settings = SessionSettings::new(HotTailSettings { mode, ..HotTailSettings::default() });
        let name = identifier(self.topic.as_str());
        let mut count = 0;
        for (table, is_quarantine) in [(name.clone(), false), (format!("quarantine.{name}"), true)] {
            let sql = format!("SELECT * FROM {table} WHERE {condition} ORDER BY _offset, _row");
            let mut batches = self.session.sql_with(&sql, &settings).await?.execute_stream().await?;
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                count += batch.num_rows();
                let text = match self.json {
                    true => json_lines(&batch, is_quarantine)?,
                    false => lines(&batch, is_quarantine)?,
                };
                if !output::print_part(self.json, &text)? {
                    return Err(Unread.into());
                }
            }
        }
        Ok(count)
    }
}

/// Each row as a JSON object; one of quarantine is the member `quarantined` of an object.
fn json_lines(batch: &RecordBatch, is_quarantine: bool) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    write_json_lines(&mut lines, std::slice::from_ref(batch))?;
    let lines = String::from_utf8(lines)?;
    Ok(match is_quarantine {
        true => lines.lines().map(|line| format!("{{\"quarantined\":{line}}}\n")).collect(),
        false => lines,
    })
}

/// Each row as a line: place, time, key and value.
fn lines(batch: &RecordBatch, is_quarantine: bool) -> anyhow::Result<String> {
    let column = |name: &str| batch.column_by_name(name).expect("every table has it");
    let partitions = column(PARTITION).as_primitive::<Int32Type>();
    let offsets = column(OFFSET).as_primitive::<Int64Type>();
    let numbers = column(ROW).as_primitive::<Int32Type>();
    let times = column(TIMESTAMP).as_primitive::<TimestampMicrosecondType>();
    let keys = column(KEY).as_binary::<i32>();
    let values = match is_quarantine {
        true => quarantined(batch),
        false => values(batch)?,
    };
    let mut lines = String::new();
    for (index, value) in values.iter().enumerate() {
        let (partition, offset, row) = (partitions.value(index), offsets.value(index), numbers.value(index));
        let row = if row == 0 { String::new() } else { format!(".{row}") };
        let key = if keys.is_valid(index) { one_line(keys.value(index)) } else { "-".to_owned() };
        lines += &format!("{partition}/{offset}{row}  {}  {key}  {value}\n", time(times.value(index)));
    }
    Ok(lines)
}

/// The value of each row: the payload, or the declared columns as JSON.
fn values(batch: &RecordBatch) -> anyhow::Result<Vec<String>> {
    let schema = batch.schema();
    let own: Vec<usize> =
        (0..schema.fields().len()).filter(|index| !SYSTEM.contains(&schema.field(*index).name().as_str())).collect();
    if let [only] = own[..]
        && schema.field(only).name() == VALUE
    {
        let value = batch.column(only);
        return Ok(match (value.as_binary_opt::<i32>(), value.as_string_opt::<i32>()) {
            (Some(bytes), _) => bytes.iter().map(|bytes| one_line(bytes.unwrap_or_default())).collect(),
            (_, Some(text)) => text.iter().map(|text| one_line(text.unwrap_or_default().as_bytes())).collect(),
            _ => vec![String::new(); batch.num_rows()],
        });
    }
    let mut lines = Vec::new();
    write_json_lines(&mut lines, &[batch.project(&own)?])?;
    Ok(String::from_utf8(lines)?.lines().map(str::to_owned).collect())
}

fn quarantined(batch: &RecordBatch) -> Vec<String> {
    let column = |name: &str| batch.column_by_name(name).expect("a quarantine has it");
    let (reasons, payloads) = (column(REASON).as_string::<i32>(), column(PAYLOAD).as_binary::<i32>());
    let line = |index: usize| {
        format!("quarantined ({}): {}", one_line(reasons.value(index).as_bytes()), one_line(payloads.value(index)))
    };
    (0..batch.num_rows()).map(line).collect()
}

/// Text without line breaks; bytes that are no text as hexadecimal digits.
fn one_line(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.replace('\r', "\\r").replace('\n', "\\n"),
        Err(_) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn time(timestamp_us: i64) -> String {
    let time = DateTime::from_timestamp_micros(timestamp_us);
    time.map_or_else(|| format!("{timestamp_us} us"), |time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line() {
        assert_eq!(one_line(b"a\nb\r"), "a\\nb\\r");
        assert_eq!(one_line(&[0xff, 0x00]), "ff00");
        assert_eq!(time(1_700_000_000_123_456), "2023-11-14T22:13:20.123Z");
    }
}

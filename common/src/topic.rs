//! What a topic is: its partitions, the format of its messages, its columns, where its streams are.
//!
//! Owns: the options stored as JSON in the catalog, and their validity.
//! Does not own: the Arrow schema made of them (catalog), decoding (writer).

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::TopicName;
use crate::partitioner::Partitioner;

/// Most partitions of a topic.
pub const PARTITION_COUNT_MAX: u32 = 100_000;

/// A topic as queue and writer need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDefinition {
    /// Its name.
    pub name: TopicName,
    /// How many partitions it has, at least 1.
    pub partition_count: u32,
    /// Everything else.
    pub options: TopicOptions,
}

/// The options of a topic, stored as JSON in the catalog's `topics.config`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopicOptions {
    /// What a payload is.
    pub format: Format,
    /// The columns of a `json` topic.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnSpec>,
    /// How keys are spread over partitions.
    pub partitioner: Partitioner,
    /// Existing streams to read instead of managed ones: one per partition.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<BoundStream>,
    /// Settings of the streams that `topic create` makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_limits: Option<StreamLimits>,
}

/// What the payload of a topic's messages is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Any bytes; one row per message, column `value`.
    #[default]
    Raw,
    /// One or many JSON objects per message; a row for each, with the declared columns.
    Json,
}

/// A declared column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnSpec {
    /// Its name: the JSON member and the column. Not starting with `_`.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// Whether it may be absent or null (the default). If not, such a record goes to quarantine.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub nullable: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_true(value: &bool) -> bool {
    *value
}

/// The type of a column, and which JSON it takes. Anything else sends the record to quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// `true` or `false`.
    Bool,
    /// An integer of 32 bits, without fraction or exponent.
    Int32,
    /// An integer of 64 bits, without fraction or exponent.
    Int64,
    /// A number, rounded to the nearest double as JSON readers do; whole numbers between 2^53 and 2^64 are refused.
    Float64,
    /// A string.
    String,
    /// A string in base64 (standard alphabet, padded).
    Binary,
    /// A string `yyyy-mm-dd`.
    Date,
    /// A string in RFC 3339; stored in microseconds UTC. More than six digits of a second are refused.
    Timestamp,
    /// An integer of seconds since the Unix epoch, or a string as for `timestamp`.
    TimestampS,
    /// An integer of milliseconds since the Unix epoch, or a string as for `timestamp`.
    TimestampMs,
    /// An integer of microseconds since the Unix epoch, or a string as for `timestamp`.
    TimestampUs,
    /// A number, or a string holding one, that fits without rounding.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits behind the point, 0 to `precision`.
        scale: u8,
    },
    /// Any JSON value, kept as its text.
    Json,
    /// An array whose elements have one type and may be null.
    List(Box<ColumnType>),
    /// An object with these members; others are refused.
    Struct(Vec<ColumnSpec>),
}

/// The notation of the command line: `decimal(12,2)`, `list(string)`.
impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::String => "string",
            Self::Binary => "binary",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::TimestampS => "timestamp_s",
            Self::TimestampMs => "timestamp_ms",
            Self::TimestampUs => "timestamp_us",
            Self::Json => "json",
            Self::Decimal { precision, scale } => return write!(f, "decimal({precision},{scale})"),
            Self::List(element) => return write!(f, "list({element})"),
            Self::Struct(members) => {
                let members: Vec<String> = members.iter().map(ToString::to_string).collect();
                return write!(f, "struct({})", members.join(", "));
            }
        })
    }
}

/// The notation of the command line: `name:type`, with `!` where it takes no null.
impl fmt::Display for ColumnSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let required = if self.nullable { "" } else { "!" };
        write!(f, "{}:{}{required}", self.name, self.column_type)
    }
}

/// An existing stream that serves one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundStream {
    /// The stream's name.
    pub stream: String,
    /// Only these subjects of it; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
}

/// Limits of managed streams; a missing one is unlimited (or the server's default).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamLimits {
    /// Copies of each stream in a NATS cluster, 1 to 5.
    pub replicas: Option<usize>,
    /// Messages older than this are discarded, committed or not.
    pub age_max_secs: Option<u64>,
    /// Publishing fails beyond this many bytes per partition.
    pub bytes_max: Option<i64>,
    /// How long a message id is remembered.
    pub duplicate_window_secs: Option<u64>,
}

/// Why options are not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("topic {topic}: {reason}")]
pub struct InvalidTopic {
    topic: TopicName,
    reason: String,
}

impl TopicDefinition {
    /// A topic with default options (format `raw`).
    pub fn new(name: TopicName, partition_count: u32) -> Self {
        Self { name, partition_count, options: TopicOptions::default() }
    }

    /// Checks everything that can be checked without a queue or catalog.
    ///
    /// # Errors
    /// [`InvalidTopic`] names the first thing that is wrong and what is allowed.
    pub fn validate(&self) -> Result<(), InvalidTopic> {
        self.check().map_err(|reason| InvalidTopic { topic: self.name.clone(), reason })
    }

    fn check(&self) -> Result<(), String> {
        let options = &self.options;
        if !(1..=PARTITION_COUNT_MAX).contains(&self.partition_count) {
            return Err(format!("partition_count {} is not in 1..={PARTITION_COUNT_MAX}", self.partition_count));
        }
        if !options.streams.is_empty() && options.streams.len() != self.partition_count as usize {
            let (streams, partitions) = (options.streams.len(), self.partition_count);
            return Err(format!(
                "{streams} streams are bound but there are {partitions} partitions; one each is needed"
            ));
        }
        match options.format {
            Format::Raw if options.columns.is_empty() => Ok(()),
            Format::Raw => Err("format raw takes no columns: every row is the payload in column value".to_owned()),
            Format::Json => {
                for column in &options.columns {
                    if column.name.starts_with('_') {
                        return Err(format!("column {:?}: names starting with _ are Siltstone's own", column.name));
                    }
                }
                check_columns(&options.columns, 0)
            }
        }
    }
}

const COLUMNS_MAX: usize = 2_000;
const NESTING_MAX: usize = 16;

fn check_columns(columns: &[ColumnSpec], depth: usize) -> Result<(), String> {
    if columns.is_empty() {
        return Err("at least one column is needed; use format raw to keep payloads as they are".to_owned());
    }
    if columns.len() > COLUMNS_MAX {
        return Err(format!("{} columns are more than the {COLUMNS_MAX} allowed", columns.len()));
    }
    // DataFusion and DuckDB fold unquoted names: two names that differ only in case could not both be queried.
    let mut seen = HashSet::new();
    for column in columns {
        if column.name.is_empty() || column.name.chars().any(char::is_control) {
            return Err(format!("column name {:?} is not printable text", column.name));
        }
        if !seen.insert(column.name.to_lowercase()) {
            return Err(format!("column {:?} is declared twice (names are compared without case)", column.name));
        }
        check_type(&column.name, &column.column_type, depth)?;
    }
    Ok(())
}

fn check_type(name: &str, column_type: &ColumnType, depth: usize) -> Result<(), String> {
    if depth > NESTING_MAX {
        return Err(format!("column {name:?} is nested deeper than {NESTING_MAX} levels"));
    }
    match column_type {
        ColumnType::Decimal { precision, scale } => {
            if (1..=38).contains(precision) && scale <= precision {
                return Ok(());
            }
            Err(format!(
                "column {name:?}: decimal({precision},{scale}) needs 1 <= precision <= 38 and scale <= precision"
            ))
        }
        ColumnType::List(element) => check_type(name, element, depth + 1),
        ColumnType::Struct(members) => check_columns(members, depth + 1).map_err(|e| format!("column {name:?}: {e}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_topic(columns: &str) -> Result<TopicDefinition, String> {
        let text = format!(r#"{{"format":"json","columns":{columns}}}"#);
        let options = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        let definition = TopicDefinition { name: TopicName::new("t").expect("valid"), partition_count: 1, options };
        definition.validate().map_err(|e| e.to_string())?;
        Ok(definition)
    }

    #[test]
    fn options_read_back_as_written() {
        let columns = r#"[{"name":"id","type":"int64","nullable":false},{"name":"amount","type":{"decimal":{"precision":10,"scale":2}}},
            {"name":"tags","type":{"list":"string"}},{"name":"at","type":{"struct":[{"name":"lat","type":"float64"}]}}]"#;
        let topic = json_topic(columns).expect("valid");
        let text = serde_json::to_string(&topic.options).expect("serializes");
        assert_eq!(serde_json::from_str::<TopicOptions>(&text).expect("reads back"), topic.options);
    }

    #[test]
    fn mistakes_are_named() {
        let wrong = [
            (r#"[{"name":"_x","type":"string"}]"#, "_x"),
            (r#"[{"name":"a","type":"string"},{"name":"A","type":"int64"}]"#, "declared twice"),
            (r#"[{"name":"a","type":"varchar"}]"#, "varchar"),
            (r#"[{"name":"a","type":{"decimal":{"precision":39,"scale":0}}}]"#, "decimal(39,0)"),
            (r#"[]"#, "at least one column"),
            (r#"[{"name":"a","typ":"string"}]"#, "typ"),
        ];
        for (columns, part) in wrong {
            let message = json_topic(columns).expect_err(columns);
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn bound_streams_are_one_per_partition() {
        let mut topic = TopicDefinition::new(TopicName::new("t").expect("valid"), 2);
        topic.options.streams = vec![BoundStream { stream: "S".to_owned(), subjects: vec![] }];
        assert!(topic.validate().expect_err("too few").to_string().contains("2 partitions"));
    }
}

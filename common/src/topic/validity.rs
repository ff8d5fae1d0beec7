//! Validity of topics: partitions, bound streams, and columns with their names, members, nesting and digits.
//!
//! Owns: these rules, and the texts of refusals.
//! Does not own: the allowed changes of columns (`evolution`).

use std::collections::{HashMap, HashSet};

use super::arrangement;
use super::columns::{ColumnSpec, ColumnType};
use super::numbering::{DECLARED_ID_FIRST, written_ids};
use super::reading::Reading;
use super::{TopicDefinition, TopicOptions};
use crate::ids::TopicName;

/// Most partitions of a topic.
pub const PARTITION_COUNT_MAX: u32 = 100_000;
/// The columns that every table has beside the declared ones, now or in objects of older versions.
pub const SYSTEM_COLUMNS: [&str; 10] = [
    "_partition_id",
    "_offset",
    "_row",
    "_timestamp",
    "_key",
    "_headers",
    "_subject",
    "_incarnation",
    "_extra",
    "_partition",
];
/// The column with the bytes of each record, in topics that keep them.
pub const KEPT_PAYLOAD: &str = "_payload";
/// Names that begin so are kept for system columns of later versions.
pub const RESERVED_PREFIX: &str = "_siltstone_";
const COLUMNS_MAX: usize = 2_000;
const NESTING_MAX: usize = 16;

/// The reason why options are not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("topic {topic}: {reason}")]
pub struct InvalidTopic {
    topic: TopicName,
    reason: String,
}

/// Checks the time for which a topic keeps its segments, in milliseconds; `None` keeps all of them.
///
/// # Errors
/// [`InvalidTopic`] if nothing would be kept, or for longer than can be counted.
pub fn check_retention(topic: &TopicName, retention_ms: Option<u64>) -> Result<(), InvalidTopic> {
    let longest = i64::MAX.unsigned_abs();
    let reason = match retention_ms {
        Some(0) => {
            "retention_ms 0 would keep nothing; allowed is a longer time, or null, which keeps everything".to_owned()
        }
        Some(kept_ms) if kept_ms > longest => {
            format!("retention_ms {kept_ms} is above {longest}; null keeps everything")
        }
        _ => return Ok(()),
    };
    Err(InvalidTopic { topic: topic.clone(), reason })
}

impl TopicDefinition {
    /// Checks everything that needs neither queue nor catalog.
    ///
    /// # Errors
    /// [`InvalidTopic`] names the first error and the allowed values.
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
        arrangement::check(options)?;
        if let Some(rows) = options.format.fixed_rows() {
            if !options.columns.is_empty() {
                return Err(format!("format {} takes no columns: {rows}", options.format));
            }
            if options.reading != Reading::default() {
                let arguments = options.reading.arguments().join(" ");
                return Err(format!("format {} takes no options of reading ({arguments}): {rows}", options.format));
            }
            if options.keep_payload {
                return Err(format!("format {} takes no kept payload: {rows}", options.format));
            }
            return Ok(());
        }
        options.columns.iter().try_for_each(check_name)?;
        check_kept_payload(options)?;
        check_columns(&options.columns, 0)?;
        check_ids(options)?;
        options.reading.times().map(drop)
    }
}

/// Checks that the table has no other column of this name.
fn check_name(column: &ColumnSpec) -> Result<(), String> {
    let name = column.name.to_lowercase();
    if !SYSTEM_COLUMNS.contains(&name.as_str()) && !name.starts_with(RESERVED_PREFIX) {
        return Ok(());
    }
    Err(format!(
        "column {:?}: Siltstone's own columns are {}, and names that begin with {RESERVED_PREFIX} are kept for later ones; \
         another name can read this member, such as source{}:{}={}",
        column.name,
        SYSTEM_COLUMNS.join(", "),
        column.name,
        column.column_type,
        column.member().unwrap_or_default(),
    ))
}

/// Checks that no declared column has the name of the one that keeps payloads, where they are kept.
fn check_kept_payload(options: &TopicOptions) -> Result<(), String> {
    let is_taken = |column: &&ColumnSpec| column.name.eq_ignore_ascii_case(KEPT_PAYLOAD);
    match options.columns.iter().find(is_taken).filter(|_| options.keep_payload) {
        None => Ok(()),
        Some(column) => Err(format!(
            "column {:?}: a topic that keeps payloads has them in {KEPT_PAYLOAD}; another name can read this member, such as \
             source{KEPT_PAYLOAD}:{}={}",
            column.name,
            column.column_type,
            column.member().unwrap_or_default(),
        )),
    }
}

fn check_columns(columns: &[ColumnSpec], depth: usize) -> Result<(), String> {
    if columns.is_empty() {
        return Err("at least one column is needed; use format raw to keep payloads as they are".to_owned());
    }
    if columns.len() > COLUMNS_MAX {
        return Err(format!("{} columns are more than the {COLUMNS_MAX} allowed", columns.len()));
    }
    // DataFusion and DuckDB fold unquoted names: two names that differ only in case could not both be queried.
    let mut seen = HashSet::new();
    let mut readers: HashMap<&str, &str> = HashMap::new();
    for column in columns {
        if column.name.is_empty() || column.name.chars().any(char::is_control) {
            return Err(format!("column name {:?} is not printable text", column.name));
        }
        if !seen.insert(column.name.to_lowercase()) {
            return Err(format!("column {:?} is declared twice (names are compared without case)", column.name));
        }
        match column.member() {
            Some(member) => {
                if let Some(other) = readers.insert(member, &column.name) {
                    return Err(format!("columns {other:?} and {:?} read one member, {member:?}", column.name));
                }
            }
            None if !column.nullable => {
                return Err(format!("column {column} reads no member, so it must take null: leave its mark ! out"));
            }
            None => {}
        }
        check_type(&column.name, &column.column_type, depth)?;
    }
    Ok(())
}

/// Checks that all columns have an id of their own, or none has one.
fn check_ids(options: &TopicOptions) -> Result<(), String> {
    let (mut ids, absent) = written_ids(&options.columns);
    let next = options.next_column_id.unwrap_or(DECLARED_ID_FIRST);
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    let are_whole = ids.is_empty() || absent == 0;
    let are_known = ids.iter().all(|id| (DECLARED_ID_FIRST..next).contains(id));
    if ids.len() < count || !are_whole || !are_known {
        return Err(format!("the ids of columns are given by Siltstone, each once and below {next}; leave them out"));
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
    use crate::topic::BoundStream;

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
            (r#"[{"name":"_offset","type":"string"}]"#, "_partition_id, _offset, _row"),
            (r#"[{"name":"_Extra","type":"string"}]"#, "source_Extra:string=_Extra"),
            (r#"[{"name":"_siltstone_x","type":"string"}]"#, "kept for later"),
            (r#"[{"name":"a","type":"string"},{"name":"b","type":"string","from":"a"}]"#, "read one member"),
            (r#"[{"name":"a","type":"string","from":null,"nullable":false}]"#, "must take null"),
            (r#"[{"name":"a","type":"string","id":100}]"#, "given by Siltstone"),
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
    fn columns_may_have_any_name_that_is_not_taken_and_read_any_member() {
        let columns = r#"[{"name":"_id","type":"string"},{"name":"_offset2","type":"int64","from":"_offset"},
            {"name":"o","type":{"struct":[{"name":"_offset","type":"int64","from":"off"}]},"from":null}]"#;
        let topic = json_topic(columns).expect("valid");
        let shown: Vec<String> = topic.options.columns.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["_id:string", "_offset2:int64=_offset", "o:struct(_offset:int64=off)="]);
        let text = serde_json::to_string(&topic.options).expect("serializes");
        assert_eq!(serde_json::from_str::<TopicOptions>(&text).expect("reads back"), topic.options);
    }

    #[test]
    fn a_format_without_columns_has_no_options_of_reading() {
        let mut topic = TopicDefinition::new(TopicName::new("t").expect("valid"), 1);
        topic.options.reading.quoted_numbers = true;
        assert!(topic.validate().expect_err("raw").to_string().contains("--quoted-numbers"));
    }

    #[test]
    fn payloads_are_kept_beside_declared_columns_alone() {
        let mut raw = TopicDefinition::new(TopicName::new("t").expect("valid"), 1);
        raw.options.keep_payload = true;
        assert!(raw.validate().expect_err("raw").to_string().contains("column value"));
        let mut typed = json_topic(r#"[{"name":"_Payload","type":"string"}]"#).expect("the name is free");
        typed.options.keep_payload = true;
        let error = typed.validate().expect_err("it is taken").to_string();
        assert!(error.contains("source_payload:string=_Payload"), "{error}");
        typed.options.columns[0].name = "a".to_owned();
        typed.validate().expect("valid");
        let text = serde_json::to_string(&typed.options).expect("serializes");
        assert_eq!(serde_json::from_str::<TopicOptions>(&text).expect("reads back"), typed.options);
        assert!(
            text.contains(r#""keep_payload":true"#)
                && !serde_json::to_string(&raw.options.columns).expect("text").contains("keep")
        );
    }

    #[test]
    fn bound_streams_are_one_per_partition() {
        let mut topic = TopicDefinition::new(TopicName::new("t").expect("valid"), 2);
        topic.options.streams = vec![BoundStream { stream: "S".to_owned(), ..BoundStream::default() }];
        assert!(topic.validate().expect_err("too few").to_string().contains("2 partitions"));
    }
}

//! Validity of topics: partitions, bound streams, and columns with their names, nesting and digits.
//!
//! Owns: these rules, and the texts of refusals.
//! Does not own: the allowed changes of columns (`evolution`).

use std::collections::HashSet;

use super::TopicDefinition;
use super::columns::{ColumnSpec, ColumnType};
use crate::ids::TopicName;

/// Most partitions of a topic.
pub const PARTITION_COUNT_MAX: u32 = 100_000;
const COLUMNS_MAX: usize = 2_000;
const NESTING_MAX: usize = 16;

/// The reason why options are not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("topic {topic}: {reason}")]
pub struct InvalidTopic {
    topic: TopicName,
    reason: String,
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
        if let Some(rows) = options.format.fixed_rows() {
            if !options.columns.is_empty() {
                return Err(format!("format {} takes no columns: {rows}", options.format));
            }
            return Ok(());
        }
        if let Some(column) = options.columns.iter().find(|column| column.name.starts_with('_')) {
            return Err(format!("column {:?}: names starting with _ are Siltstone's own", column.name));
        }
        check_columns(&options.columns, 0)
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
    use crate::topic::{BoundStream, TopicOptions};

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
        topic.options.streams = vec![BoundStream { stream: "S".to_owned(), ..BoundStream::default() }];
        assert!(topic.validate().expect_err("too few").to_string().contains("2 partitions"));
    }
}

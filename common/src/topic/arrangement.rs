//! The arrangement of rows in merged objects: the columns that they are sorted by, and those with bloom filters.
//!
//! Owns: the columns that may be named, and what becomes of the names when columns change. Does not own: sorting (crate
//! `lake`), the moment of a merge (crate `writer`).

use super::TopicOptions;
use super::columns::ColumnType;

/// Columns of every table that rows may be sorted by, or that may have bloom filters.
const SYSTEM: [&str; 4] = ["_timestamp", "_partition_id", "_key", "_subject"];
const SORT_MAX: usize = 8;
const BLOOM_MAX: usize = 32;
const BYTES: &str = "DuckDB looks for another text than the bytes in a filter, and would miss rows; --sort takes it";

/// Checks the names; the error names the first wrong one, and those that are allowed.
pub(super) fn check(options: &TopicOptions) -> Result<(), String> {
    for (argument, names, most) in [("sort", &options.sort, SORT_MAX), ("bloom", &options.bloom, BLOOM_MAX)] {
        if names.len() > most {
            return Err(format!("{argument} names {} columns; at most {most} are allowed", names.len()));
        }
        for (index, name) in names.iter().enumerate() {
            check_name(options, argument, name)?;
            if names[..index].contains(name) {
                return Err(format!("{argument} names column {name:?} twice"));
            }
        }
    }
    options.bloom.iter().try_for_each(|name| check_bloom(options, name))
}

/// Refuses a filter that does not help, or by which other readers would miss rows.
fn check_bloom(options: &TopicOptions, name: &str) -> Result<(), String> {
    let declared = options.columns.iter().find(|column| column.name == name);
    let reason = match declared.map(|column| &column.column_type) {
        Some(ColumnType::Bool) => "a bool has two values, so no filter would help",
        Some(ColumnType::Float64) => {
            "a filter tells 0.0 and -0.0 apart, which are equal, so that other readers would miss rows; --sort takes it"
        }
        Some(ColumnType::Binary) => BYTES,
        None if name == "_key" => BYTES,
        _ => return Ok(()),
    };
    Err(format!("bloom names column {name:?}; {reason}"))
}

fn check_name(options: &TopicOptions, argument: &str, name: &str) -> Result<(), String> {
    let declared = options.columns.iter().find(|column| column.name == name);
    if SYSTEM.contains(&name) || declared.is_some_and(|column| is_plain(&column.column_type)) {
        return Ok(());
    }
    if let Some(column) = declared {
        return Err(format!("{argument} names column {column}; only columns of one plain value have an order"));
    }
    let hint = match name.split_once(char::is_whitespace) {
        Some((first, _)) => format!("; every column rises, so only its name is given: {first:?}"),
        None => String::new(),
    };
    let plain = options.columns.iter().filter(|column| is_plain(&column.column_type));
    let known: Vec<&str> = plain.map(|column| column.name.as_str()).chain(SYSTEM).collect();
    Err(format!("{argument} names column {name:?}, which there is not; it takes {}{hint}", known.join(", ")))
}

fn is_plain(column_type: &ColumnType) -> bool {
    !matches!(column_type, ColumnType::Json | ColumnType::List(_) | ColumnType::Struct(_))
}

impl TopicOptions {
    /// Columns that get bloom filters: a topic of an earlier version may name one that has none now.
    pub fn filtered_columns(&self) -> Vec<String> {
        self.bloom.iter().filter(|name| check_bloom(self, name).is_ok()).cloned().collect()
    }

    /// The arrangement after a column got another name.
    pub(super) fn rename_arranged(&mut self, name: &str, new_name: &str) {
        for named in self.sort.iter_mut().chain(&mut self.bloom).filter(|named| *named == name) {
            *named = new_name.to_owned();
        }
    }

    /// Checks that no dropped column is part of the arrangement.
    pub(super) fn check_dropped(&self, name: &str) -> Result<(), String> {
        for (argument, names) in [("sort", &self.sort), ("bloom", &self.bloom)] {
            if names.iter().any(|named| named == name) {
                return Err(format!("column {name:?} is one of --{argument}; give --{argument} without it first"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ColumnChange;
    use super::*;

    fn options(more: &str) -> TopicOptions {
        let columns = r#"[{"name":"customer","type":"string"},{"name":"is_new","type":"bool"},{"name":"tags","type":{"list":"string"}},
            {"name":"share","type":"float64"},{"name":"token","type":"binary"}]"#;
        serde_json::from_str(&format!(r#"{{"format":"json","columns":{columns}{more}}}"#)).expect("valid")
    }

    #[test]
    fn columns_of_one_value_are_taken_and_others_are_named() {
        for more in
            [r#","sort":["customer","_timestamp"],"bloom":["customer","_subject"]"#, r#","sort":["is_new"]"#, ""]
        {
            assert_eq!(check(&options(more)), Ok(()));
        }
        for (more, part) in [
            (
                r#","sort":["custmer"]"#,
                r#"sort names column "custmer", which there is not; it takes customer, is_new, share, token, _timestamp"#,
            ),
            (r#","sort":["customer desc"]"#, r#"only its name is given: "customer""#),
            (r#","sort":["tags"]"#, "only columns of one plain value"),
            (r#","bloom":["customer","customer"]"#, "twice"),
            (r#","bloom":["is_new"]"#, "two values"),
            (r#","bloom":["share"]"#, "0.0 and -0.0"),
            (r#","bloom":["token"]"#, "DuckDB"),
            (r#","bloom":["_key"]"#, "DuckDB"),
            (r#","bloom":["_headers"]"#, "which there is not"),
        ] {
            let reason = check(&options(more)).expect_err(more);
            assert!(reason.contains(part), "{reason}");
        }
    }

    #[test]
    fn options_without_an_arrangement_are_stored_as_before() {
        let text = serde_json::to_string(&options("")).expect("serializes");
        assert!(!text.contains("sort") && !text.contains("bloom"), "{text}");
        let arranged = options(r#","sort":["customer"],"bloom":["_subject"]"#);
        let text = serde_json::to_string(&arranged).expect("serializes");
        assert_eq!(serde_json::from_str::<TopicOptions>(&text).expect("reads back"), arranged);
    }

    #[test]
    fn a_renamed_column_keeps_its_place_and_a_sorted_one_is_not_dropped() {
        let arranged = options(r#","sort":["customer"],"bloom":["customer"]"#);
        let rename = vec![("customer".to_owned(), "client".to_owned())];
        let renamed = arranged.evolve(&ColumnChange { rename, ..ColumnChange::default() }).expect("taken");
        assert_eq!((renamed.sort, renamed.bloom), (vec!["client".to_owned()], vec!["client".to_owned()]));
        let drop = ColumnChange { drop: vec!["customer".to_owned()], ..ColumnChange::default() };
        let refused = arranged.evolve(&drop).expect_err("refused").to_string();
        assert!(refused.contains("is one of --sort"), "{refused}");
    }
}

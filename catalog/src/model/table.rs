//! A topic's two tables as readers of DuckLake know them.
//!
//! Owns: the columns that a topic's options give, with DuckLake's names of types. A test of crate `lake` compares them with
//! the schema of objects. Does not own: their history (`sql::columns`), objects.
//!
//! Source: the tables `ducklake_column` and `ducklake_data_file` of the DuckLake 1.0 specification.

use common::TopicName;
use common::topic::{ColumnSpec, ColumnType, DECLARED_ID_FIRST, Format, KEPT_PAYLOAD, TopicOptions};

use super::object::{TableId, Tables};

/// The place of `_extra`: behind every declared column, also those that are added later.
const LAST: i64 = 1_000_000;

/// The field id of the column that keeps payloads; it follows `_extra`.
const KEPT_PAYLOAD_ID: i32 = 14;

/// A column, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableColumn {
    /// Its field id in objects.
    pub id: i32,
    /// Its place in the table, from 1.
    pub order: i64,
    /// Its name.
    pub name: String,
    /// Its type in DuckLake's words.
    pub type_name: String,
    /// True if it may be null.
    pub is_nullable: bool,
    /// The column that it is a part of.
    pub parent: Option<i32>,
}

/// An object as readers of DuckLake see it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableFile {
    /// The table.
    pub table_id: TableId,
    /// Its whole address.
    pub path: String,
    /// Its rows.
    pub record_count: u64,
}

/// Where the live objects of a catalog are, as seen from one bucket. A local directory is the bucket without a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectsPlace {
    /// The address that the keys of this bucket follow, as the last writer recorded it.
    pub root: Option<String>,
    /// The key of any live object in this bucket.
    pub object: Option<String>,
    /// Any other bucket with live objects.
    pub other_bucket: Option<String>,
    /// The address of that one.
    pub other_root: Option<String>,
}

/// All tables, as readers of DuckLake see them now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenTables {
    /// The schema of the views; `None` in a database without schemas, and if this login may not read it.
    pub schema: Option<String>,
    /// The addresses that keys follow, by bucket.
    pub roots: Vec<(String, String)>,
    /// The tables of each topic, by name.
    pub topics: Vec<(TopicName, Tables)>,
    /// The current columns, by table and id.
    pub columns: Vec<(TableId, TableColumn)>,
    /// The live objects, by table and address; `None` if this login may not read the views.
    pub files: Option<Vec<TableFile>>,
}

/// The columns of a topic's table, by id.
pub fn table_columns(options: &TopicOptions) -> Vec<TableColumn> {
    let mut columns = system_columns();
    match options.format {
        Format::Raw => columns.push(leaf(DECLARED_ID_FIRST, "value", "blob", false)),
        Format::Text => columns.push(leaf(DECLARED_ID_FIRST, "value", "varchar", false)),
        Format::Json => {
            for column in options.numbered_columns() {
                push_declared(&mut columns, &column, None);
            }
            columns.push(leaf(10, "_extra", "json", true));
            if options.keep_payload {
                columns.push(leaf(KEPT_PAYLOAD_ID, KEPT_PAYLOAD, "blob", true));
            }
        }
    }
    finished(columns)
}

/// The columns of every topic's quarantine, by id.
pub fn quarantine_columns() -> Vec<TableColumn> {
    let mut columns = system_columns();
    columns.push(leaf(11, "reason", "varchar", false));
    columns.push(leaf(12, "payload", "blob", false));
    finished(columns)
}

fn system_columns() -> Vec<TableColumn> {
    vec![
        leaf(1, "_partition_id", "int32", false),
        leaf(2, "_offset", "int64", false),
        leaf(3, "_row", "int32", false),
        leaf(4, "_timestamp", "timestamptz", false),
        leaf(5, "_key", "blob", true),
        leaf(6, "_headers", "map", true),
        TableColumn { parent: Some(6), ..leaf(8, "key", "varchar", false) },
        TableColumn { parent: Some(6), ..leaf(9, "value", "varchar", false) },
        leaf(7, "_subject", "varchar", false),
        // Objects of layout 1 lack it.
        leaf(13, "_incarnation", "int32", true),
    ]
}

/// Gives each column its place, and sorts them.
fn finished(mut columns: Vec<TableColumn>) -> Vec<TableColumn> {
    for (place, column) in columns.iter_mut().enumerate() {
        column.order = match column.id {
            10 => LAST,
            KEPT_PAYLOAD_ID => LAST + 1,
            _ => place as i64 + 1,
        };
    }
    columns.sort_by_key(|column| column.id);
    columns
}

fn leaf(id: i32, name: &str, type_name: &str, is_nullable: bool) -> TableColumn {
    let (name, type_name) = (name.to_owned(), type_name.to_owned());
    TableColumn { id, order: 0, name, type_name, is_nullable, parent: None }
}

fn push_declared(columns: &mut Vec<TableColumn>, column: &ColumnSpec, parent: Option<i32>) {
    let id = column.id.expect("columns are numbered");
    let place = TableColumn { parent, ..leaf(id, &column.name, "", column.nullable) };
    push(columns, place, &column.column_type);
}

/// Adds a column of this type, and its parts behind it.
fn push(columns: &mut Vec<TableColumn>, column: TableColumn, column_type: &ColumnType) {
    let id = column.id;
    columns.push(TableColumn { type_name: type_name(column_type), ..column });
    match column_type {
        ColumnType::List(element) => {
            let place = TableColumn { parent: Some(id), ..leaf(id + 1, "element", "", true) };
            push(columns, place, element);
        }
        ColumnType::Struct(members) => {
            for member in members {
                push_declared(columns, member, Some(id));
            }
        }
        _ => {}
    }
}

fn type_name(column_type: &ColumnType) -> String {
    let name = match column_type {
        ColumnType::Bool => "boolean",
        ColumnType::Int32 => "int32",
        ColumnType::Int64 => "int64",
        ColumnType::Float64 => "float64",
        ColumnType::String => "varchar",
        ColumnType::Json => "json",
        ColumnType::Binary => "blob",
        ColumnType::Date => "date",
        ColumnType::Timestamp | ColumnType::TimestampS | ColumnType::TimestampMs | ColumnType::TimestampUs => {
            "timestamptz"
        }
        ColumnType::Decimal { precision, scale } => return format!("decimal({precision},{scale})"),
        ColumnType::List(_) => "list",
        ColumnType::Struct(_) => "struct",
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_their_whole_and_extra_stays_last() {
        let text = r#"{"format":"json","columns":[
            {"name":"a","type":{"list":{"struct":[{"name":"x","type":"bool","nullable":false}]}}},
            {"name":"b","type":{"decimal":{"precision":12,"scale":2}}}]}"#;
        let columns = table_columns(&serde_json::from_str(text).expect("valid"));
        let told: Vec<_> = columns
            .iter()
            .filter(|column| column.id >= 100 || column.id == 10)
            .map(|column| (column.id, column.order, column.name.as_str(), column.type_name.as_str(), column.parent))
            .collect();
        assert_eq!(
            told,
            [
                (10, LAST, "_extra", "json", None),
                (100, 11, "a", "list", None),
                (101, 12, "element", "struct", Some(100)),
                (102, 13, "x", "boolean", Some(101)),
                (103, 14, "b", "decimal(12,2)", None),
            ]
        );
        let required: Vec<i32> = columns.iter().filter(|column| !column.is_nullable).map(|column| column.id).collect();
        assert_eq!(required, [1, 2, 3, 4, 7, 8, 9, 102]);
    }
}

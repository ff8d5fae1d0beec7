//! The text of one view: the topic's columns as they are now, over objects that may have fewer, other or no columns.
//!
//! Owns: the types as DuckDB names them, and how the columns of older objects become those of now.
//! Does not own: the names of views and which objects they read (`duckdb`), addresses of objects (`access`).
//!
//! DuckDB reads the columns by field id: one that an object calls otherwise has the name of now, one that it lacks is null, and
//! one that was widened has its type of now.

use arrow_schema::{DataType, Field, Schema, TimeUnit};

use super::{Keys, access, identifier, literal};
use crate::duckdb::DuckDbLocation;
use crate::headers::SEPARATOR;
use crate::schema::{HEADERS, INCARNATION, field_id};

/// A selection of the columns of `schema` from the objects under `keys`.
pub(super) fn select(schema: &Schema, keys: &Keys<'_>, location: &DuckDbLocation) -> String {
    if keys.is_empty() {
        return format!("SELECT\n  {}\n WHERE false", each(schema, |field| cast("NULL", field)));
    }
    let selected: Vec<_> = keys.iter().map(|(unsaid, keys)| objects(schema, *unsaid, keys, location)).collect();
    selected.join("\n UNION ALL ")
}

fn each(schema: &Schema, column: impl Fn(&Field) -> String) -> String {
    schema.fields().iter().map(|field| column(field)).collect::<Vec<_>>().join(",\n  ")
}

fn cast(value: &str, field: &Field) -> String {
    format!("CAST({value} AS {}) AS {}", type_name(field.data_type()), identifier(field.name()))
}

fn objects(schema: &Schema, unsaid: Option<u32>, keys: &[&str], location: &DuckDbLocation) -> String {
    let urls: Vec<_> = keys.iter().map(|key| format!("  {}", literal(&access::url(key, location)))).collect();
    format!(
        "SELECT *{} FROM read_parquet([\n{}\n], schema = MAP {{\n  {}\n}}, hive_partitioning = false)",
        unsaid.map_or(String::new(), of_layout_1),
        urls.join(",\n"),
        each(schema, by_id)
    )
}

/// A column of the table by field id, as DuckDB reads it from objects that may call it otherwise, or lack it.
fn by_id(field: &Field) -> String {
    let id = field_id(field).expect("every column of a table has an id");
    let (name, data_type) = (literal(field.name()), literal(&type_name(field.data_type())));
    format!("{id}: {{name: {name}, type: {data_type}, default_value: NULL}}")
}

/// Replaces columns of layout 1: its objects lack an incarnation, and names of headers may be doubled in them.
fn of_layout_1(incarnation: u32) -> String {
    let headers = identifier(HEADERS);
    format!(
        " REPLACE (CAST({incarnation} AS INTEGER) AS {}, {} AS {headers})",
        identifier(INCARNATION),
        unique_keys(&headers)
    )
}

/// The map `map` with each key once, and all its values as [`crate::headers`] joins them.
fn unique_keys(map: &str) -> String {
    let values = format!(
        "list_transform(list_filter(map_entries({map}), lambda entry: entry.key = name), lambda entry: entry.value)"
    );
    let pair = format!("{{'key': name, 'value': array_to_string({values}, {})}}", literal(SEPARATOR));
    format!("map_from_entries(list_transform(list_sort(list_distinct(map_keys({map}))), lambda name: {pair}))")
}

/// DuckDB's name of the type it reads such a column as.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int32 => "INTEGER".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Binary => "BLOB".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "TIMESTAMP WITH TIME ZONE".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::List(element) => format!("{}[]", type_name(element.data_type())),
        DataType::Struct(members) => {
            let member = |field: &Field| format!("{} {}", identifier(field.name()), type_name(field.data_type()));
            format!("STRUCT({})", members.iter().map(|field| member(field)).collect::<Vec<_>>().join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 => {
                format!("MAP({}, {})", type_name(pair[0].data_type()), type_name(pair[1].data_type()))
            }
            _ => "VARCHAR".to_owned(),
        },
        _ => "VARCHAR".to_owned(),
    }
}

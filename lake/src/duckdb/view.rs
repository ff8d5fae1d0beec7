//! The text of one view: the topic's columns as they are now, over objects that may have fewer, other or no columns.
//!
//! Owns: the types as DuckDB names them, and how the columns of older objects become those of now.
//! Does not own: the names of views and which objects they read (`duckdb`), addresses of objects (`access`).
//!
//! A view begins with a row-less selection that has each column in its order and type. Objects are united with it by name: a
//! column that none of them has is null, and one that was widened has its type of now.

use arrow_schema::{DataType, Field, Schema, TimeUnit};

use super::{Keys, access, identifier, literal};
use crate::duckdb::DuckDbLocation;
use crate::headers::SEPARATOR;
use crate::schema::{HEADERS, INCARNATION, PARTITION, PARTITION_IN_LAYOUT_1};

/// A selection of the columns of `schema` from the objects under `keys`.
pub(super) fn select(schema: &Schema, keys: &Keys<'_>, location: &DuckDbLocation) -> String {
    let each = |column: fn(&Field) -> String| {
        schema.fields().iter().map(|field| column(field)).collect::<Vec<_>>().join(",\n  ")
    };
    let typed = each(|field| cast(&identifier(field.name()), field));
    let mut united = vec![format!("SELECT\n  {}\n WHERE false", each(|field| cast("NULL", field)))];
    united.extend(keys.iter().map(|(unsaid, keys)| objects(*unsaid, keys, location)));
    format!("SELECT\n  {typed}\n FROM (\n {}\n)", united.join("\n UNION ALL BY NAME "))
}

fn cast(value: &str, field: &Field) -> String {
    format!("CAST({value} AS {}) AS {}", type_name(field.data_type()), identifier(field.name()))
}

fn objects(unsaid: Option<u32>, keys: &[&str], location: &DuckDbLocation) -> String {
    let urls: Vec<_> = keys.iter().map(|key| format!("  {}", literal(&access::url(key, location)))).collect();
    format!(
        "SELECT {} FROM read_parquet([\n{}\n], union_by_name = true, hive_partitioning = false)",
        unsaid.map_or("*".to_owned(), columns_of_layout_1),
        urls.join(",\n")
    )
}

/// The columns of objects of layout 1, as those of now: another name, an incarnation that their rows do not say, and headers
/// whose names may be doubled.
fn columns_of_layout_1(incarnation: u32) -> String {
    let (stored, headers) = (identifier(PARTITION_IN_LAYOUT_1), identifier(HEADERS));
    format!(
        "{stored} AS {}, CAST({incarnation} AS INTEGER) AS {}, {} AS {headers}, * EXCLUDE ({stored}, {headers})",
        identifier(PARTITION),
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

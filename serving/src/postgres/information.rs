//! `information_schema` as PostgreSQL has it: its names of types, its columns, and its tables of keys, which are empty.
//!
//! Owns: the tables that tools ask for at this door. Does not own: what a caller may read (`tables`), the engine's own
//! `information_schema`, which the other doors have.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use lake::query::ListedTable;
use pgwire::api::Type;

use super::rows::pg_type;
use super::tables::{SCHEMAS, Visible};
use crate::executor::CATALOG;

/// The schema's name in the engine, whose own would hide it.
pub(super) const INFORMATION: &str = "pg_information_schema";

/// Tables without rows: there are no views, keys, routines or other columns' privileges.
const EMPTY: [(&str, &[&str]); 9] = [
    ("views", &["table_catalog", "table_schema", "table_name", "view_definition", "check_option", "is_updatable"]),
    (
        "table_constraints",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "constraint_type",
            "is_deferrable",
            "initially_deferred",
            "enforced",
        ],
    ),
    (
        "key_column_usage",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "ordinal_position",
            "position_in_unique_constraint",
        ],
    ),
    (
        "constraint_column_usage",
        &[
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
        ],
    ),
    (
        "referential_constraints",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "unique_constraint_catalog",
            "unique_constraint_schema",
            "unique_constraint_name",
            "match_option",
            "update_rule",
            "delete_rule",
        ],
    ),
    ("check_constraints", &["constraint_catalog", "constraint_schema", "constraint_name", "check_clause"]),
    (
        "routines",
        &[
            "specific_catalog",
            "specific_schema",
            "specific_name",
            "routine_catalog",
            "routine_schema",
            "routine_name",
            "routine_type",
            "data_type",
            "routine_definition",
        ],
    ),
    (
        "parameters",
        &[
            "specific_catalog",
            "specific_schema",
            "specific_name",
            "ordinal_position",
            "parameter_mode",
            "parameter_name",
            "data_type",
        ],
    ),
    ("sequences", &["sequence_catalog", "sequence_schema", "sequence_name", "data_type"]),
];
const FULL: [&str; 3] = ["columns", "schemata", "tables"];

/// The schema for one caller.
#[derive(Debug)]
pub(super) struct Information(pub(super) Visible);

#[async_trait]
impl SchemaProvider for Information {
    fn table_names(&self) -> Vec<String> {
        EMPTY.iter().map(|(name, _)| *name).chain(FULL).map(str::to_owned).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let rows = match name {
            "columns" => columns(&self.0.tables().await?)?,
            "tables" => tables(&self.0.tables().await?)?,
            "schemata" => schemata()?,
            other => match EMPTY.iter().find(|(empty, _)| *empty == other) {
                Some((_, columns)) => empty(columns),
                None => return Ok(None),
            },
        };
        Ok(Some(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?)))
    }

    fn table_exist(&self, name: &str) -> bool {
        FULL.contains(&name) || EMPTY.iter().any(|(empty, _)| *empty == name)
    }
}

fn empty(columns: &[&str]) -> RecordBatch {
    let data_type = |name: &str| if name.contains("position") { DataType::Int32 } else { DataType::Utf8 };
    let fields = columns.iter().map(|name| Field::new(*name, data_type(name), true));
    let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::new_empty(schema)
}

/// Rows of columns in order, each made of its values for all rows.
fn rows(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    let columns = columns.into_iter().map(|(name, values)| (name, values, true));
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn always(value: Option<&str>, count: usize) -> ArrayRef {
    Arc::new(StringArray::from(vec![value; count]))
}

fn schemata() -> Result<RecordBatch> {
    let count = SCHEMAS.len();
    rows(vec![
        ("catalog_name", always(Some(CATALOG), count)),
        ("schema_name", texts(SCHEMAS.into_iter())),
        ("schema_owner", always(Some("siltstone"), count)),
        ("default_character_set_catalog", always(None, count)),
        ("default_character_set_schema", always(None, count)),
        ("default_character_set_name", always(None, count)),
        ("sql_path", always(None, count)),
    ])
}

fn tables(tables: &[ListedTable]) -> Result<RecordBatch> {
    let count = tables.len();
    rows(vec![
        ("table_catalog", always(Some(CATALOG), count)),
        ("table_schema", texts(tables.iter().map(|table| table.schema))),
        ("table_name", texts(tables.iter().map(|table| table.name.as_str()))),
        ("table_type", always(Some("BASE TABLE"), count)),
        ("self_referencing_column_name", always(None, count)),
        ("reference_generation", always(None, count)),
        ("user_defined_type_catalog", always(None, count)),
        ("user_defined_type_schema", always(None, count)),
        ("user_defined_type_name", always(None, count)),
        ("is_insertable_into", always(Some("NO"), count)),
        ("is_typed", always(Some("NO"), count)),
        ("commit_action", always(None, count)),
    ])
}

fn columns(tables: &[ListedTable]) -> Result<RecordBatch> {
    let mut all = Vec::new();
    for table in tables {
        for (index, field) in table.columns.fields().iter().enumerate() {
            all.push((table, index, field.as_ref(), pg_type(field.data_type()).unwrap_or(Type::UNKNOWN)));
        }
    }
    let count = all.len();
    let number = |of: fn(&Field, &Type) -> Option<i32>| -> ArrayRef {
        Arc::new(all.iter().map(|(_, _, field, pg_type)| of(field, pg_type)).collect::<Int32Array>())
    };
    let position = all.iter().map(|(_, index, ..)| i32::try_from(index + 1).ok());
    rows(vec![
        ("table_catalog", always(Some(CATALOG), count)),
        ("table_schema", texts(all.iter().map(|(table, ..)| table.schema))),
        ("table_name", texts(all.iter().map(|(table, ..)| table.name.as_str()))),
        ("column_name", texts(all.iter().map(|(_, _, field, _)| field.name().as_str()))),
        ("ordinal_position", Arc::new(position.collect::<Int32Array>())),
        ("column_default", always(None, count)),
        ("is_nullable", texts(all.iter().map(|(_, _, field, _)| if field.is_nullable() { "YES" } else { "NO" }))),
        ("data_type", texts(all.iter().map(|(.., pg_type)| standard_name(pg_type)))),
        ("character_maximum_length", number(|_, _| None)),
        ("character_octet_length", number(|_, _| None)),
        ("numeric_precision", number(precision)),
        ("numeric_precision_radix", number(|field, pg_type| precision(field, pg_type).map(|_| radix(pg_type)))),
        ("numeric_scale", number(scale)),
        ("datetime_precision", number(|_, pg_type| pg_type.name().starts_with("time").then_some(6))),
        ("character_set_name", always(None, count)),
        ("collation_name", always(None, count)),
        ("domain_name", always(None, count)),
        ("udt_catalog", always(Some(CATALOG), count)),
        ("udt_schema", always(Some("pg_catalog"), count)),
        ("udt_name", texts(all.iter().map(|(.., pg_type)| pg_type.name()))),
        ("is_identity", always(Some("NO"), count)),
        ("identity_generation", always(None, count)),
        ("is_generated", always(Some("NEVER"), count)),
        ("generation_expression", always(None, count)),
        ("is_updatable", always(Some("NO"), count)),
    ])
}

/// The name of a type in the standard, by which tools know times and numbers.
fn standard_name(pg_type: &Type) -> &str {
    match *pg_type {
        Type::BOOL => "boolean",
        Type::INT2 => "smallint",
        Type::INT4 => "integer",
        Type::INT8 => "bigint",
        Type::FLOAT4 => "real",
        Type::FLOAT8 => "double precision",
        Type::VARCHAR => "character varying",
        Type::TIMESTAMP => "timestamp without time zone",
        Type::TIMESTAMPTZ => "timestamp with time zone",
        Type::TIME => "time without time zone",
        _ if pg_type.name().starts_with('_') => "ARRAY",
        _ => pg_type.name(),
    }
}

fn radix(pg_type: &Type) -> i32 {
    if *pg_type == Type::NUMERIC { 10 } else { 2 }
}

fn precision(field: &Field, pg_type: &Type) -> Option<i32> {
    match (field.data_type(), pg_type) {
        (DataType::Decimal128(precision, _) | DataType::Decimal256(precision, _), _) => Some(i32::from(*precision)),
        (_, &Type::INT2) => Some(16),
        (_, &Type::INT4) => Some(32),
        (_, &Type::INT8) => Some(64),
        (_, &Type::FLOAT4) => Some(24),
        (_, &Type::FLOAT8) => Some(53),
        _ => None,
    }
}

fn scale(field: &Field, pg_type: &Type) -> Option<i32> {
    match (field.data_type(), pg_type) {
        (DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale), _) => Some(i32::from(*scale)),
        (_, &Type::INT2 | &Type::INT4 | &Type::INT8) => Some(0),
        _ => None,
    }
}

//! The schema of a table in Iceberg's words.
//!
//! Owns: its JSON, from the columns that the catalog records; field ids stay those of the objects. Does not own: which
//! columns a topic has (crate `catalog`), the numbers of schemas (`metadata`).
//!
//! Source: the Iceberg table specification, "Schemas and Data Types" and Appendix C.

use catalog::TableColumn;
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// A type without parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Primitive {
    Boolean,
    Int,
    Long,
    Double,
    Date,
    /// Microseconds, UTC.
    Timestamp,
    String,
    Binary,
    Decimal {
        precision: u32,
        scale: u32,
    },
}

impl Primitive {
    /// The type that has this name in the catalog.
    pub(crate) fn of(type_name: &str) -> Option<Self> {
        Some(match type_name {
            "boolean" => Self::Boolean,
            "int32" => Self::Int,
            "int64" => Self::Long,
            "float64" => Self::Double,
            "date" => Self::Date,
            "timestamptz" => Self::Timestamp,
            "varchar" | "json" => Self::String,
            "blob" => Self::Binary,
            other => {
                let (precision, scale) = other.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
                Self::Decimal { precision: precision.parse().ok()?, scale: scale.trim().parse().ok()? }
            }
        })
    }

    /// Its name in Iceberg.
    fn name(self) -> String {
        match self {
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Double => "double",
            Self::Date => "date",
            Self::Timestamp => "timestamptz",
            Self::String => "string",
            Self::Binary => "binary",
            Self::Decimal { precision, scale } => return format!("decimal({precision}, {scale})"),
        }
        .to_owned()
    }
}

/// The fields of the schema, in the order of the table.
///
/// # Errors
/// If a column has a type that this version does not know.
pub(crate) fn fields(columns: &[TableColumn]) -> Result<Value> {
    members(columns, None)
}

fn members(columns: &[TableColumn], parent: Option<i32>) -> Result<Value> {
    let members = parts(columns, parent).into_iter().map(|column| {
        let is_required = !column.is_nullable;
        let of_type = type_of(columns, column)?;
        Ok(json!({ "id": column.id, "name": column.name, "required": is_required, "type": of_type }))
    });
    members.collect::<Result<Vec<Value>>>().map(Value::Array)
}

fn parts(columns: &[TableColumn], parent: Option<i32>) -> Vec<&TableColumn> {
    let mut parts: Vec<&TableColumn> = columns.iter().filter(|column| column.parent == parent).collect();
    parts.sort_by_key(|column| column.order);
    parts
}

fn type_of(columns: &[TableColumn], column: &TableColumn) -> Result<Value> {
    let unknown = || Error::Columns(format!("column {} has the type {:?}", column.name, column.type_name));
    let parts = parts(columns, Some(column.id));
    Ok(match (column.type_name.as_str(), &parts[..]) {
        ("struct", _) => json!({ "type": "struct", "fields": members(columns, Some(column.id))? }),
        ("list", [element]) => json!({
            "type": "list",
            "element-id": element.id,
            "element": type_of(columns, element)?,
            "element-required": !element.is_nullable,
        }),
        ("map", [key, value]) => json!({
            "type": "map",
            "key-id": key.id,
            "key": type_of(columns, key)?,
            "value-id": value.id,
            "value": type_of(columns, value)?,
            "value-required": !value.is_nullable,
        }),
        (name, []) => Value::String(Primitive::of(name).ok_or_else(unknown)?.name()),
        _ => return Err(unknown()),
    })
}

#[cfg(test)]
mod tests {
    use catalog::{quarantine_columns, table_columns};

    use super::*;

    #[test]
    fn every_type_has_its_name_and_ids_stay() {
        let text = r#"{"format":"json","columns":[
            {"name":"a","type":{"list":{"struct":[{"name":"x","type":"bool","nullable":false}]}}},
            {"name":"b","type":{"decimal":{"precision":12,"scale":2}}},{"name":"c","type":"float64"},
            {"name":"d","type":"date"},{"name":"e","type":"json"},{"name":"f","type":"int64"},
            {"name":"g","type":{"struct":[{"name":"y","type":"binary"}]}}]}"#;
        let columns = table_columns(&serde_json::from_str(text).expect("valid"));
        let fields = fields(&columns).expect("known types");
        let fields = fields.as_array().expect("an array");
        let of = |id: i64| &fields.iter().find(|field| field["id"] == id).expect("a field")["type"];
        let map = json!({"type": "map", "key-id": 8, "key": "string", "value-id": 9, "value": "string",
            "value-required": true});
        assert_eq!(of(6), &map);
        let list = json!({"type": "list", "element-id": 101, "element-required": false, "element":
            {"type": "struct", "fields": [{"id": 102, "name": "x", "required": true, "type": "boolean"}]}});
        assert_eq!(of(100), &list);
        let names = [103, 104, 105, 106, 107].map(|id| of(id).clone());
        assert_eq!(json!(names), json!(["decimal(12, 2)", "double", "date", "string", "long"]));
        assert_eq!(of(4), "timestamptz");
        assert_eq!(fields.last().expect("some")["name"], "_extra");
        assert_eq!(fields[0], json!({"id": 1, "name": "_partition_id", "required": true, "type": "int"}));
    }

    #[test]
    fn the_quarantine_has_a_schema_and_an_unknown_type_is_refused() {
        let mut columns = quarantine_columns();
        assert!(fields(&columns).is_ok());
        columns[0].type_name = "int128".to_owned();
        let error = fields(&columns).expect_err("unknown").to_string();
        assert!(error.contains("_partition_id") && error.contains("int128"), "{error}");
    }
}

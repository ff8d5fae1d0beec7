//! The schema that queries see of a table.
//!
//! Owns: which columns may be null, and types without field ids. Does not own: the columns of older objects (`layout`).

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use crate::schema::is_system;

/// The schema a reader needs: a declared column may be missing from older segments, so each may be null. Columns alone are
/// found by their ids: in the types, ids would make `[1, 2]` another type than that of a list column.
pub(super) fn readable(schema: &Schema) -> SchemaRef {
    let field = |field: &FieldRef| {
        let is_nullable = field.is_nullable() || !is_system(field);
        Field::clone(field).with_data_type(readable_type(field.data_type())).with_nullable(is_nullable)
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn readable_type(data_type: &DataType) -> DataType {
    let member = |member: &FieldRef| Arc::new(Field::new(member.name(), readable_type(member.data_type()), true));
    match data_type {
        DataType::Struct(members) => DataType::Struct(members.iter().map(member).collect()),
        DataType::List(element) => DataType::List(member(element)),
        DataType::Map(entries, is_sorted) => DataType::Map(Arc::new(without_ids(entries)), *is_sorted),
        other => other.clone(),
    }
}

/// The entries of a map, which alone has members that are never null.
fn without_ids(field: &Field) -> Field {
    let data_type = match field.data_type() {
        DataType::Struct(members) => DataType::Struct(members.iter().map(|member| without_ids(member)).collect()),
        other => other.clone(),
    };
    Field::new(field.name(), data_type, field.is_nullable())
}

//! One JSON object into one row of column buffers, or none at all.
//!
//! Owns: finding the column of a member, duplicates, missing members, `_extra`.
//! Does not own: the values (`value`).

use std::collections::HashMap;
use std::fmt;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, SchemaRef};
use common::topic::ColumnSpec;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::value::ColumnSeed;
use crate::pipeline::decode::columns::{Column, Values};

/// The declared columns of a topic and `_extra`, as many rows in each.
pub(super) struct RowColumns<'t> {
    specs: &'t [ColumnSpec],
    columns: Vec<Column>,
    extra: Column,
    index: HashMap<&'t str, usize>,
    /// The column of each member of the last object, in its order: the next object most likely has the same.
    order: Vec<usize>,
    rows: usize,
}

impl<'t> RowColumns<'t> {
    pub(super) fn new(specs: &'t [ColumnSpec], schema: &SchemaRef, capacity: usize) -> Self {
        let column = |spec: &ColumnSpec| {
            let field = schema.field_with_name(&spec.name).expect("the schema is made of the columns");
            Column::new(field.data_type(), spec.nullable, capacity)
        };
        Self {
            specs,
            columns: specs.iter().map(column).collect(),
            extra: Column::new(&DataType::Utf8, true, capacity),
            index: specs.iter().enumerate().map(|(i, spec)| (spec.name.as_str(), i)).collect(),
            order: Vec::new(),
            rows: 0,
        }
    }

    /// Adds the row of `record`, which must be one JSON object and nothing else. On an error nothing was added.
    pub(super) fn try_row(&mut self, record: &[u8]) -> Result<(), String> {
        let mut deserializer = serde_json::Deserializer::from_slice(record);
        let parsed = RowSeed { row: self }.deserialize(&mut deserializer).and_then(|()| deserializer.end());
        let completed = parsed.map_err(|error| error.to_string()).and_then(|()| self.complete_row());
        if completed.is_err() {
            self.columns.iter_mut().for_each(|column| column.truncate(self.rows));
            self.extra.truncate(self.rows);
        }
        completed
    }

    /// Fills what the object left out.
    fn complete_row(&mut self) -> Result<(), String> {
        for (column, spec) in self.columns.iter_mut().zip(self.specs) {
            if column.len() == self.rows {
                if !column.nullable {
                    return Err(format!("column {:?} is missing and takes no null", spec.name));
                }
                column.push_null();
            }
        }
        match &mut self.extra.values {
            Values::Bytes { ends, bytes } if bytes.len() > ends[self.rows] as usize => {
                bytes.push(b'}');
                ends.push(bytes.len() as i32);
                self.extra.mark_valid();
            }
            _ => self.extra.push_null(),
        }
        self.rows += 1;
        Ok(())
    }

    /// The arrays of all declared columns and `_extra`, in the order of the schema.
    pub(super) fn finish(self, schema: &SchemaRef) -> Vec<ArrayRef> {
        let fields = &schema.fields()[schema.fields().len() - self.columns.len() - 1..];
        self.columns.into_iter().chain([self.extra]).zip(fields).map(|(column, field)| column.finish(field)).collect()
    }

    /// The column named `name`, looked for first where the last object had its member number `position`.
    fn find(&mut self, position: usize, name: &str) -> Option<usize> {
        if let Some(&guess) = self.order.get(position)
            && self.specs[guess].name == name
        {
            return Some(guess);
        }
        let found = *self.index.get(name)?;
        if position < self.order.len() {
            self.order[position] = found;
        } else if position == self.order.len() {
            self.order.push(found);
        }
        Some(found)
    }

    /// Keeps an undeclared member in `_extra`.
    fn keep_extra(&mut self, name: &str, value: &RawValue) {
        let Values::Bytes { ends, bytes } = &mut self.extra.values else { unreachable!("`_extra` is text") };
        bytes.push(if bytes.len() == ends[self.rows] as usize { b'{' } else { b',' });
        serde_json::to_writer(&mut *bytes, name).expect("text can be written as JSON into memory");
        bytes.push(b':');
        bytes.extend_from_slice(value.get().as_bytes());
    }
}

struct RowSeed<'r, 't> {
    row: &'r mut RowColumns<'t>,
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let row = self.row;
        let mut position = 0;
        while let Some(member) = map.next_key_seed(MemberSeed { row, position })? {
            match member {
                Member::Extra(name) => row.keep_extra(&name, map.next_value::<&RawValue>()?),
                Member::Column(index) => {
                    let (column, spec) = (&mut row.columns[index], &row.specs[index]);
                    add_member(column, spec, row.rows, &mut map)?;
                    position += 1;
                }
            }
        }
        Ok(())
    }
}

/// Adds the value of the member that `spec` declares; `rows` is how many rows its column has before this one.
pub(super) fn add_member<'de, A: MapAccess<'de>>(
    column: &mut Column,
    spec: &ColumnSpec,
    rows: usize,
    map: &mut A,
) -> Result<(), A::Error> {
    if column.len() > rows {
        return Err(de::Error::custom(format_args!("member {:?} occurs twice", spec.name)));
    }
    let added = map.next_value_seed(ColumnSeed { column, column_type: &spec.column_type });
    added.map_err(|error| in_column(spec, &error))
}

#[cold]
fn in_column<E: de::Error>(spec: &ColumnSpec, error: &E) -> E {
    E::custom(format_args!("column {:?} ({}): {error}", spec.name, spec.column_type))
}

enum Member {
    Column(usize),
    Extra(String),
}

struct MemberSeed<'r, 't> {
    row: &'r mut RowColumns<'t>,
    position: usize,
}

impl<'de> DeserializeSeed<'de> for MemberSeed<'_, '_> {
    type Value = Member;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Member, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberSeed<'_, '_> {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Member, E> {
        Ok(match self.row.find(self.position, name) {
            Some(index) => Member::Column(index),
            None => Member::Extra(name.to_owned()),
        })
    }
}

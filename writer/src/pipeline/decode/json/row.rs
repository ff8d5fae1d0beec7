//! Decodes one JSON object into one row.
//!
//! Owns: finding the column of a member, refusing a member that occurs twice, `_extra`.
//! Does not own: the values (`value`), missing members (`sink`).

use std::collections::HashMap;
use std::fmt;

use common::topic::ColumnSpec;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::passed_on;
use super::value::{ColumnSeed, How};
use crate::pipeline::decode::columns::{Column, Values};
use crate::pipeline::decode::rules::Rules;
use crate::pipeline::decode::sink::Row;

/// The columns declared for the members of an object. The column `_extra` follows them, and then, if the topic keeps
/// payloads, the one for the record's bytes.
pub(super) struct Members {
    specs: Vec<ColumnSpec>,
    /// The member that each column reads; empty for one that reads none, which no member leads to.
    names: Vec<String>,
    index: HashMap<String, usize>,
    how: How,
    /// The column of each member of the last object, in its order, which the next object most likely shares.
    order: Vec<usize>,
}

impl Members {
    /// The columns of a topic, of which values are read by `rules` too.
    pub(super) fn new(specs: &[ColumnSpec], rules: Option<Rules>) -> Self {
        let read = specs.iter().enumerate().filter_map(|(index, spec)| Some((spec.member()?.to_owned(), index)));
        Self {
            specs: specs.to_vec(),
            names: specs.iter().map(|spec| spec.member().unwrap_or_default().to_owned()).collect(),
            index: read.collect(),
            how: How { rules, is_exact: false },
            order: Vec::new(),
        }
    }

    /// Writes `record`, which must be one JSON object and nothing else, into `row`.
    ///
    /// # Errors
    /// The reason for refusing the record. Some columns may have been written then.
    pub(super) fn read(&mut self, record: &[u8], row: &mut Row<'_>) -> Result<(), String> {
        let mut deserializer = serde_json::Deserializer::from_slice(record);
        let read = RowSeed { members: self, row }.deserialize(&mut deserializer).and_then(|()| deserializer.end());
        read.map_err(|error| error.to_string())?;
        let (extra, kept) = row.columns[self.specs.len()..].split_first_mut().expect("`_extra` follows the columns");
        end_extra(extra, row.before)?;
        // A topic that keeps payloads has one more column.
        kept.iter_mut().try_for_each(|payload| payload.push_bytes(record)).map_err(|refusal| refusal.to_string())
    }

    /// As [`Self::read`], which refuses some records that have to be read by the text of their numbers.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) fn read_exactly(&mut self, record: &[u8], row: &mut Row<'_>) -> Result<(), String> {
        self.how.is_exact = true;
        let read = self.read(record, row);
        self.how.is_exact = false;
        read
    }

    /// The column named `name`. The first guess is the column of member number `position` of the last object.
    fn find(&mut self, position: usize, name: &str) -> Option<usize> {
        if let Some(&guess) = self.order.get(position)
            && self.names[guess] == name
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
}

/// Appends an undeclared member to the text of `extra`, a column with `before` finished values.
fn keep_extra(extra: &mut Column, before: usize, name: &str, value: &RawValue) {
    let Values::Bytes { ends, bytes } = &mut extra.values else { unreachable!("`_extra` is text") };
    bytes.push(if bytes.len() == ends[before] as usize { b'{' } else { b',' });
    serde_json::to_writer(&mut *bytes, name).expect("text can be written as JSON into memory");
    bytes.push(b':');
    bytes.extend_from_slice(value.get().as_bytes());
}

/// Completes the text of `extra`, if the object had an undeclared member.
fn end_extra(extra: &mut Column, before: usize) -> Result<(), String> {
    match &mut extra.values {
        Values::Bytes { ends, bytes } if bytes.len() > ends[before] as usize => {
            bytes.push(b'}');
            let checked = passed_on::check(&bytes[ends[before] as usize..]);
            checked.map_err(|reason| format!("undeclared members: {reason}"))?;
        }
        _ => return Ok(()),
    }
    extra.end_bytes().map_err(|refusal| refusal.to_string())
}

struct RowSeed<'m, 'r, 's> {
    members: &'m mut Members,
    row: &'r mut Row<'s>,
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { members, row } = self;
        let extra = members.specs.len();
        let mut position = 0;
        while let Some(member) = map.next_key_seed(MemberSeed { members, position })? {
            match member {
                Member::Extra(name) => {
                    keep_extra(&mut row.columns[extra], row.before, &name, map.next_value::<&RawValue>()?);
                }
                Member::Column(index) => {
                    let column = &mut row.columns[index];
                    let place = Place { column, spec: &members.specs[index], before: row.before };
                    add_member(place, &members.how, &mut map)?;
                    position += 1;
                }
            }
        }
        Ok(())
    }
}

/// Where the value of a member goes.
pub(super) struct Place<'c> {
    pub(super) column: &'c mut Column,
    pub(super) spec: &'c ColumnSpec,
    /// Values that the column has before this one.
    pub(super) before: usize,
}

/// Adds the value of a member to the column that reads it.
pub(super) fn add_member<'de, A: MapAccess<'de>>(place: Place<'_>, how: &How, map: &mut A) -> Result<(), A::Error> {
    let Place { column, spec, before } = place;
    if column.len() > before {
        return Err(de::Error::custom(format_args!("member {:?} occurs twice", spec.member().unwrap_or_default())));
    }
    let added = map.next_value_seed(ColumnSeed { column, column_type: &spec.column_type, how });
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

struct MemberSeed<'m> {
    members: &'m mut Members,
    position: usize,
}

impl<'de> DeserializeSeed<'de> for MemberSeed<'_> {
    type Value = Member;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Member, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberSeed<'_> {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Member, E> {
        Ok(match self.members.find(self.position, name) {
            Some(index) => Member::Column(index),
            None => Member::Extra(name.to_owned()),
        })
    }
}

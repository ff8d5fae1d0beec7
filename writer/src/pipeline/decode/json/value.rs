//! Decodes one JSON value into one column: serde's events become typed values.
//!
//! Owns: the kind of value that each kind of JSON denotes, and the error text for a value of the wrong kind.
//! Does not own: the values that a type takes (`typed`), keeping a refused record (`sink`).

use std::borrow::Cow;
use std::fmt;

use common::topic::{ColumnSpec, ColumnType};
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, Expected, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::value::RawValue;

use super::passed_on;
use super::row::add_member;
use crate::pipeline::decode::columns::Column;
use crate::pipeline::decode::typed::Refusal;

/// Adds one value to `column`.
pub(super) struct ColumnSeed<'c> {
    pub(super) column: &'c mut Column,
    pub(super) column_type: &'c ColumnType,
}

impl<'de> DeserializeSeed<'de> for ColumnSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.column_type {
            ColumnType::Json | ColumnType::Decimal { .. } => {
                // These need the text itself, because a parsed number is already rounded.
                let raw = <&RawValue>::deserialize(deserializer)?;
                self.add_raw(raw.get())
            }
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl ColumnSeed<'_> {
    fn add_raw<E: de::Error>(self, raw: &str) -> Result<(), E> {
        if raw == "null" {
            return self.visit_unit();
        }
        let added = match self.column_type {
            ColumnType::Decimal { .. } => {
                let text = match raw.as_bytes()[0] {
                    b'"' => serde_json::from_str::<Cow<'_, str>>(raw).map_err(E::custom)?,
                    _ => Cow::Borrowed(raw),
                };
                self.column.push_decimal(self.column_type, &text)
            }
            _ => {
                passed_on::check(raw.as_bytes()).map_err(E::custom)?;
                self.column.push_bytes(raw.as_bytes())
            }
        };
        added.map_err(|refusal| refused(refusal, Unexpected::Other("text"), &self))
    }
}

impl<'de> Visitor<'de> for ColumnSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.column_type {
            ColumnType::Bool => "true or false",
            ColumnType::Int32 => "an integer of 32 bits",
            ColumnType::Int64 => "an integer of 64 bits",
            ColumnType::Float64 => "a number that a double holds; whole ones up to 2^53",
            ColumnType::String => "a string",
            ColumnType::Binary => "a string in base64",
            ColumnType::Date => "a string yyyy-mm-dd",
            ColumnType::Timestamp => "a string in RFC 3339",
            ColumnType::TimestampS => "seconds since 1970, or a string in RFC 3339",
            ColumnType::TimestampMs => "milliseconds since 1970, or a string in RFC 3339",
            ColumnType::TimestampUs => "microseconds since 1970, or a string in RFC 3339",
            ColumnType::Decimal { .. } => "a decimal number",
            ColumnType::Json => "any JSON",
            ColumnType::List(_) => "an array",
            ColumnType::Struct(_) => "an object",
        })
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.column.push_null().map_err(|refusal| refused(refusal, Unexpected::Unit, &self))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.column.push_bool(value).map_err(|refusal| refused(refusal, Unexpected::Bool(value), &self))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        let added = self.column.push_integer(self.column_type, value);
        added.map_err(|refusal| refused(refusal, Unexpected::Signed(value), &self))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        let added = self.column.push_unsigned(self.column_type, value);
        added.map_err(|refusal| refused(refusal, Unexpected::Unsigned(value), &self))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.column.push_float(value).map_err(|refusal| refused(refusal, Unexpected::Float(value), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        let added = self.column.push_text(self.column_type, text);
        added.map_err(|refusal| refused(refusal, Unexpected::Str(text), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((element, element_type)) = self.column.elements(self.column_type) else {
            return Err(de::Error::invalid_type(Unexpected::Seq, &self));
        };
        while seq.next_element_seed(ColumnSeed { column: element, column_type: element_type })?.is_some() {}
        self.column.end_list().map_err(|refusal| refused(refusal, Unexpected::Seq, &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((members, specs)) = self.column.members(self.column_type) else {
            return Err(de::Error::invalid_type(Unexpected::Map, &self));
        };
        // Each member has one value per earlier struct, so the shortest column gives the number of earlier structs.
        let before = members.iter().map(Column::len).min().unwrap_or_default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let position = specs.iter().position(|spec| spec.name == name);
            let position = position.ok_or_else(|| unknown_member(&name, specs))?;
            add_member(&mut members[position], &specs[position], before, &mut map)?;
        }
        self.column.end_struct(specs, before).map_err(|refusal| refused(refusal, Unexpected::Map, &self))
    }
}

/// Serde's error for a value that the column does not take.
#[cold]
fn refused<E: de::Error>(refusal: Refusal, unexpected: Unexpected<'_>, expected: &dyn Expected) -> E {
    match refusal {
        Refusal::Kind => E::invalid_type(unexpected, expected),
        Refusal::Value => E::invalid_value(unexpected, expected),
        Refusal::Reason(reason) => E::custom(reason),
    }
}

#[cold]
fn unknown_member<E: de::Error>(name: &str, specs: &[ColumnSpec]) -> E {
    let known: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    E::custom(format_args!("unknown member {name:?}; declared are {}", known.join(", ")))
}

//! One JSON value into one column: which JSON each type takes, strictly.
//!
//! Owns: the rules stated at `common::topic::ColumnType`. A value that would be altered is refused.
//! Does not own: what happens to the record then.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::topic::{ColumnSpec, ColumnType};
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::value::RawValue;

use super::row::add_member;
use crate::pipeline::decode::columns::{Column, Values};
use crate::pipeline::decode::values::{date_days, decimal, scaled_timestamp_us, timestamp_us};

/// Integers up to this size are exact in a double.
const EXACT_INTEGER_MAX: u64 = 1 << 53;

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
                // These need the text itself: a parsed number would have been rounded already.
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
        match (&mut self.column.values, self.column_type) {
            (Values::Decimal(values), ColumnType::Decimal { precision, scale }) => {
                let text = match raw.as_bytes()[0] {
                    b'"' => serde_json::from_str::<Cow<'_, str>>(raw).map_err(E::custom)?,
                    _ => Cow::Borrowed(raw),
                };
                values.push(decimal(&text, *precision, *scale).map_err(E::custom)?);
            }
            (Values::Bytes { ends, bytes }, _) => push_bytes(ends, bytes, raw.as_bytes())?,
            _ => unreachable!("only json and decimal columns ask for the text"),
        }
        self.column.mark_valid();
        Ok(())
    }

    fn add_integer<E: de::Error>(self, value: i64, unexpected: Unexpected<'_>) -> Result<(), E> {
        match (&mut self.column.values, self.column_type) {
            (Values::Int64(values), ColumnType::Int64 | ColumnType::TimestampUs) => values.push(value),
            (Values::Int64(values), ColumnType::TimestampMs) => {
                values.push(scaled_timestamp_us(value, 1000).map_err(E::custom)?);
            }
            (Values::Int64(values), ColumnType::TimestampS) => {
                values.push(scaled_timestamp_us(value, 1_000_000).map_err(E::custom)?);
            }
            (Values::Int32(values), ColumnType::Int32) => match i32::try_from(value) {
                Ok(value) => values.push(value),
                Err(_) => return Err(E::invalid_value(unexpected, &self)),
            },
            (Values::Float64(values), _) if value.unsigned_abs() <= EXACT_INTEGER_MAX => values.push(value as f64),
            (Values::Float64(_), _) => return Err(E::invalid_value(unexpected, &self)),
            _ => return Err(E::invalid_type(unexpected, &self)),
        }
        self.column.mark_valid();
        Ok(())
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
        if !self.column.nullable {
            return Err(E::custom("null, but the column takes none"));
        }
        self.column.push_null();
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        let Values::Bool(values) = &mut self.column.values else {
            return Err(E::invalid_type(Unexpected::Bool(value), &self));
        };
        values.append(value);
        self.column.mark_valid();
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.add_integer(value, Unexpected::Signed(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(signed) => self.add_integer(signed, Unexpected::Unsigned(value)),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(value), &self)),
        }
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        let Values::Float64(values) = &mut self.column.values else {
            return Err(E::invalid_type(Unexpected::Float(value), &self));
        };
        values.push(value);
        self.column.mark_valid();
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        match (&mut self.column.values, self.column_type) {
            (Values::Bytes { ends, bytes }, ColumnType::String) => push_bytes(ends, bytes, text.as_bytes())?,
            (Values::Bytes { ends, bytes }, ColumnType::Binary) => {
                STANDARD.decode_vec(text, bytes).map_err(|error| E::custom(format_args!("not base64: {error}")))?;
                push_bytes(ends, bytes, &[])?;
            }
            (Values::Int32(values), ColumnType::Date) => values.push(date_days(text).map_err(E::custom)?),
            (Values::Int64(values), column_type) if *column_type != ColumnType::Int64 => {
                values.push(timestamp_us(text).map_err(E::custom)?);
            }
            _ => return Err(E::invalid_type(Unexpected::Str(text), &self)),
        }
        self.column.mark_valid();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let (Values::List { ends, element }, ColumnType::List(element_type)) =
            (&mut self.column.values, self.column_type)
        else {
            return Err(de::Error::invalid_type(Unexpected::Seq, &self));
        };
        while seq.next_element_seed(ColumnSeed { column: element, column_type: element_type })?.is_some() {}
        ends.push(end_of(element.len())?);
        self.column.mark_valid();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (Values::Struct(members), ColumnType::Struct(specs)) = (&mut self.column.values, self.column_type) else {
            return Err(de::Error::invalid_type(Unexpected::Map, &self));
        };
        // All members have as many rows as the structure had before this one: the shortest tells it.
        let rows = members.iter().map(Column::len).min().unwrap_or_default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let position = specs.iter().position(|spec| spec.name == name);
            let position = position.ok_or_else(|| unknown_member(&name, specs))?;
            add_member(&mut members[position], &specs[position], rows, &mut map)?;
        }
        for (member, spec) in members.iter_mut().zip(specs).filter(|(member, _)| member.len() == rows) {
            if !spec.nullable {
                return Err(de::Error::custom(format_args!("member {:?} is missing and takes no null", spec.name)));
            }
            member.push_null();
        }
        self.column.mark_valid();
        Ok(())
    }
}

#[cold]
fn unknown_member<E: de::Error>(name: &str, specs: &[ColumnSpec]) -> E {
    let known: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    E::custom(format_args!("unknown member {name:?}; declared are {}", known.join(", ")))
}

/// Ends the value that `more` completes. Positions are 32 bits wide, as in Arrow's arrays.
fn push_bytes<E: de::Error>(ends: &mut Vec<i32>, bytes: &mut Vec<u8>, more: &[u8]) -> Result<(), E> {
    bytes.extend_from_slice(more);
    ends.push(end_of(bytes.len())?);
    Ok(())
}

fn end_of<E: de::Error>(length: usize) -> Result<i32, E> {
    i32::try_from(length).map_err(|_| E::custom("more than 2 GiB of values in one column of one chunk"))
}

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
use super::row::{Place, add_member};
use crate::pipeline::decode::columns::{Column, Values};
use crate::pipeline::decode::rules::{Rules, option_for};
use crate::pipeline::decode::typed::Refusal;
use crate::pipeline::decode::values::{double, quoted};

/// Doubles below this size, which were not rounded by more than their reader says: 2^63.
const CERTAIN_DOUBLE_END: f64 = 9_223_372_036_854_775_808.0;

/// How the values of a topic are read.
pub(super) struct How {
    /// The notations beside the strict ones; `None` if there are none.
    pub(super) rules: Option<Rules>,
    /// Whether numbers are read from their text. Integers of more than 64 bits would come rounded, without a word, and `-0`
    /// as a double; a row that may have one is refused at first, and read again.
    pub(super) is_exact: bool,
}

/// Adds one value to `column`.
pub(super) struct ColumnSeed<'c> {
    pub(super) column: &'c mut Column,
    pub(super) column_type: &'c ColumnType,
    pub(super) how: &'c How,
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
            ColumnType::Float64
            | ColumnType::Int32
            | ColumnType::Int64
            | ColumnType::TimestampS
            | ColumnType::TimestampMs
            | ColumnType::TimestampUs
                if self.how.is_exact =>
            {
                self.add_number(<&RawValue>::deserialize(deserializer)?.get())
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
        let added = match (self.column_type, raw.as_bytes()[0]) {
            (ColumnType::Decimal { .. }, b'"') => {
                let text = serde_json::from_str::<Cow<'_, str>>(raw).map_err(E::custom)?;
                let added = match &self.how.rules {
                    Some(rules) => rules.push_decimal_text(self.column, self.column_type, &text),
                    None => self.column.push_decimal(self.column_type, &text),
                };
                return added.map_err(|refusal| self.refused(refusal, Unexpected::Str(&text)));
            }
            (ColumnType::Decimal { .. }, _) => self.column.push_decimal(self.column_type, raw),
            _ => {
                passed_on::check(raw.as_bytes()).map_err(E::custom)?;
                self.column.push_bytes(raw.as_bytes())
            }
        };
        added.map_err(|refusal| self.refused(refusal, Unexpected::Other("text")))
    }

    /// Adds a number by its text: doubles would come rounded, and the integer `-0` as a double.
    fn add_number<E: de::Error>(self, raw: &str) -> Result<(), E> {
        match raw.as_bytes()[0] {
            b'"' => return self.visit_str(&serde_json::from_str::<Cow<'_, str>>(raw).map_err(E::custom)?),
            b'n' => return self.visit_unit(),
            b't' | b'f' => return self.visit_bool(raw == "true"),
            b'[' => return Err(self.refused(Refusal::Kind, AN_ARRAY)),
            b'{' => return Err(self.refused(Refusal::Kind, AN_OBJECT)),
            _ => {}
        }
        let (signed, unsigned) = (raw.parse::<i64>(), raw.parse::<u64>());
        let (added, value) = match (self.column_type, signed, unsigned) {
            (ColumnType::Float64, ..) => {
                let added = double(raw).map_err(Refusal::Reason).and_then(|value| self.column.push_float(value));
                (added, Unexpected::Other(raw))
            }
            (_, Ok(value), _) => (self.column.push_integer(self.column_type, value), Unexpected::Signed(value)),
            (_, _, Ok(value)) => (self.column.push_unsigned(self.column_type, value), Unexpected::Unsigned(value)),
            _ => (Err(Refusal::Kind), Unexpected::Other(raw)),
        };
        added.map_err(|refusal| self.refused(refusal, value))
    }

    /// The error for a value that the column does not take.
    #[cold]
    fn refused<E: de::Error>(&self, refusal: Refusal, value: Unexpected<'_>) -> E {
        match (refusal, value) {
            (Refusal::Reason(reason), Unexpected::Str(text)) => {
                E::custom(format_args!("{reason}{}", self.option_for(text)))
            }
            (Refusal::Reason(reason), _) => E::custom(reason),
            (_, Unexpected::Str(text)) => {
                let expected: &dyn Expected = self;
                E::custom(format_args!("the string {} is not {expected}{}", quoted(text), self.option_for(text)))
            }
            (_, value) => {
                let expected: &dyn Expected = self;
                E::custom(format_args!("{value} is not {expected}"))
            }
        }
    }

    fn option_for(&self, text: &str) -> &'static str {
        option_for(self.how.rules.as_ref(), self.column_type, text)
    }
}

const AN_ARRAY: Unexpected<'static> = Unexpected::Other("an array");
const AN_OBJECT: Unexpected<'static> = Unexpected::Other("an object");

impl<'de> Visitor<'de> for ColumnSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.column_type {
            ColumnType::Bool => "true or false",
            ColumnType::Int32 => "an integer of 32 bits",
            ColumnType::Int64 => "an integer of 64 bits",
            ColumnType::Float64 => "a number that a double holds (integers: exactly)",
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
        self.column.push_null().map_err(|refusal| self.refused(refusal, Unexpected::Unit))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.column.push_bool(value).map_err(|refusal| self.refused(refusal, Unexpected::Bool(value)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        let added = self.column.push_integer(self.column_type, value);
        added.map_err(|refusal| self.refused(refusal, Unexpected::Signed(value)))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        let added = self.column.push_unsigned(self.column_type, value);
        added.map_err(|refusal| self.refused(refusal, Unexpected::Unsigned(value)))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        if value.abs() >= CERTAIN_DOUBLE_END && matches!(self.column.values, Values::Float64(_)) {
            return Err(E::custom("to be read again, by its text"));
        }
        self.column.push_float(value).map_err(|refusal| self.refused(refusal, Unexpected::Float(value)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        let added = match &self.how.rules {
            None => self.column.push_text(self.column_type, text),
            Some(rules) => rules.push_text(self.column, self.column_type, text),
        };
        added.map_err(|refusal| self.refused(refusal, Unexpected::Str(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((element, element_type)) = self.column.elements(self.column_type) else {
            return Err(self.refused(Refusal::Kind, AN_ARRAY));
        };
        let how = self.how;
        while seq.next_element_seed(ColumnSeed { column: element, column_type: element_type, how })?.is_some() {}
        self.column.end_list().map_err(|refusal| self.refused(refusal, Unexpected::Seq))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((members, specs)) = self.column.members(self.column_type) else {
            return Err(self.refused(Refusal::Kind, AN_OBJECT));
        };
        // Each member has one value per earlier struct, so the shortest column gives the number of earlier structs.
        let before = members.iter().map(Column::len).min().unwrap_or_default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let position = specs.iter().position(|spec| spec.member() == Some(name.as_ref()));
            let position = position.ok_or_else(|| unknown_member(&name, specs))?;
            let place = Place { column: &mut members[position], spec: &specs[position], before };
            add_member(place, self.how, &mut map)?;
        }
        self.column.end_struct(specs, before).map_err(|refusal| self.refused(refusal, Unexpected::Map))
    }
}

#[cold]
fn unknown_member<E: de::Error>(name: &str, specs: &[ColumnSpec]) -> E {
    let known: Vec<&str> = specs.iter().filter_map(ColumnSpec::member).collect();
    E::custom(format_args!(
        "unknown member {}; declared are {}; topic update --column adds members to a struct",
        quoted(name),
        known.join(", ")
    ))
}

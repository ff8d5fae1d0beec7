//! Adds one value to one column, strictly: a value that would be altered is refused.
//!
//! Owns: the types that an integer, a double, a decimal, a text and a time may become; null, lists and structs;
//! completing a row. Every format of records calls these functions, so that all formats are equally strict.
//! Does not own: reading values out of bytes and the error texts for a wrong type (each format), the notations of times
//! and decimals (`values`), the bounds of times (`calendar`), the buffers (`columns`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::topic::{ColumnSpec, ColumnType};

use super::calendar::number_us;
use super::columns::{Column, Values};
use super::values::{date_days, decimal, quoted, timestamp_us};

/// Integers up to this size are exact in a double; of larger ones, some are.
const EXACT_INTEGER_MAX: u64 = 1 << 53;

/// The reason for refusing a value. The column may then hold a part of the value, so its row must be removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The type takes no value of this kind, such as a text for an integer.
    #[error("the column takes no value of this kind")]
    Kind,
    /// The type takes values of this kind, but not this one.
    #[error("the column takes no such value")]
    Value,
    /// Any other reason, in words.
    #[error("{0}")]
    Reason(String),
}

pub(super) type Pushed = Result<(), Refusal>;

impl Column {
    /// Adds a null, if the column takes one.
    #[inline]
    pub(super) fn push_null(&mut self) -> Pushed {
        if !self.nullable {
            return Err(Refusal::Reason("null, but the column takes none (its mark is !)".to_owned()));
        }
        self.append_null();
        Ok(())
    }

    /// Adds a truth value.
    #[inline]
    pub(super) fn push_bool(&mut self, value: bool) -> Pushed {
        let Values::Bool(values) = &mut self.values else { return Err(Refusal::Kind) };
        values.append(value);
        self.mark_valid();
        Ok(())
    }

    /// Adds an integer: as an integer, as an equal double, or as a time in the unit of the type.
    #[inline]
    pub(super) fn push_integer(&mut self, column_type: &ColumnType, value: i64) -> Pushed {
        match (&mut self.values, column_type) {
            (Values::Int64(values), ColumnType::Int64) => values.push(value),
            (Values::Int64(values), ColumnType::TimestampUs) => {
                values.push(number_us(value, 1).map_err(Refusal::Reason)?);
            }
            (Values::Int64(values), ColumnType::TimestampMs) => {
                values.push(number_us(value, 1_000).map_err(Refusal::Reason)?);
            }
            (Values::Int64(values), ColumnType::TimestampS) => {
                values.push(number_us(value, 1_000_000).map_err(Refusal::Reason)?);
            }
            (Values::Int32(values), ColumnType::Int32) => {
                values.push(i32::try_from(value).map_err(|_| Refusal::Value)?);
            }
            (Values::Float64(values), _) => values.push(exact_double(value)?),
            _ => return Err(Refusal::Kind),
        }
        self.mark_valid();
        Ok(())
    }

    /// Adds an integer that may exceed the range of every type.
    #[inline]
    pub(super) fn push_unsigned(&mut self, column_type: &ColumnType, value: u64) -> Pushed {
        match (i64::try_from(value), &self.values) {
            (Ok(value), _) => self.push_integer(column_type, value),
            (Err(_), Values::Float64(_)) => self.push_float(exact_large_double(i128::from(value))?),
            (Err(_), _) => Err(Refusal::Value),
        }
    }

    /// Adds a double. No other type takes one, because each would round it.
    #[inline]
    pub(super) fn push_float(&mut self, value: f64) -> Pushed {
        let Values::Float64(values) = &mut self.values else { return Err(Refusal::Kind) };
        values.push(value);
        self.mark_valid();
        Ok(())
    }

    /// Adds the decimal number that `text` denotes, if no digit of it is lost.
    #[inline]
    pub(super) fn push_decimal(&mut self, column_type: &ColumnType, text: &str) -> Pushed {
        let (Values::Decimal(values), ColumnType::Decimal { precision, scale }) = (&mut self.values, column_type)
        else {
            return Err(Refusal::Kind);
        };
        values.push(decimal(text, *precision, *scale).map_err(Refusal::Reason)?);
        self.mark_valid();
        Ok(())
    }

    /// Adds a text: as a text, as the bytes that it encodes in base64, or as the date or time that it denotes.
    #[inline]
    pub(super) fn push_text(&mut self, column_type: &ColumnType, text: &str) -> Pushed {
        match (&mut self.values, column_type) {
            (Values::Bytes { ends, bytes }, ColumnType::String) => append(ends, bytes, text.as_bytes())?,
            (Values::Bytes { ends, bytes }, ColumnType::Binary) => {
                STANDARD.decode_vec(text, bytes).map_err(|error| not_base64(text, &error))?;
                append(ends, bytes, &[])?;
            }
            (Values::Int32(values), ColumnType::Date) => values.push(date_days(text).map_err(Refusal::Reason)?),
            (
                Values::Int64(values),
                ColumnType::Timestamp | ColumnType::TimestampS | ColumnType::TimestampMs | ColumnType::TimestampUs,
            ) => values.push(timestamp_us(text).map_err(Refusal::Reason)?),
            _ => return Err(Refusal::Kind),
        }
        self.mark_valid();
        Ok(())
    }

    /// Adds bytes unchanged. The caller guarantees valid content for the type: UTF-8 if the type is a text.
    #[inline(always)]
    pub(super) fn push_bytes(&mut self, value: &[u8]) -> Pushed {
        let Values::Bytes { ends, bytes } = &mut self.values else { return Err(Refusal::Kind) };
        append(ends, bytes, value)?;
        self.mark_valid();
        Ok(())
    }

    /// Completes the value whose bytes were appended to the buffer.
    #[inline]
    pub(super) fn end_bytes(&mut self) -> Pushed {
        self.push_bytes(&[])
    }

    /// The column and the type of a list's elements; `None` if the type is no list. The caller adds the elements, then
    /// calls [`Self::end_list`].
    #[inline]
    pub(super) fn elements<'t>(&mut self, column_type: &'t ColumnType) -> Option<(&mut Self, &'t ColumnType)> {
        match (&mut self.values, column_type) {
            (Values::List { element, .. }, ColumnType::List(element_type)) => Some((element, element_type)),
            _ => None,
        }
    }

    /// Completes the list whose elements were added.
    #[inline]
    pub(super) fn end_list(&mut self) -> Pushed {
        let Values::List { ends, element } = &mut self.values else { return Err(Refusal::Kind) };
        ends.push(end_of(element.len())?);
        self.mark_valid();
        Ok(())
    }

    /// The columns and the types of a struct's members; `None` if the type is no struct. The caller adds the members,
    /// then calls [`Self::end_struct`].
    #[inline]
    pub(super) fn members<'t>(&mut self, column_type: &'t ColumnType) -> Option<(&mut [Self], &'t [ColumnSpec])> {
        match (&mut self.values, column_type) {
            (Values::Struct(members), ColumnType::Struct(specs)) => Some((members, specs)),
            _ => None,
        }
    }

    /// Completes the struct whose present members were added. `before` is the number of each member's earlier values.
    #[inline]
    pub(super) fn end_struct(&mut self, specs: &[ColumnSpec], before: usize) -> Pushed {
        let Values::Struct(members) = &mut self.values else { return Err(Refusal::Kind) };
        fill_absent(members, before, "member", |index| &specs[index].name).map_err(Refusal::Reason)?;
        self.mark_valid();
        Ok(())
    }
}

/// The double that is equal to an integer.
#[inline]
fn exact_double(value: i64) -> Result<f64, Refusal> {
    match value.unsigned_abs() <= EXACT_INTEGER_MAX {
        true => Ok(value as f64),
        false => exact_large_double(i128::from(value)),
    }
}

fn exact_large_double(value: i128) -> Result<f64, Refusal> {
    let double = value as f64;
    if double as i128 == value { Ok(double) } else { Err(Refusal::Value) }
}

#[cold]
fn not_base64(text: &str, error: &base64::DecodeError) -> Refusal {
    let other = "topic update --base64 any takes the URL-safe alphabet and absent padding too";
    Refusal::Reason(format!("{} is not base64 of the standard alphabet with padding: {error}; {other}", quoted(text)))
}

/// Adds a null to each of `columns` that still has `before` values, because the record lacks it.
///
/// # Errors
/// Names the first column that takes no null, after the word `noun`.
#[inline]
pub(super) fn fill_absent<'n>(
    columns: &mut [Column],
    before: usize,
    noun: &str,
    name: impl Fn(usize) -> &'n str,
) -> Result<(), String> {
    for (index, column) in columns.iter_mut().enumerate().filter(|(_, column)| column.len() == before) {
        if !column.nullable {
            return Err(missing(noun, name(index)));
        }
        column.append_null();
    }
    Ok(())
}

#[cold]
fn missing(noun: &str, name: &str) -> String {
    format!("{noun} {name:?} is missing and takes no null")
}

/// Appends `more` to the last value, and completes it.
#[inline]
fn append(ends: &mut Vec<i32>, bytes: &mut Vec<u8>, more: &[u8]) -> Pushed {
    bytes.extend_from_slice(more);
    ends.push(end_of(bytes.len())?);
    Ok(())
}

/// Positions are 32 bits wide, as in Arrow's arrays.
#[inline]
fn end_of(length: usize) -> Result<i32, Refusal> {
    i32::try_from(length).map_err(|_| too_long())
}

#[cold]
fn too_long() -> Refusal {
    Refusal::Reason("more than 2 GiB of values in one column of one chunk".to_owned())
}

#[cfg(test)]
mod tests;

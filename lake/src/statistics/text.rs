//! Values of bounds: reading them as Parquet stores them, their order, their text.
//!
//! Owns: the kinds of columns that have bounds, and the values that have a text. Does not own: merging (`statistics`).

use std::cmp::Ordering;

use chrono::{DateTime, Datelike, NaiveDate};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as PhysicalType};
use parquet::schema::types::ColumnDescriptor;

/// Days from 0001-01-01 to 1970-01-01, as chrono counts them.
const EPOCH_DAY: i32 = 719_163;

/// The kind of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int,
    Float,
    Date,
    /// Microseconds, UTC.
    Timestamp,
    /// Digits behind the point.
    Decimal(u32),
    String,
    Binary,
}

impl Kind {
    /// The kind of a column whose bounds have a text.
    pub(super) fn of(column: &ColumnDescriptor) -> Option<Self> {
        let scale = u32::try_from(column.type_scale()).ok();
        match (column.physical_type(), column.logical_type_ref(), column.converted_type()) {
            (_, Some(LogicalType::Decimal { .. }), _) | (_, None, ConvertedType::DECIMAL) => scale.map(Self::Decimal),
            (PhysicalType::BOOLEAN, None, _) => Some(Self::Bool),
            (PhysicalType::INT32, Some(LogicalType::Date), _) => Some(Self::Date),
            (PhysicalType::INT32 | PhysicalType::INT64, None, ConvertedType::NONE) => Some(Self::Int),
            (PhysicalType::INT32 | PhysicalType::INT64, Some(LogicalType::Integer { is_signed: true, .. }), _) => {
                Some(Self::Int)
            }
            (
                PhysicalType::INT64,
                Some(LogicalType::Timestamp { is_adjusted_to_u_t_c: true, unit: TimeUnit::MICROS }),
                _,
            ) => Some(Self::Timestamp),
            (PhysicalType::FLOAT | PhysicalType::DOUBLE, None, _) => Some(Self::Float),
            (PhysicalType::BYTE_ARRAY, Some(LogicalType::String), _) => Some(Self::String),
            (PhysicalType::BYTE_ARRAY, None, ConvertedType::NONE) => Some(Self::Binary),
            _ => None,
        }
    }
}

/// One bound. Only values of one kind are compared.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Date(i32),
    Timestamp(i64),
    Decimal { unscaled: i128, scale: u32 },
    String(Vec<u8>),
    Binary(Vec<u8>),
}

impl Value {
    /// Reads a bound of a column of `kind` from its plain encoding.
    pub(super) fn read(kind: Kind, bytes: &[u8]) -> Option<Self> {
        Some(match kind {
            Kind::Bool => Self::Bool(*bytes.first()? != 0),
            Kind::Int => Self::Int(little_endian(bytes)?),
            Kind::Date => Self::Date(i32::from_le_bytes(bytes.try_into().ok()?)),
            Kind::Timestamp => Self::Timestamp(little_endian(bytes)?),
            Kind::Float => Self::Float(match bytes.len() {
                4 => f64::from(f32::from_le_bytes(bytes.try_into().ok()?)),
                _ => f64::from_le_bytes(bytes.try_into().ok()?),
            }),
            Kind::Decimal(scale) => Self::Decimal { unscaled: decimal(bytes)?, scale },
            Kind::String => Self::String(bytes.to_vec()),
            Kind::Binary => Self::Binary(bytes.to_vec()),
        })
    }

    /// Its text, unless some reader could not parse it.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Bool(value) => Some(u8::from(*value).to_string()),
            Self::Int(value) => Some(value.to_string()),
            Self::Float(value) => (!value.is_nan()).then(|| format!("{value:?}")),
            Self::Date(days) => {
                let date = NaiveDate::from_num_days_from_ce_opt(days.checked_add(EPOCH_DAY)?)?;
                is_plain_year(date.year()).then(|| date.format("%Y-%m-%d").to_string())
            }
            Self::Timestamp(micros) => {
                let time = DateTime::from_timestamp_micros(*micros)?;
                let fraction = micros.rem_euclid(1_000_000);
                let format = if fraction == 0 { "%Y-%m-%d %H:%M:%S+00" } else { "%Y-%m-%d %H:%M:%S%.6f+00" };
                is_plain_year(time.year()).then(|| time.format(format).to_string())
            }
            Self::Decimal { unscaled, scale } => Some(decimal_text(*unscaled, *scale as usize)),
            // Postgres takes neither NUL nor invalid UTF-8 in text.
            Self::String(bytes) => String::from_utf8(bytes.clone()).ok().filter(|text| !text.contains('\0')),
            Self::Binary(bytes) => Some(bytes.iter().map(|byte| format!("{byte:02X}")).collect()),
        }
    }
}

impl PartialOrd for Value {
    /// The order of the column; none for different kinds.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(one), Self::Bool(two)) => Some(one.cmp(two)),
            (Self::Int(one), Self::Int(two)) | (Self::Timestamp(one), Self::Timestamp(two)) => Some(one.cmp(two)),
            (Self::Float(one), Self::Float(two)) => one.partial_cmp(two),
            (Self::Date(one), Self::Date(two)) => Some(one.cmp(two)),
            (Self::Decimal { unscaled: one, .. }, Self::Decimal { unscaled: two, .. }) => Some(one.cmp(two)),
            (Self::String(one), Self::String(two)) | (Self::Binary(one), Self::Binary(two)) => Some(one.cmp(two)),
            _ => None,
        }
    }
}

/// Readers disagree about years before 1, and about those with more than four digits.
fn is_plain_year(year: i32) -> bool {
    (1..=9999).contains(&year)
}

fn little_endian(bytes: &[u8]) -> Option<i64> {
    match bytes.len() {
        4 => Some(i64::from(i32::from_le_bytes(bytes.try_into().ok()?))),
        _ => Some(i64::from_le_bytes(bytes.try_into().ok()?)),
    }
}

/// Decimals of up to 9 digits are int32, of up to 18 int64, others big-endian. A fixed length of 4 or 8 bytes would be
/// read as an integer, but no precision above 18 digits has that length.
fn decimal(bytes: &[u8]) -> Option<i128> {
    match bytes.len() {
        4 | 8 => little_endian(bytes).map(i128::from),
        9..=16 => {
            let sign = if bytes[0] & 0x80 == 0 { 0 } else { 0xff };
            let mut wide = [sign; 16];
            wide[16 - bytes.len()..].copy_from_slice(bytes);
            Some(i128::from_be_bytes(wide))
        }
        _ => None,
    }
}

fn decimal_text(unscaled: i128, scale: usize) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_that_readers_parse() {
        let timestamp = |micros| Value::Timestamp(micros).text();
        let cases = [
            (Value::Bool(true), "1"),
            (Value::Int(-7), "-7"),
            (Value::Float(0.1), "0.1"),
            (Value::Float(f64::INFINITY), "inf"),
            (Value::Date(20_777), "2026-11-20"),
            (Value::Timestamp(1_795_132_899_000_099), "2026-11-20 00:01:39.000099+00"),
            (Value::Timestamp(-1), "1969-12-31 23:59:59.999999+00"),
            (Value::Timestamp(0), "1970-01-01 00:00:00+00"),
            (Value::Decimal { unscaled: -5_000, scale: 2 }, "-50.00"),
            (Value::Decimal { unscaled: -5, scale: 2 }, "-0.05"),
            (Value::Decimal { unscaled: 12, scale: 0 }, "12"),
            (Value::String("é".into()), "é"),
            (Value::Binary(vec![0, 0xAB]), "00AB"),
        ];
        for (value, text) in cases {
            assert_eq!(value.text().as_deref(), Some(text));
        }
        assert_eq!((timestamp(i64::MIN), timestamp(i64::MAX)), (None, None));
        assert_eq!(timestamp(-62_135_596_800_000_000).as_deref(), Some("0001-01-01 00:00:00+00"));
        assert_eq!(timestamp(-62_135_596_800_000_001), None, "the year before 1");
        assert_eq!(timestamp(253_402_300_799_999_999).as_deref(), Some("9999-12-31 23:59:59.999999+00"));
        assert_eq!(timestamp(253_402_300_800_000_000), None, "the year 10000");
        assert_eq!((Value::Date(i32::MAX).text(), Value::Date(i32::MIN).text()), (None, None));
        assert_eq!((Value::Date(-719_162).text().as_deref(), Value::Date(-719_163).text()), (Some("0001-01-01"), None));
        assert_eq!((Value::Float(f64::NAN).text(), Value::String("a\0".into()).text()), (None, None));
        assert_eq!(Value::String(vec![0xff]).text(), None, "no UTF-8");
    }
}

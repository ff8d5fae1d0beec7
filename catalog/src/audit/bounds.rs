//! Bounds of columns, read back from their texts.
//!
//! Owns: the parser of each type's texts, and their order. Does not own: writing them (`lake`).
//!
//! A reader casts these texts to the column's type. A text that it cannot cast would silently hide an object from it.

use std::cmp::Ordering;

use chrono::{NaiveDate, NaiveDateTime};

/// The type of a column; types whose bounds have the same texts share one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundType {
    /// `0`, `1`.
    Boolean,
    /// Digits.
    Integer,
    /// The shortest form of a double, never NaN.
    Float,
    /// Digits with a point: `-50.00`.
    Decimal,
    /// `2026-11-20`.
    Date,
    /// `2026-11-20 00:01:39.000099+00`, the fraction only if there is one.
    Timestamp,
    /// Any text without NUL.
    Text,
    /// Upper-case hexadecimal digits.
    Binary,
}

/// A parsed bound.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// Of a boolean, an integer, a date in days or a timestamp in microseconds since 1970.
    Integer(i64),
    /// Of a double.
    Float(f64),
    /// Of a decimal: true if it is negative, the digits before the point without leading zeros, those after it without
    /// trailing zeros.
    Decimal(bool, String, String),
    /// Of text and binary.
    Bytes(Vec<u8>),
}

impl Bound {
    /// Parses the text; `None` if a reader could not cast it.
    pub fn parse(of: BoundType, text: &str) -> Option<Self> {
        match of {
            BoundType::Boolean => matches!(text, "0" | "1").then(|| Self::Integer(i64::from(text == "1"))),
            BoundType::Integer => text.parse().ok().map(Self::Integer),
            BoundType::Float => text.parse().ok().filter(|value: &f64| !value.is_nan()).map(Self::Float),
            BoundType::Decimal => decimal(text),
            BoundType::Date => {
                let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(is_in_years)?;
                Some(Self::Integer(date.signed_duration_since(NaiveDate::default()).num_days()))
            }
            BoundType::Timestamp => {
                let time = NaiveDateTime::parse_from_str(text.strip_suffix("+00")?, "%Y-%m-%d %H:%M:%S%.f").ok()?;
                is_in_years(&time.date()).then(|| Self::Integer(time.and_utc().timestamp_micros()))
            }
            BoundType::Text => (!text.contains('\0')).then(|| Self::Bytes(text.as_bytes().to_vec())),
            BoundType::Binary => bytes(text).map(Self::Bytes),
        }
    }

    /// The order of the values; `None` for bounds of different types.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(one), Self::Integer(other)) => Some(one.cmp(other)),
            (Self::Float(one), Self::Float(other)) => one.partial_cmp(other),
            (Self::Bytes(one), Self::Bytes(other)) => Some(one.cmp(other)),
            (Self::Decimal(one_negative, one_whole, one_part), Self::Decimal(negative, whole, part)) => {
                let absolute = (one_whole.len(), one_whole, one_part).cmp(&(whole.len(), whole, part));
                Some(match (one_negative, negative) {
                    (false, false) => absolute,
                    (true, true) => absolute.reverse(),
                    (true, false) => Ordering::Less,
                    (false, true) => Ordering::Greater,
                })
            }
            _ => None,
        }
    }
}

/// True if readers can represent the year: 1 to 9999.
fn is_in_years(date: &NaiveDate) -> bool {
    use chrono::Datelike;
    (1..=9999).contains(&date.year())
}

fn decimal(text: &str) -> Option<Bound> {
    let (is_negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) || !are_digits(part) || (part.is_empty() && digits.contains('.')) {
        return None;
    }
    let (whole, part) = (whole.trim_start_matches('0').to_owned(), part.trim_end_matches('0').to_owned());
    let is_negative = is_negative && !(whole.is_empty() && part.is_empty());
    Some(Bound::Decimal(is_negative, whole, part))
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let is_upper_hex = |byte: &u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte);
    if !text.len().is_multiple_of(2) || !text.as_bytes().iter().all(is_upper_hex) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn integer(of: BoundType, text: &str) -> Option<i64> {
        match Bound::parse(of, text)? {
            Bound::Integer(value) => Some(value),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_type_has_its_texts() {
        assert_eq!(integer(BoundType::Boolean, "1"), Some(1));
        assert_eq!(integer(BoundType::Boolean, "true"), None);
        assert_eq!(integer(BoundType::Integer, "-9223372036854775808"), Some(i64::MIN));
        assert_eq!(integer(BoundType::Integer, "1.0"), None);
        assert_eq!(integer(BoundType::Date, "1969-12-31"), Some(-1));
        assert_eq!(integer(BoundType::Date, "+10000-01-01"), None, "beyond the years of readers");
        assert_eq!(integer(BoundType::Timestamp, "1970-01-01 00:00:01.000099+00"), Some(1_000_099));
        assert_eq!(integer(BoundType::Timestamp, "1970-01-01 00:00:01+00"), Some(1_000_000));
        for text in
            ["1970-01-01 00:00:01", "1970-01-01T00:00:01+00", "0000-01-01 00:00:00+00", "1970-13-01 00:00:00+00"]
        {
            assert_eq!(integer(BoundType::Timestamp, text), None, "{text}");
        }
        assert_eq!(Bound::parse(BoundType::Float, "NaN"), None);
        assert_eq!(Bound::parse(BoundType::Float, "1e-300"), Some(Bound::Float(1e-300)));
        assert_eq!(Bound::parse(BoundType::Text, "a\0"), None);
        assert_eq!(Bound::parse(BoundType::Binary, "00FF"), Some(Bound::Bytes(vec![0, 255])));
        for text in ["0", "ff", "0G", "é"] {
            assert_eq!(Bound::parse(BoundType::Binary, text), None, "{text}");
        }
        for text in ["", "-", ".5", "1.", "1e5", "--1", "1.-5"] {
            assert_eq!(Bound::parse(BoundType::Decimal, text), None, "{text}");
        }
        assert_eq!(Bound::parse(BoundType::Decimal, "-0.00"), Bound::parse(BoundType::Decimal, "0"));
    }

    #[test]
    fn bounds_of_different_types_have_no_order() {
        assert_eq!(Bound::Integer(1).compare(&Bound::Float(1.0)), None);
    }

    proptest! {
        #[test]
        fn decimals_have_the_order_of_their_values(one in -1_000_000..1_000_000_i64, other in -1_000_000..1_000_000_i64) {
            let text = |value: i64| {
                let sign = if value < 0 { "-" } else { "" };
                format!("{sign}{}.{:03}", value.abs() / 1000, value.abs() % 1000)
            };
            let parse = |value| Bound::parse(BoundType::Decimal, &text(value)).expect("a decimal");
            prop_assert_eq!(parse(one).compare(&parse(other)), Some(one.cmp(&other)));
        }
    }
}

//! Bounds of columns as Iceberg stores them.
//!
//! Owns: the choice of columns that have bounds, and the bytes of a bound. A bound that is too narrow hides rows from
//! readers, so there is none where it is not certain. Does not own: computing statistics (crate `lake`).
//!
//! Source: the Iceberg table specification, Appendix D, "Single-value serialization".

use catalog::{ColumnStatistics, StateFile, TableColumn};
use chrono::{DateTime, NaiveDate};

use crate::schema::Primitive;

/// Characters, or bytes, of a bound.
const LENGTH_MAX: usize = 16;

/// What an object has in a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnBounds {
    pub(crate) field_id: i32,
    /// Values, null ones included.
    pub(crate) value_count: i64,
    pub(crate) null_count: i64,
    pub(crate) lower: Option<Vec<u8>>,
    pub(crate) upper: Option<Vec<u8>>,
}

/// The bounds of an object: of partition, offset and time by its own row, of other columns by their statistics.
pub(crate) fn bounds(columns: &[TableColumn], file: &StateFile) -> Vec<ColumnBounds> {
    let object = &file.object;
    let own = |field_id, lower: Vec<u8>, upper: Vec<u8>| ColumnBounds {
        field_id,
        value_count: object.record_count.cast_signed(),
        null_count: 0,
        lower: Some(lower),
        upper: Some(upper),
    };
    let le = |value: u64| value.to_le_bytes().to_vec();
    let mut found = vec![
        own(1, object.min_partition_id.to_le_bytes().to_vec(), object.max_partition_id.to_le_bytes().to_vec()),
        own(2, le(object.min_offset), le(object.max_offset)),
        own(4, le(object.min_timestamp_us.cast_unsigned()), le(object.max_timestamp_us.cast_unsigned())),
    ];
    for statistics in &file.statistics {
        let column = columns.iter().find(|column| column.id == statistics.field_id && column.parent.is_none());
        let known = found.iter().any(|known| known.field_id == statistics.field_id);
        let of = column.and_then(|column| Primitive::of(&column.type_name)).filter(|_| !known);
        // Parts of other columns are left out: readers disagree about counts in them.
        found.extend(of.map(|of| of_column(of, statistics)));
    }
    found.sort_by_key(|bounds| bounds.field_id);
    found
}

fn of_column(of: Primitive, statistics: &ColumnStatistics) -> ColumnBounds {
    let value_count = statistics.value_count.saturating_add(statistics.null_count);
    ColumnBounds {
        field_id: statistics.field_id,
        value_count: value_count.cast_signed(),
        null_count: statistics.null_count.cast_signed(),
        lower: statistics.min.as_deref().and_then(|text| lower(of, text)),
        upper: statistics.max.as_deref().and_then(|text| upper(of, text)),
    }
}

fn lower(of: Primitive, text: &str) -> Option<Vec<u8>> {
    match of {
        Primitive::String => Some(text.chars().take(LENGTH_MAX).collect::<String>().into_bytes()),
        Primitive::Binary => {
            let mut bytes = value(of, text)?;
            bytes.truncate(LENGTH_MAX);
            Some(bytes)
        }
        _ => value(of, text),
    }
}

fn upper(of: Primitive, text: &str) -> Option<Vec<u8>> {
    match of {
        Primitive::String if text.chars().nth(LENGTH_MAX).is_some() => {
            let mut start: Vec<char> = text.chars().take(LENGTH_MAX).collect();
            // Greater than everything that begins with the same characters.
            while let Some(last) = start.pop() {
                if let Some(next) = next_char(last) {
                    start.push(next);
                    return Some(start.into_iter().collect::<String>().into_bytes());
                }
            }
            None
        }
        Primitive::Binary => {
            let mut bytes = value(of, text)?;
            if bytes.len() <= LENGTH_MAX {
                return Some(bytes);
            }
            bytes.truncate(LENGTH_MAX);
            while let Some(last) = bytes.pop() {
                if last < u8::MAX {
                    bytes.push(last + 1);
                    return Some(bytes);
                }
            }
            None
        }
        _ => value(of, text),
    }
}

/// The next character in the order of UTF-8 bytes, which is that of numbers; surrogates are none.
fn next_char(char: char) -> Option<char> {
    match char {
        '\u{d7ff}' => Some('\u{e000}'),
        other => char::from_u32(other as u32 + 1),
    }
}

/// The bytes of a value; `None` where it has no bytes, or readers compare it in different ways: a NaN may be above each
/// bound of a column of doubles.
fn value(of: Primitive, text: &str) -> Option<Vec<u8>> {
    match of {
        Primitive::Boolean => match text {
            "0" => Some(vec![0]),
            "1" => Some(vec![1]),
            _ => None,
        },
        Primitive::Int => text.parse::<i32>().ok().map(|value| value.to_le_bytes().to_vec()),
        Primitive::Long => text.parse::<i64>().ok().map(|value| value.to_le_bytes().to_vec()),
        Primitive::Double => None,
        Primitive::Date => {
            let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            let days = date.signed_duration_since(NaiveDate::default()).num_days();
            i32::try_from(days).ok().map(|days| days.to_le_bytes().to_vec())
        }
        Primitive::Timestamp => {
            let time = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z").ok()?;
            Some(time.timestamp_micros().to_le_bytes().to_vec())
        }
        Primitive::String => Some(text.as_bytes().to_vec()),
        Primitive::Binary => {
            let digits = text.as_bytes();
            let pairs = digits.chunks(2).map(|pair| {
                let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
                u8::from_str_radix(pair, 16).ok()
            });
            pairs.collect()
        }
        Primitive::Decimal { scale, .. } => decimal(text, scale),
    }
}

/// The unscaled number in two's complement, most significant byte first, in as few bytes as hold it.
fn decimal(text: &str, scale: u32) -> Option<Vec<u8>> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() != scale as usize || fraction.contains(['+', '-']) {
        return None;
    }
    let unscaled: i128 = format!("{whole}{fraction}").parse().ok()?;
    let bytes = unscaled.to_be_bytes();
    let sign = if unscaled < 0 { 0xff } else { 0 };
    let is_needed = |at: usize| bytes[at] != sign || (bytes[at + 1] ^ sign) & 0x80 != 0;
    let first = (0..bytes.len() - 1).find(|&at| is_needed(at)).unwrap_or(bytes.len() - 1);
    Some(bytes[first..].to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_have_the_bytes_of_the_specification() {
        let decimal = Primitive::Decimal { precision: 12, scale: 2 };
        let examples: [(Primitive, &str, &[u8]); 12] = [
            (Primitive::Boolean, "1", &[1]),
            (Primitive::Int, "-2", &[0xfe, 0xff, 0xff, 0xff]),
            (Primitive::Long, "258", &[2, 1, 0, 0, 0, 0, 0, 0]),
            (Primitive::Date, "1970-01-02", &[1, 0, 0, 0]),
            (Primitive::Date, "1969-12-31", &[0xff; 4]),
            (Primitive::Timestamp, "1970-01-01 00:00:00.000001+00", &[1, 0, 0, 0, 0, 0, 0, 0]),
            (Primitive::Timestamp, "1970-01-01 00:00:01+00", &[0x40, 0x42, 0x0f, 0, 0, 0, 0, 0]),
            (Primitive::String, "a\u{e9}", &[b'a', 0xc3, 0xa9]),
            (Primitive::Binary, "00FF", &[0, 0xff]),
            (decimal, "-0.50", &[0xce]),
            (decimal, "1.28", &[0, 0x80]),
            (decimal, "-1.28", &[0x80]),
        ];
        for (of, text, bytes) in examples {
            assert_eq!(lower(of, text).as_deref(), Some(bytes), "{of:?} {text}");
            assert_eq!(upper(of, text).as_deref(), Some(bytes), "{of:?} {text}");
        }
        for (of, text) in [
            (Primitive::Double, "1.5"),
            (Primitive::Int, "3000000000"),
            (Primitive::Binary, "0"),
            (Primitive::Date, "12-2020"),
            (decimal, "1.5"),
        ] {
            assert_eq!((lower(of, text), upper(of, text)), (None, None), "{of:?} {text}");
        }
    }

    #[test]
    fn an_upper_bound_without_a_greater_start_is_none() {
        let top = char::MAX.to_string();
        assert_eq!(upper(Primitive::String, &top.repeat(17)), None);
        assert_eq!(upper(Primitive::String, &top.repeat(16)), Some(top.repeat(16).into_bytes()));
        let raised = upper(Primitive::String, &format!("a{}", top.repeat(16)));
        assert_eq!(raised, Some(b"b".to_vec()));
        assert_eq!(upper(Primitive::Binary, &"FF".repeat(17)), None);
        assert_eq!(upper(Primitive::String, &"\u{d7ff}".repeat(17)).map(|bytes| bytes.len()), Some(48));
    }

    proptest! {
        #[test]
        fn bounds_of_texts_enclose_them(text in any::<String>()) {
            let (low, high) = (lower(Primitive::String, &text), upper(Primitive::String, &text));
            prop_assert!(low.is_some_and(|low| low.as_slice() <= text.as_bytes()));
            prop_assert!(high.is_none_or(|high| high.as_slice() >= text.as_bytes()));
        }

        #[test]
        fn bounds_of_bytes_enclose_them(bytes in any::<Vec<u8>>()) {
            let text: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            let (low, high) = (lower(Primitive::Binary, &text), upper(Primitive::Binary, &text));
            prop_assert!(low.is_some_and(|low| low <= bytes));
            prop_assert!(high.is_none_or(|high| high >= bytes));
        }

        #[test]
        fn a_decimal_reads_back(unscaled in any::<i128>().prop_map(|value| value % 10i128.pow(38))) {
            let sign = if unscaled < 0 { "-" } else { "" };
            let digits = format!("{:04}", unscaled.unsigned_abs());
            let text = format!("{sign}{}.{}", &digits[..digits.len() - 3], &digits[digits.len() - 3..]);
            let bytes = value(Primitive::Decimal { precision: 38, scale: 3 }, &text).expect("a decimal");
            let mut all = [if bytes[0] >= 0x80 { 0xff } else { 0 }; 16];
            all[16 - bytes.len()..].copy_from_slice(&bytes);
            prop_assert_eq!(i128::from_be_bytes(all), unscaled);
            prop_assert!(bytes.len() == 1 || !(bytes[0] == 0 && bytes[1] < 0x80 || bytes[0] == 0xff && bytes[1] >= 0x80));
        }
    }
}

//! A value that a type keeps.
//!
//! Owns: the comparison of a value with its cast, since casts round numbers and cut off times without a word; the digits of a
//! number in text. Does not own: casts (Arrow).

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;

/// Most digits that an exponent may add to a number: those of the largest decimal type.
const ZEROS_MAX: i64 = 76;

/// A number as digits without zeros at their ends, and the power of ten of the last one.
#[derive(Debug, PartialEq, Eq)]
struct Digits {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

/// A value as text, without the words of its type.
pub(super) fn shown(value: &ScalarValue) -> String {
    match value.cast_to(&DataType::Utf8) {
        Ok(ScalarValue::Utf8(Some(text))) => text,
        _ => value.to_string(),
    }
}

/// True when `cast` is still the value.
pub(super) fn is_same(value: &ScalarValue, cast: &ScalarValue) -> bool {
    let (from, to) = (value.data_type(), cast.data_type());
    if value.is_null() || cast.is_null() {
        return value.is_null() == cast.is_null();
    }
    if let Some(text) = value.try_as_str().flatten() {
        return match &to {
            to if to.is_decimal() => Digits::of(text).is_none_or(|digits| Some(digits) == Digits::of(&shown(cast))),
            to if to.is_temporal() => is_same_time(value, cast),
            _ => true,
        };
    }
    let is_compared = |of: &DataType| of.is_numeric() || of.is_temporal() || *of == DataType::Boolean;
    if !is_compared(&from) || !is_compared(&to) {
        return true;
    }
    if from.is_floating() && to.is_floating() {
        // Rounded, as every fraction in these types is; only out of all bounds it is another value.
        return is_finite(value) == is_finite(cast);
    }
    cast.cast_to(&from).is_ok_and(|back| back == *value || is_equal(&back, value))
}

/// A text may name a time more exactly than the type keeps it.
fn is_same_time(text: &ScalarValue, cast: &ScalarValue) -> bool {
    let zone = match cast.data_type() {
        DataType::Timestamp(_, zone) => zone,
        DataType::Date32 | DataType::Date64 => None,
        DataType::Time32(_) | DataType::Time64(_) => {
            let exact = DataType::Time64(TimeUnit::Nanosecond);
            return text.cast_to(&exact).is_ok_and(|time| cast.cast_to(&exact).is_ok_and(|cast| cast == time));
        }
        _ => return true,
    };
    let exact = DataType::Timestamp(TimeUnit::Nanosecond, zone);
    // Far from now, nanoseconds have no room.
    let Ok(time) = text.cast_to(&exact) else { return true };
    cast.cast_to(&exact).is_ok_and(|cast| cast == time)
}

fn float(value: &ScalarValue) -> Option<f64> {
    match value.cast_to(&DataType::Float64) {
        Ok(ScalarValue::Float64(value)) => value,
        _ => None,
    }
}

fn is_finite(value: &ScalarValue) -> bool {
    float(value).is_some_and(f64::is_finite)
}

/// Zero has two signs, and is equal to itself.
fn is_equal(left: &ScalarValue, right: &ScalarValue) -> bool {
    left.data_type().is_floating() && float(left) == float(right)
}

/// A number without an exponent, for types that have none; `None` for what is no number, or has too many digits.
pub fn plain_number(text: &str) -> Option<String> {
    let Digits { is_negative, mut digits, exponent } = Digits::of(text)?;
    if exponent.abs() > ZEROS_MAX {
        return None;
    }
    if exponent >= 0 {
        digits.extend((0..exponent).map(|_| '0'));
    } else {
        let behind = usize::try_from(-exponent).ok()?;
        let digits_min = behind + 1;
        digits = format!("{digits:0>digits_min$}");
        digits.insert(digits.len() - behind, '.');
    }
    Some(if is_negative { format!("-{digits}") } else { digits })
}

impl Digits {
    /// The digits of a decimal number, perhaps with a point and an exponent.
    fn of(text: &str) -> Option<Self> {
        let text = text.trim();
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let kept = digits.trim_end_matches('0');
        let dropped = i64::try_from(digits.len() - kept.len()).ok()?;
        let exponent = exponent.checked_add(dropped)?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        let kept = kept.trim_start_matches('0');
        Some(match kept.is_empty() {
            true => Self { is_negative: false, digits: "0".to_owned(), exponent: 0 },
            false => Self { is_negative: mantissa.starts_with('-'), digits: kept.to_owned(), exponent },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(value: impl Into<ScalarValue>, wanted: &DataType) -> bool {
        let value = value.into();
        value.cast_to(wanted).is_ok_and(|cast| is_same(&value, &cast))
    }

    #[test]
    fn a_type_keeps_a_value_or_does_not_take_it() {
        let decimal = DataType::Decimal128(20, 2);
        let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        for wanted in [DataType::Int64, DataType::UInt8, decimal.clone(), DataType::Float32] {
            assert!(fits(3.0, &wanted) && fits(3_i64, &wanted), "{wanted}");
        }
        assert!(fits(-0.0, &DataType::Int64) && fits(0.1, &DataType::Float32) && fits(1.1, &decimal));
        assert!(!fits(1.5, &DataType::Int64) && !fits(1e300, &DataType::Float32) && !fits(1.005, &decimal));
        assert!(!fits((1_i64 << 53) + 1, &DataType::Float64) && fits(1_i64 << 53, &DataType::Float64));
        assert!(!fits(5_i64, &DataType::Boolean) && fits(1_i64, &DataType::Boolean));
        for (text, keeps) in [("1.00500", false), ("1.50", true), ("-0.00", true), ("0001.5", true), ("1.505", false)] {
            assert_eq!(fits(text, &decimal), keeps, "{text}");
        }
        assert!(fits("2026-01-01", &DataType::Date32) && !fits("2026-01-01T12:00:00", &DataType::Date32));
        assert!(fits("2026-01-01T00:00:00.123456Z", &micros) && !fits("2026-01-01T00:00:00.1234567Z", &micros));
        let noon = ScalarValue::TimestampMicrosecond(Some(43_200_000_000), None);
        let midnight = ScalarValue::TimestampMicrosecond(Some(86_400_000_000), None);
        assert!(!fits(noon, &DataType::Date32) && fits(midnight, &DataType::Date32));
    }

    #[test]
    fn numbers_lose_their_exponents_and_nothing_else() {
        for (text, plain) in [
            ("9007199254740993.25", Some("9007199254740993.25")),
            ("1e2", Some("100")),
            ("-1.50E-3", Some("-0.0015")),
            ("5.0", Some("5")),
            ("-0.0", Some("0")),
            ("0.05", Some("0.05")),
            ("1e400", None),
            ("x", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(plain_number(text).as_deref(), plain, "{text}");
        }
    }
}

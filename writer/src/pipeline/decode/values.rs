//! Texts that denote values: times, dates, numbers. Strict: a value that would be altered is refused.
//!
//! Owns: the accepted texts and their values. Does not own: the texts that each column takes (`typed`), the bounds of times
//! (`calendar`).

use chrono::{DateTime, NaiveDate};
use common::timestamp::is_finer_than_nanoseconds;
use serde_json::value::RawValue;

use super::calendar;

/// Characters of a value that a reason shows.
const QUOTED_CHARACTERS_MAX: usize = 60;

/// The text in quotes for a reason: escaped, and cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARACTERS_MAX) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}… ({} bytes)", &text[..end], text.len()),
    }
}

/// Microseconds since the Unix epoch of an RFC 3339 text.
pub(super) fn timestamp_us(text: &str) -> Result<i64, String> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|error| {
        let other = "topic update --time-format names another notation";
        format!("{} is not a time in RFC 3339, such as 2026-01-31T12:00:00Z: {error}; {other}", quoted(text))
    })?;
    let nanos = time.timestamp_subsec_nanos();
    if nanos % 1000 != 0 || is_finer_than_nanoseconds(text) {
        let cut = "topic update --truncate-times cuts them off";
        return Err(format!("{} has more than the six digits of a second that are stored; {cut}", quoted(text)));
    }
    if nanos >= 1_000_000_000 {
        return Err(format!("{} is a leap second, which has no number", quoted(text)));
    }
    calendar::text_us(text, time.timestamp_micros())
}

/// Days since the Unix epoch of a text `yyyy-mm-dd`.
pub(super) fn date_days(text: &str) -> Result<i32, String> {
    // The parser takes signs and blanks before numbers too.
    let is_written_so = text.len() == 10
        && text.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let parsed = is_written_so.then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten();
    let date = parsed.ok_or_else(|| format!("{} is not a date such as 2026-01-31", quoted(text)))?;
    calendar::text_days(text, date.signed_duration_since(NaiveDate::default()).num_days())
}

/// Whether `text` is a number as JSON writes it.
pub(super) fn is_number(text: &str) -> bool {
    let ends = |byte: Option<&u8>, also: u8| byte.is_some_and(|byte| byte.is_ascii_digit() || *byte == also);
    let bytes = text.as_bytes();
    ends(bytes.first(), b'-') && ends(bytes.last(), b'0') && serde_json::from_str::<&RawValue>(text).is_ok()
}

/// The double that a number stands for, as JSON writes it: the nearest one, if it has a point or an exponent.
///
/// # Errors
/// When no double is equal to an integer, or the number is larger than all of them.
pub(super) fn double(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().map_err(|error| format!("{}: {error}", quoted(text)))?;
    if value.is_infinite() {
        return Err(format!("{} is larger than the largest double", quoted(text)));
    }
    let is_integer = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if is_integer && format!("{value:.0}") != text {
        return Err(format!(
            "{} is an integer that no double is equal to; decimal(p,0) keeps every digit",
            quoted(text)
        ));
    }
    Ok(value)
}

/// The number that big-endian bytes in two's complement stand for, if it has at most `precision` digits.
pub(super) fn decimal_of_bytes(bytes: &[u8], precision: u8) -> Option<i128> {
    let sign = if bytes.first()? & 0x80 == 0 { 0 } else { 0xff };
    let (more, last) = bytes.split_at(bytes.len().saturating_sub(size_of::<i128>()));
    let mut extended = [sign; size_of::<i128>()];
    extended[size_of::<i128>() - last.len()..].copy_from_slice(last);
    let value = i128::from_be_bytes(extended);
    let is_whole = more.iter().all(|byte| *byte == sign) && (value < 0) == (sign != 0);
    (is_whole && value.unsigned_abs() < 10_u128.pow(u32::from(precision))).then_some(value)
}

/// The unscaled integer of a decimal literal (optional sign, digits, point, exponent) for `scale` digits behind
/// the point.
///
/// # Errors
/// If it is no number, has more digits behind the point than `scale` (trailing zeros do not count), or has more than
/// `precision` digits.
pub(super) fn decimal(text: &str, precision: u8, scale: u8) -> Result<i128, String> {
    let refuse = |why: &str| Err(format!("{} {why} decimal({precision},{scale})", quoted(text)));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        None => (text, 0_i32),
        Some((mantissa, exponent)) => {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || !all_digits(digits) {
                return refuse("is not a");
            }
            // One that is too large for this is too large for every number but zero.
            let largest = if exponent.starts_with('-') { i32::MIN } else { i32::MAX };
            (mantissa, exponent.parse().unwrap_or(largest))
        }
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
        return refuse("is not a");
    }
    let significant = format!("{whole}{fraction}");
    let significant = significant.trim_start_matches('0');
    let kept = significant.trim_end_matches('0');
    if kept.is_empty() {
        return Ok(0);
    }
    // The value is kept * 10^power; all of these numbers stay small or are refused before use.
    let dropped_zeros = (significant.len() - kept.len()) as i64;
    let power = i64::from(exponent) - fraction.len() as i64 + dropped_zeros;
    let shift = power + i64::from(scale);
    if shift < 0 {
        return refuse("has more digits behind the point than");
    }
    if kept.len() as i64 + shift > i64::from(precision) {
        return refuse("has more digits than");
    }
    let unsigned: i128 = kept.parse().map_err(|_| "too many digits".to_owned())?;
    let value = unsigned * 10_i128.pow(shift as u32);
    Ok(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_fit_exactly_or_are_refused() {
        let accepted = [
            ("1.20", 120),
            ("-0.01", -1),
            ("12", 1200),
            ("1e3", 100_000),
            ("0.000", 0),
            ("1.5E-1", 15),
            ("99999999.99", 9_999_999_999),
            ("0e99999999999", 0),
            ("-0.0E-99999999999", 0),
        ];
        for (text, expected) in accepted {
            assert_eq!(decimal(text, 10, 2), Ok(expected), "{text}");
        }
        let huge = format!("1e{}", i32::MAX);
        for text in [
            "1.239",
            "100000000",
            "",
            ".",
            "-",
            "1.2.3",
            "0x1",
            "1e",
            "abc",
            "--1",
            &huge,
            "1e-2147483648",
            "0e",
            "0e+",
            "0e1.5",
        ] {
            assert!(decimal(text, 10, 2).is_err(), "{text}");
        }
        assert!(decimal("1e99999999999", 10, 2).is_err_and(|why| why.contains("has more digits than")));
        assert!(decimal("1e-99999999999", 10, 2).is_err_and(|why| why.contains("behind the point")));
        assert_eq!(decimal(&"9".repeat(38), 38, 0), Ok(10_i128.pow(38) - 1));
        assert!(decimal(&"9".repeat(39), 38, 0).is_err());
    }

    #[test]
    fn integers_are_doubles_where_they_stay_the_same_number() {
        for text in ["0", "-0", "9007199254740992", "-9007199254740994", "18446744073709551616", "36893488147419103232"]
        {
            assert_eq!(double(text), Ok(text.parse().expect("a number")), "{text}");
        }
        for text in ["9007199254740993", "18446744073709551617", "36893488147419103233", &"9".repeat(400)] {
            assert!(double(text).is_err(), "{text}");
        }
        for (text, value) in [("0.1", 0.1), ("1e20", 1e20), ("1e-400", 0.0), ("36893488147419103233.0", 2_f64.powi(65))]
        {
            assert_eq!(double(text), Ok(value), "{text}");
        }
        assert!(double("1e999").is_err());
    }

    #[test]
    fn bytes_are_numbers_in_twos_complement() {
        let largest = 10_i128.pow(38) - 1;
        for value in [0, 1, -1, 127, 128, -128, -129, largest, -largest] {
            let bytes = value.to_be_bytes();
            assert_eq!(decimal_of_bytes(&bytes, 38), Some(value));
            assert_eq!(
                decimal_of_bytes(&[&[if value < 0 { 0xff } else { 0 }; 9][..], &bytes].concat(), 38),
                Some(value)
            );
        }
        for bytes in [&[][..], &[0x7f; 17], &[0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(decimal_of_bytes(bytes, 38), None);
        }
        assert_eq!((decimal_of_bytes(&[99], 2), decimal_of_bytes(&[100], 2)), (Some(99), None));
    }

    #[test]
    fn long_texts_are_cut_and_escaped_in_reasons() {
        assert_eq!(quoted("a\n\"ä"), r#""a\n\"ä""#);
        assert_eq!(quoted(&"ä".repeat(100)), format!("{:?}… (200 bytes)", "ä".repeat(60)));
    }

    #[test]
    fn times_keep_every_digit_or_are_refused() {
        assert_eq!(timestamp_us("1970-01-01T00:00:01.000001Z"), Ok(1_000_001));
        assert_eq!(timestamp_us("1970-01-01T01:00:00+01:00"), Ok(0));
        assert_eq!(timestamp_us("1969-12-31T23:59:59.5Z"), Ok(-500_000));
        for text in [
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00.0000001Z",
            "1970-01-01T00:00:00.000000000000001Z",
            "2016-12-31T23:59:60Z",
            "",
        ] {
            assert!(timestamp_us(text).is_err(), "{text}");
        }
        for finer in ["2026-01-31T12:00:00.1234560001Z", "2026-01-31T12:00:00.123456000000000001+05:30"] {
            assert!(timestamp_us(finer).expect_err(finer).contains("--truncate-times"), "{finer}");
        }
        assert_eq!(timestamp_us("1970-01-01T00:00:00.100000000000000000Z"), Ok(100_000));
        assert_eq!(timestamp_us("9999-12-31T23:59:59.999999Z"), Ok(253_402_300_799_999_999));
        assert_eq!(timestamp_us("0001-01-01T00:00:00Z"), Ok(-62_135_596_800_000_000));
        for text in ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+00:01", "0000-12-31T00:00:00Z"] {
            assert!(timestamp_us(text).expect_err(text).contains("outside the years 0001 to 9999"), "{text}");
        }
    }

    #[test]
    fn dates_are_whole_and_padded() {
        assert_eq!(date_days("1970-01-02"), Ok(1));
        assert_eq!(date_days("1969-12-31"), Ok(-1));
        for text in ["1970-1-2", "1970-02-30", "1970-01-02T00:00:00Z", "today", "1970-01-0２"] {
            assert!(date_days(text).is_err(), "{text}");
        }
        for text in ["+2026-1-31", "2026- 1-31", " 2026-1-31", "-001-01-01", "2026-01 -1", "2026/01/31"] {
            assert!(date_days(text).expect_err(text).contains("is not a date such as"), "{text}");
        }
        assert_eq!((date_days("0001-01-01"), date_days("9999-12-31")), (Ok(-719_162), Ok(2_932_896)));
        assert!(date_days("0000-12-31").expect_err("no such year").contains("outside the years 0001 to 9999"));
    }
}

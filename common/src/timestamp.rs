//! A record's own time, which its producer gives it.
//!
//! Owns: the header that keeps it, and the texts that are taken for a time. Does not own: the time at which the queue stored
//! a message (`message`).

use chrono::{DateTime, Datelike, SecondsFormat, Utc};

/// The header in which a record's own time is kept: RFC 3339 in UTC, with milliseconds or finer, so that SQL can cast it to
/// a time. The queue stamps every message itself (`_timestamp`), since positions are found by that time.
pub const TIMESTAMP_HEADER: &str = "Siltstone-Timestamp";

/// The texts that [`parse_timestamp`] takes, for errors.
pub const TIMESTAMPS_ALLOWED: &str = "a time with its zone and at most nanoseconds, such as 2026-01-31T12:00:00.5Z, or milliseconds since 1970, in the years 0001 to 9999";

/// The value of the header for a time in milliseconds since 1970; `None` outside the years 0001 to 9999, which no reader
/// holds.
pub fn timestamp_text(ms: i64) -> Option<String> {
    text_of(DateTime::from_timestamp_millis(ms)?)
}

/// The value of the header for a time as people and programs write it: RFC 3339 with any zone, or a whole number of
/// milliseconds since 1970. `None` for any other text.
pub fn parse_timestamp(text: &str) -> Option<String> {
    text_of(time_of(text)?)
}

/// The same texts as microseconds since 1970.
pub fn parse_timestamp_us(text: &str) -> Option<i64> {
    let time = time_of(text)?;
    (1..=9999).contains(&time.year()).then(|| time.timestamp_micros())
}

fn time_of(text: &str) -> Option<DateTime<Utc>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return DateTime::from_timestamp_millis(text.parse().ok()?);
    }
    let time = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
    let is_leap_second = time.timestamp_subsec_nanos() >= 1_000_000_000;
    (!is_leap_second && !is_finer_than_nanoseconds(text)).then_some(time)
}

/// Whether a time has digits of a second behind the ninth that are not zero: chrono leaves them out without a word.
pub fn is_finer_than_nanoseconds(text: &str) -> bool {
    let digits = |fraction: &str| fraction.bytes().take_while(u8::is_ascii_digit).skip(9).any(|digit| digit != b'0');
    text.split('.').skip(1).any(digits)
}

fn text_of(time: DateTime<Utc>) -> Option<String> {
    let is_whole = time.timestamp_subsec_nanos().is_multiple_of(1_000_000);
    let format = if is_whole { SecondsFormat::Millis } else { SecondsFormat::AutoSi };
    (1..=9999).contains(&time.year()).then(|| time.to_rfc3339_opts(format, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_kept_in_utc_with_all_its_digits() {
        for (given, kept) in [
            ("0", "1970-01-01T00:00:00.000Z"),
            ("1767225600123", "2026-01-01T00:00:00.123Z"),
            ("-1", "1969-12-31T23:59:59.999Z"),
            ("2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00.000Z"),
            ("2026-01-01T00:00:00.123456Z", "2026-01-01T00:00:00.123456Z"),
            ("2026-01-01T00:00:00.123456789-00:30", "2026-01-01T00:30:00.123456789Z"),
            ("2026-01-01T00:00:00.12345678900Z", "2026-01-01T00:00:00.123456789Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
            ("253402300799999", "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(parse_timestamp(given).as_deref(), Some(kept), "{given}");
            assert_eq!(parse_timestamp(kept).as_deref(), Some(kept), "read back");
            assert_eq!(parse_timestamp_us(given), parse_timestamp_us(kept), "{given}");
        }
    }

    #[test]
    fn what_no_reader_holds_or_means_two_things_is_no_time() {
        for wrong in [
            "",
            "-",
            "soon",
            "1.5",
            "1e3",
            "+5",
            " 5",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-13-01T00:00:00Z",
            "2026-01-01T00:00:00.1234567891Z",
            "2016-12-31T23:59:60Z",
            "0000-12-31T23:59:59Z",
            "9999-12-31T23:59:59-01:00",
            "253402300800000",
            "99999999999999999999",
        ] {
            assert_eq!(parse_timestamp(wrong), None, "{wrong:?}");
        }
        assert_eq!(timestamp_text(i64::MAX), None);
    }
}

//! Durations, sizes and counts as people write and read them.
//!
//! Owns: parsing `7d` and `10GiB`, showing numbers with units. Does not own: the allowed values.

use std::time::Duration;

use chrono::DateTime;

const DURATION_UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];
const SIZE_UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("kb", 1000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// Reads a duration such as `500ms`, `45s`, `30m`, `12h`, `7d`, `2w`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    parse(text, DURATION_UNITS)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text:?} is not a duration; allowed is a whole number with ms, s, m, h, d or w"))
}

/// The time for which segments are kept, in milliseconds; `None` keeps all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retention(pub(crate) Option<u64>);

/// Reads a retention: `none`, or a duration that is not zero.
pub(crate) fn parse_retention(text: &str) -> Result<Retention, String> {
    match parse(text, DURATION_UNITS) {
        _ if text.trim() == "none" => Ok(Retention(None)),
        Some(0) => Err(format!(
            "{text:?} would keep nothing; allowed is a longer duration such as 7d, or none, which keeps everything"
        )),
        Some(milliseconds) if i64::try_from(milliseconds).is_ok() => Ok(Retention(Some(milliseconds))),
        _ => Err(format!(
            "{text:?} is not a duration; allowed is a whole number with ms, s, m, h, d or w, or none, which keeps everything"
        )),
    }
}

/// Reads a size in bytes such as `1048576`, `512MiB`, `10GB`.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    parse(text, SIZE_UNITS)
        .ok_or_else(|| format!("{text:?} is not a size; allowed is a whole number with kB, MB, GB, KiB, MiB or GiB"))
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_lowercase();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// A duration in milliseconds as people write it: `7d`, `90m`, `1500ms`.
pub(crate) fn duration_text(ms: u64) -> String {
    let largest = DURATION_UNITS[..5].iter().rev().find(|(_, factor)| ms >= *factor && ms.is_multiple_of(*factor));
    largest.map_or_else(|| "0s".to_owned(), |(unit, factor)| format!("{}{unit}", ms / factor))
}

/// Bytes with a binary unit: `1.5 MiB`.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
pub(crate) fn bytes_text(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// A count with its thousands apart: `1,234,567`.
pub(crate) fn count_text(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Milliseconds since the epoch as a date and time, UTC.
pub(crate) fn time_text(ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(ms);
    time.map_or_else(|| ms.to_string(), |time| time.format("%Y-%m-%d %H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_as_written() {
        assert_eq!(parse_duration("7d"), Ok(Duration::from_secs(604_800)));
        assert_eq!(parse_duration("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_size("512MiB"), Ok(512 << 20));
        assert_eq!(parse_size("1048576"), Ok(1 << 20));
        assert_eq!(parse_size("10 GB"), Ok(10_000_000_000));
        for text in ["", "d", "7", "-1d", "1.5h", "7y", "99999999999999999999d", "18446744073709551615w"] {
            assert!(parse_duration(text).expect_err(text).contains("whole number"));
        }
    }

    #[test]
    fn a_retention_is_a_duration_or_none() {
        assert_eq!(parse_retention("7d"), Ok(Retention(Some(604_800_000))));
        assert_eq!(parse_retention("none"), Ok(Retention(None)));
        assert!(parse_retention("0s").expect_err("nothing").contains("or none, which keeps everything"));
        for text in ["", "None of it", "-1d", "7", "106751991168d"] {
            assert!(parse_retention(text).expect_err(text).contains("not a duration"), "{text}");
        }
    }

    #[test]
    fn numbers_are_shown_short() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count_text), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1023, 1536, 64 << 20].map(bytes_text), ["0 B", "1023 B", "1.5 KiB", "64.0 MiB"]);
        assert_eq!([0, 1500, 5_400_000, 604_800_000].map(duration_text), ["0s", "1500ms", "90m", "7d"]);
        assert_eq!(time_text(0), "1970-01-01 00:00:00Z");
    }
}

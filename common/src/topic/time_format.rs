//! One notation of times: RFC 3339, or a pattern in the manner of `strftime`.
//!
//! Owns: which patterns name an instant, and reading a text by one.
//! Does not own: which notations a topic has (`reading`), the times that are stored (crate `writer`).

use chrono::format::{Fixed, Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, FixedOffset, NaiveDate, TimeDelta, TimeZone, Timelike, Utc};

/// The word for the strict notation.
pub(super) const RFC_3339: &str = "rfc3339";

/// A notation of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// RFC 3339, such as `2026-01-31T12:00:00Z`.
    Rfc3339,
    /// A pattern.
    Pattern {
        /// Its text.
        text: String,
        /// Its parts.
        items: Vec<Item<'static>>,
        /// The zone of the times, where the pattern has none.
        zone: Option<FixedOffset>,
    },
}

impl TimeFormat {
    /// Reads the word `rfc3339` or a pattern of [`chrono::format::strftime`]; `zone` is that of times that name none.
    ///
    /// # Errors
    /// Says why the pattern names no instant.
    pub fn new(text: &str, zone: Option<FixedOffset>) -> Result<Self, String> {
        if text == RFC_3339 {
            return Ok(Self::Rfc3339);
        }
        let refused = |why: &str| format!("time format {text:?} {why}");
        let items = StrftimeItems::new(text).parse_to_owned();
        let items =
            items.map_err(|_| refused("is not a pattern such as %Y-%m-%dT%H:%M:%S%.f%z, nor the word rfc3339"))?;
        if items.contains(&Item::Fixed(Fixed::TimezoneName)) {
            return Err(refused("has %Z, but names of zones are not read; %z reads +0000"));
        }
        let format = Self::Pattern { text: text.to_owned(), items, zone };
        match format.reads_itself() {
            Some(true) => Ok(format),
            _ if zone.is_none() && !format.has_zone() => {
                Err(refused("has no zone: add %z, or say which with --time-zone, such as --time-zone +00:00"))
            }
            _ => Err(refused("names no instant: a date and a time of day are needed")),
        }
    }

    /// Whether a time that is written in it names its zone.
    pub fn has_zone(&self) -> bool {
        match self {
            Self::Rfc3339 => true,
            Self::Pattern { items, .. } => {
                let sample = sample().format_with_items(items.iter()).to_string();
                parsed(&sample, items).is_some_and(|parsed| parsed.offset().is_some() || parsed.timestamp().is_some())
            }
        }
    }

    /// The instant that `text` names; `None` if it is not written so, or a leap second, which has no number.
    pub fn instant(&self, text: &str) -> Option<DateTime<Utc>> {
        let time = match self {
            Self::Rfc3339 => DateTime::parse_from_rfc3339(text).ok()?,
            Self::Pattern { items, zone, .. } => {
                let parsed = parsed(text, items)?;
                match zone {
                    Some(zone) if parsed.offset().is_none() && parsed.timestamp().is_none() => {
                        parsed.to_datetime_with_timezone(zone).ok()?
                    }
                    _ => parsed.to_datetime().ok()?,
                }
            }
        };
        (time.nanosecond() < 1_000_000_000).then(|| time.to_utc())
    }

    /// The notation as a topic names it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Rfc3339 => RFC_3339,
            Self::Pattern { text, .. } => text,
        }
    }

    /// Whether an instant that is written in it is read as the same minute; `None` if it cannot be read.
    fn reads_itself(&self) -> Option<bool> {
        let Self::Pattern { items, zone, .. } = self else { return Some(true) };
        let zone = zone.unwrap_or(FixedOffset::east_opt(0).expect("in range"));
        let written = sample().with_timezone(&zone);
        let read = self.instant(&written.format_with_items(items.iter()).to_string())?;
        Some((written.to_utc() - read).abs() < TimeDelta::minutes(1))
    }
}

fn parsed(text: &str, items: &[Item<'static>]) -> Option<Parsed> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, items.iter()).ok()?;
    Some(parsed)
}

/// An afternoon, so that hours of half a day do not pass for those of a day.
fn sample() -> DateTime<FixedOffset> {
    let time = NaiveDate::from_ymd_opt(2026, 11, 23).and_then(|date| date.and_hms_opt(16, 45, 59));
    let zone = FixedOffset::east_opt(0).expect("in range");
    zone.from_utc_datetime(&time.expect("a time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(format: &str, zone: Option<&str>, text: &str) -> Option<i64> {
        let zone = zone.map(|zone| zone.parse().expect("a zone"));
        let format = TimeFormat::new(format, zone).expect("valid");
        format.instant(text).map(|time| time.timestamp_micros())
    }

    #[test]
    fn patterns_read_what_producers_write() {
        for (format, zone, text) in [
            ("%Y-%m-%dT%H:%M:%S%.f%z", None, "1970-01-01T01:00:00.5+0100"),
            ("%Y-%m-%dT%H:%M:%S%.f%z", None, "1970-01-01T01:00:00.500000+01:00"),
            ("%Y-%m-%d %H:%M:%S%.f", Some("+00:00"), "1970-01-01 00:00:00.5"),
            ("%Y-%m-%dT%H:%M:%S%.f", Some("-02:00"), "1969-12-31T22:00:00.500000"),
            ("%d/%b/%Y:%H:%M:%S%.f %z", None, "01/Jan/1970:00:00:00.5 +0000"),
            ("rfc3339", None, "1970-01-01 00:00:00.5Z"),
            ("%m/%d/%Y %I:%M:%S%.3f %p", Some("+00:00"), "01/01/1970 12:00:00.500 AM"),
        ] {
            assert_eq!(micros(format, zone, text), Some(500_000), "{format} {text}");
        }
        assert_eq!(micros("%s", None, "1"), Some(1_000_000));
        assert_eq!(micros("%s", Some("+05:00"), "1"), Some(1_000_000), "seconds of the epoch have no zone");
    }

    #[test]
    fn what_is_written_otherwise_is_not_read() {
        let format = "%Y-%m-%d %H:%M:%S";
        for text in ["", "2026-01-31", "2026-02-30 00:00:00", "2026-01-31 00:00:00 ", "2016-12-31 23:59:60"] {
            assert_eq!(micros(format, Some("+00:00"), text), None, "{text}");
        }
        assert_eq!(micros("%s", None, "99999999999999999999"), None);
    }

    #[test]
    fn a_pattern_that_names_no_instant_is_refused() {
        for (format, part) in [
            ("%H:%M:%S%z", "a date"),
            ("%Y-%m-%d%z", "time of day"),
            ("%Y-%m-%d %I:%M:%S%z", "time of day"),
            ("now", "--time-zone"),
            ("%Y-%m-%d %H:%M", "--time-zone"),
            ("%", "not a pattern"),
        ] {
            let refused = TimeFormat::new(format, None).expect_err(part);
            assert!(refused.contains(part), "{refused}");
        }
    }
}

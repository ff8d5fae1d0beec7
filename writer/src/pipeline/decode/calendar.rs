//! The times and dates that every reader holds: the years 1 to 9999, in UTC.
//!
//! Owns: these bounds, and the words of a refusal. Does not own: reading times (`values`), the columns (`typed`).
//!
//! Python's times go no further, so that one value beyond them makes its whole column unreadable there. Most such values are
//! numbers in a smaller unit than the column's.

use chrono::DateTime;
use common::clock::utc_day;

const YEARS: &str = "outside the years 0001 to 9999, which are all that readers hold";
const DAYS: std::ops::RangeInclusive<i64> = -719_162..=2_932_896;

/// Units of numbers that stand for times, in nanoseconds.
const UNITS: [(&str, i128); 4] =
    [("seconds", 1_000_000_000), ("milliseconds", 1_000_000), ("microseconds", 1_000), ("nanoseconds", 1)];

/// The years of messages' times: a number that gives one of them in another unit has probably that unit.
const LIKELY_YEARS: std::ops::RangeInclusive<i128> = 1990..=2100;
const YEAR_NS: i128 = 31_556_952_000_000_000;

/// Microseconds since the Unix epoch of `value` units of `unit_us` microseconds.
///
/// # Errors
/// When the time is beyond the bounds, with the unit that was probably meant.
pub(super) fn number_us(value: i64, unit_us: i64) -> Result<i64, String> {
    let micros = value.checked_mul(unit_us).filter(|micros| is_within(*micros));
    micros.ok_or_else(|| refused_number(value, i128::from(unit_us) * 1_000))
}

/// `micros`, the time that `text` stands for.
///
/// # Errors
/// When it is beyond the bounds.
pub(super) fn text_us(text: &str, micros: i64) -> Result<i64, String> {
    if is_within(micros) { Ok(micros) } else { Err(format!("{text:?} in UTC is {YEARS}")) }
}

/// `days`, the date that `text` stands for.
///
/// # Errors
/// When it is beyond the bounds.
pub(super) fn text_days(text: &str, days: i64) -> Result<i32, String> {
    let within = i32::try_from(days).ok().filter(|_| DAYS.contains(&days));
    within.ok_or_else(|| format!("{text:?} is {YEARS}"))
}

fn is_within(micros: i64) -> bool {
    DAYS.contains(&utc_day(micros))
}

#[cold]
fn refused_number(value: i64, unit_ns: i128) -> String {
    let unit = UNITS.iter().find(|(_, ns)| *ns == unit_ns).map_or("units", |(name, _)| name);
    let refusal = format!("{value} {unit} since 1970 are {YEARS}");
    let likely = |ns: i128| LIKELY_YEARS.contains(&(1970 + (i128::from(value) * ns).div_euclid(YEAR_NS)));
    let meant = UNITS.iter().find(|(_, ns)| *ns < unit_ns && likely(*ns));
    let as_text = |ns: i128| {
        let micros = i64::try_from(i128::from(value) * ns / 1_000).ok()?;
        Some(DateTime::from_timestamp_micros(micros)?.format("%Y-%m-%dT%H:%M:%SZ").to_string())
    };
    match meant.and_then(|(name, ns)| Some((name, as_text(*ns)?))) {
        Some((name, time)) => format!("{refusal}; as {name}, which were probably meant, they are {time}"),
        None => refusal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_years_1_to_9999_are_taken_and_no_others() {
        let (first, last) = (-62_135_596_800_000_000, 253_402_300_799_999_999);
        for micros in [first, -1, 0, last] {
            assert_eq!(number_us(micros, 1), Ok(micros));
            assert_eq!(text_us("t", micros), Ok(micros));
        }
        for micros in [i64::MIN, first - 1, last + 1, i64::MAX] {
            assert!(number_us(micros, 1).is_err() && text_us("t", micros).is_err(), "{micros}");
        }
        assert_eq!(number_us(253_402_300_799, 1_000_000), Ok(253_402_300_799_000_000));
        assert!(number_us(253_402_300_800, 1_000_000).is_err());
        assert!(number_us(i64::MIN, 1_000_000).is_err());
    }

    #[test]
    fn dates_of_the_years_1_to_9999_are_taken_and_no_others() {
        for (days, is_taken) in [(-719_163, false), (-719_162, true), (2_932_896, true), (2_932_897, false)] {
            assert_eq!(text_days("d", days).is_ok(), is_taken, "{days}");
        }
        assert!(text_days("d", i64::MAX).is_err());
    }

    #[test]
    fn a_refused_number_names_the_unit_that_was_probably_meant() {
        let time = "2023-11-14T22:13:20Z";
        for (value, unit_us, unit, name) in [
            (1_700_000_000_000, 1_000_000, "seconds", "milliseconds"),
            (1_700_000_000_000_000, 1_000_000, "seconds", "microseconds"),
            (1_700_000_000_000_000, 1_000, "milliseconds", "microseconds"),
            (1_700_000_000_000_000_000, 1_000, "milliseconds", "nanoseconds"),
            (1_700_000_000_000_000_000, 1, "microseconds", "nanoseconds"),
        ] {
            let refused = number_us(value, unit_us).expect_err("beyond");
            let meant = format!("as {name}, which were probably meant, they are {time}");
            assert_eq!(refused, format!("{value} {unit} since 1970 are {YEARS}; {meant}"));
        }
        let refused = number_us(i64::MAX - 7, 1_000).expect_err("beyond");
        assert_eq!(refused, format!("{} milliseconds since 1970 are {YEARS}", i64::MAX - 7));
    }
}

//! Intervals of PostgreSQL in binary.
//!
//! Owns: reading them. Does not own: what is done with parameters (`parameters`), writing intervals (pgwire).

use arrow_array::types::IntervalMonthDayNano;
use datafusion::scalar::ScalarValue;
use postgres_types::{FromSql, Type};

const DAY_NANOS: i64 = 86_400_000_000_000;

/// Months, days and a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval(pub(super) IntervalMonthDayNano);

impl Interval {
    /// The interval with its days as hours, as a difference of times has them, unless it has months.
    pub(super) fn as_time(self) -> ScalarValue {
        let days = i64::from(self.0.days).checked_mul(DAY_NANOS);
        let time = days.and_then(|days| days.checked_add(self.0.nanoseconds)).filter(|_| self.0.months == 0);
        ScalarValue::IntervalMonthDayNano(Some(time.map_or(self.0, |time| IntervalMonthDayNano::new(0, 0, time))))
    }
}

impl FromSql<'_> for Interval {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let (micros, rest) = raw.split_first_chunk::<8>().ok_or("an interval has 16 bytes")?;
        let (days, months) = rest.split_first_chunk::<4>().ok_or("an interval has 16 bytes")?;
        let months = i32::from_be_bytes(months.try_into().map_err(|_| "an interval has 16 bytes")?);
        let nanos = i64::from_be_bytes(*micros).checked_mul(1_000).ok_or("the interval is longer than 292 years")?;
        Ok(Self(IntervalMonthDayNano::new(months, i32::from_be_bytes(*days), nanos)))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::INTERVAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_its_members() {
        let bytes = [&1_500_000_i64.to_be_bytes()[..], &(-3_i32).to_be_bytes(), &14_i32.to_be_bytes()].concat();
        let read = Interval::from_sql(&Type::INTERVAL, &bytes).expect("16 bytes");
        assert_eq!(read.0, IntervalMonthDayNano::new(14, -3, 1_500_000_000));
        let hours = Interval(IntervalMonthDayNano::new(0, 2, 5)).as_time();
        assert_eq!(hours, ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(0, 0, 2 * DAY_NANOS + 5))));
        for wrong in [&bytes[..15], &[&bytes[..], &[0]].concat(), &[0x7f; 16]] {
            Interval::from_sql(&Type::INTERVAL, wrong).expect_err("refused");
        }
    }
}

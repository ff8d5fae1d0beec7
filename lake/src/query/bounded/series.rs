//! How many numbers, dates or times a series has.
//!
//! Owns: the count, and refusing a step that does not lead to the end. Does not own: the series (DataFusion).

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Int32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, TimeUnit, TimestampNanosecondType,
};
use datafusion::error::{DataFusionError, Result};

use super::growth::{Numbers, Operands};

const DAY_NS: i128 = 86_400 * 1_000_000_000;
/// The shortest month.
const MONTH_DAYS: i128 = 28;
const ELEMENT_BYTES: u64 = 8;

/// Bytes of the series in all rows.
///
/// # Errors
/// The step of a series of dates or times is refused.
pub(super) fn series_bytes(operands: &Operands) -> Result<u64> {
    match operands.arrays[0].data_type() {
        DataType::Int64 => {
            let numbers = (0..operands.arrays.len()).map(|at| operands.numbers(at)).collect::<Result<Vec<_>>>()?;
            let step = |row: usize| numbers.get(2).map_or(Some(1), |step| step.signed(row));
            Ok(operands.each_row(|row| match numbers.as_slice() {
                [stop] => bytes(Some(0), stop.signed(row), step(row).map(i128::from)),
                [start, stop, ..] => bytes(start.signed(row), stop.signed(row), step(row).map(i128::from)),
                [] => 0,
            }))
        }
        DataType::Date32 | DataType::Date64 if operands.arrays.len() > 2 => {
            let days = |array: &ArrayRef| -> Result<Numbers> {
                let days = cast(&cast(array, &DataType::Date32)?, &DataType::Int32)?;
                Ok(Numbers(Arc::new(days.as_primitive::<Int32Type>().unary::<_, Int64Type>(i64::from))))
            };
            of_moments(operands, days, least_days)
        }
        DataType::Timestamp(_, _) if operands.arrays.len() > 2 => {
            let moments = |array: &ArrayRef| -> Result<Numbers> {
                let times = cast(array, &DataType::Timestamp(TimeUnit::Nanosecond, None))?;
                let times = times.as_primitive::<TimestampNanosecondType>().reinterpret_cast::<Int64Type>();
                Ok(Numbers(Arc::new(times)))
            };
            of_moments(operands, moments, least_ns)
        }
        _ => Ok(0),
    }
}

fn of_moments(
    operands: &Operands,
    numbers: impl Fn(&ArrayRef) -> Result<Numbers>,
    least: impl Fn(IntervalMonthDayNano) -> i128,
) -> Result<u64> {
    let (start, stop) = (numbers(&operands.arrays[0])?, numbers(&operands.arrays[1])?);
    let Some(steps) = operands.arrays[2].as_primitive_opt::<IntervalMonthDayNanoType>() else { return Ok(0) };
    let mut sum = 0_u64;
    for row in 0..operands.rows() {
        let step = operands.row_of(2, row).filter(|row| !operands.arrays[2].is_null(*row));
        let (Some(start), Some(stop), Some(step)) = (start.signed(row), stop.signed(row), step) else { continue };
        let step = steps.value(step);
        let least = least(step);
        if !has_one_sign(step) || least == 0 {
            return Err(refused(step));
        }
        sum = sum.saturating_add(bytes(Some(start), Some(stop), Some(least)));
    }
    Ok(sum)
}

/// Bytes of one series; none where something is null.
fn bytes(start: Option<i64>, stop: Option<i64>, step: Option<i128>) -> u64 {
    let (Some(start), Some(stop), Some(step)) = (start, stop, step) else { return 0 };
    let span = i128::from(stop) - i128::from(start);
    // DataFusion refuses a number as step that is zero, and one away from the end gives nothing.
    if step == 0 || (span != 0 && (span < 0) != (step < 0)) {
        return 0;
    }
    u64::try_from(span / step + 1).unwrap_or(u64::MAX).saturating_mul(ELEMENT_BYTES)
}

/// True when no part of the step undoes another: one month less 28 days is no step in February.
fn has_one_sign(step: IntervalMonthDayNano) -> bool {
    let parts = [i64::from(step.months), i64::from(step.days), step.nanoseconds];
    parts.iter().all(|part| *part >= 0) || parts.iter().all(|part| *part <= 0)
}

/// The least whole days of a step; a date keeps no part of a day.
fn least_days(step: IntervalMonthDayNano) -> i128 {
    i128::from(step.months) * MONTH_DAYS + i128::from(step.days) + i128::from(step.nanoseconds) / DAY_NS
}

fn least_ns(step: IntervalMonthDayNano) -> i128 {
    (i128::from(step.months) * MONTH_DAYS + i128::from(step.days)) * DAY_NS + i128::from(step.nanoseconds)
}

fn refused(step: IntervalMonthDayNano) -> DataFusionError {
    let IntervalMonthDayNano { months, days, nanoseconds } = step;
    DataFusionError::Plan(format!(
        "the step of a series is {months} months, {days} days and {nanoseconds} nanoseconds: its parts must not have \
         opposite signs, and it must be a day or longer between dates, and not zero between times"
    ))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Date32Array, IntervalMonthDayNanoArray, TimestampSecondArray};
    use datafusion::logical_expr::ColumnarValue;

    use super::*;

    fn of(moments: [ArrayRef; 2], step: (i32, i32, i64)) -> Result<u64> {
        let step = IntervalMonthDayNano { months: step.0, days: step.1, nanoseconds: step.2 };
        let step = Arc::new(IntervalMonthDayNanoArray::from(vec![step]));
        let [start, stop] = moments.map(ColumnarValue::Array);
        series_bytes(&Operands::new(&[start, stop, ColumnarValue::Array(step)], 1).expect("operands"))
    }

    fn dates(start: i32, stop: i32) -> [ArrayRef; 2] {
        [start, stop].map(|day| Arc::new(Date32Array::from(vec![day])) as ArrayRef)
    }

    fn times(start: i64, stop: i64) -> [ArrayRef; 2] {
        [start, stop].map(|second| Arc::new(TimestampSecondArray::from(vec![second])) as ArrayRef)
    }

    const HOUR: i64 = 3_600_000_000_000;

    #[test]
    fn a_step_that_may_stand_still_is_refused() {
        for step in [(0, 1, -24 * HOUR), (1, -28, 0), (0, 0, 0), (0, -1, HOUR), (-1, 31, 0)] {
            for (start, stop) in [(0, 1), (1, 0), (0, 0)] {
                let date = of(dates(start, stop), step).expect_err("dates");
                let time = of(times(start.into(), stop.into()), step).expect_err("times");
                assert!(matches!(date, DataFusionError::Plan(_)) && matches!(time, DataFusionError::Plan(_)));
            }
        }
        let text = of(dates(0, 1), (0, 0, HOUR)).expect_err("less than a day").to_string();
        assert!(text.contains("0 months, 0 days and 3600000000000 nanoseconds"), "{text}");
    }

    #[test]
    fn series_are_counted_beyond_the_year_2262() {
        assert_eq!(of(dates(0, 95_000_000), (0, 1, 0)).expect("days"), 95_000_001 * 8);
        assert_eq!(of(dates(95_000_000, 0), (0, -1, -HOUR)).expect("days"), 95_000_001 * 8);
        assert_eq!(of(dates(0, 280), (1, 0, 0)).expect("months"), 11 * 8);
        assert_eq!(of(dates(0, 10), (0, 0, 48 * HOUR)).expect("two days"), 6 * 8);
        assert_eq!(of(times(0, 3600), (0, 0, HOUR / 60)).expect("minutes"), 61 * 8);
        assert_eq!(of(times(3600, 0), (0, 0, HOUR)).expect("away from the end"), 0);
    }
}

//! Bins of times, as `date_bin` cuts them.
//!
//! Owns: bins of any length, of months too, from any origin, in all years.
//! Does not own: bins of times of day, and the types of the arguments (`functions`).
//!
//! Why it is needed: DataFusion 54.1 computes in nanoseconds, which end in 1677 and in 2262, and bins by months of a time before
//! 1970 are null or an error where it has a fraction of a second.

use std::sync::Arc;

use chrono::{DateTime, Datelike, Months, Utc};
use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use datafusion::arrow::datatypes::{
    DataType, IntervalMonthDayNano, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType,
};
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

const DAY_NANOS: i128 = 86_400_000_000_000;

/// The bins of the times in the arguments; `None` where they are no timestamps, or the stride is not one interval.
///
/// # Errors
/// When the stride is not above zero, has months and days, or a bin is out of range.
pub(super) fn binned(args: &ScalarFunctionArgs) -> Result<Option<ColumnarValue>> {
    let [ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(stride))), times, rest @ ..] =
        args.args.as_slice()
    else {
        return Ok(None);
    };
    if !matches!(times.data_type(), DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, _)) {
        return Ok(None);
    }
    let origin = match rest {
        [] => 0,
        [ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(Some(origin), _)), ..] => i128::from(*origin) * 1_000,
        [ColumnarValue::Scalar(ScalarValue::TimestampNanosecond(Some(origin), _)), ..] => i128::from(*origin),
        _ => return exec_err!("date_bin takes one origin for all rows, which is not null"),
    };
    let bins = Bins::new(*stride, origin)?;
    let is_scalar = matches!(times, ColumnarValue::Scalar(_));
    let times = times.to_array(if is_scalar { 1 } else { args.number_rows })?;
    let cut: ArrayRef = match times.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => cut::<TimestampMicrosecondType>(&times, &bins, 1_000)?,
        _ => cut::<TimestampNanosecondType>(&times, &bins, 1)?,
    };
    Ok(Some(match is_scalar {
        true => ColumnarValue::Scalar(ScalarValue::try_from_array(&cut, 0)?),
        false => ColumnarValue::Array(cut),
    }))
}

/// The start of each time's bin; a value of the times has `nanos` nanoseconds.
fn cut<T: ArrowPrimitiveType<Native = i64>>(times: &ArrayRef, bins: &Bins, nanos: i64) -> Result<ArrayRef> {
    let read: &PrimitiveArray<T> = times.as_primitive();
    let nanos = i128::from(nanos);
    let start = |time: i64| {
        let start = bins.start(i128::from(time) * nanos)?;
        i64::try_from(start.div_euclid(nanos)).ok()
    };
    let out_of_range = || DataFusionError::Execution("date_bin: the start of a bin is out of range".to_owned());
    let cut: PrimitiveArray<T> = read.try_unary(|time| start(time).ok_or_else(out_of_range))?;
    Ok(Arc::new(cut.with_data_type(times.data_type().clone())))
}

/// Bins of one length side by side, one of which begins at the origin. All numbers but those of months are nanoseconds.
enum Bins {
    Fixed { stride: i128, origin: i128 },
    Months { stride: i64, origin: DateTime<Utc> },
}

impl Bins {
    fn new(stride: IntervalMonthDayNano, origin: i128) -> Result<Self> {
        let fixed = i128::from(stride.days) * DAY_NANOS + i128::from(stride.nanoseconds);
        let months = i64::from(stride.months);
        if months != 0 && (stride.days != 0 || stride.nanoseconds != 0) {
            return exec_err!("date_bin takes a stride of months, or one of days and times, not of both");
        }
        if months < 0 || (months == 0 && fixed <= 0) {
            return exec_err!("date_bin takes a stride above zero");
        }
        match (months, time_of(origin)) {
            (0, _) => Ok(Self::Fixed { stride: fixed, origin }),
            (stride, Some(origin)) => Ok(Self::Months { stride, origin }),
            (_, None) => exec_err!("date_bin: the origin is out of range"),
        }
    }

    /// Where the bin of the time begins; `None` when that is out of range.
    fn start(&self, time: i128) -> Option<i128> {
        match self {
            Self::Fixed { stride, origin } => Some(time - (time - origin).rem_euclid(*stride)),
            Self::Months { stride, origin } => {
                let time = time_of(time)?;
                let count = (month_of(&time) - month_of(origin)).div_euclid(*stride);
                let start = after(*origin, count.checked_mul(*stride)?)?;
                // The origin may be later in its month than the time in its own.
                let start = if start > time { after(*origin, (count - 1).checked_mul(*stride)?)? } else { start };
                let seconds = i128::from(start.timestamp()) * 1_000_000_000;
                Some(seconds + i128::from(start.timestamp_subsec_nanos()))
            }
        }
    }
}

fn time_of(nanos: i128) -> Option<DateTime<Utc>> {
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
    DateTime::from_timestamp(seconds, u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?)
}

fn month_of(time: &DateTime<Utc>) -> i64 {
    i64::from(time.year()) * 12 + i64::from(time.month0())
}

fn after(origin: DateTime<Utc>, months: i64) -> Option<DateTime<Utc>> {
    let count = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    if months < 0 { origin.checked_sub_months(count) } else { origin.checked_add_months(count) }
}

//! Functions of times, in microseconds.
//!
//! Owns: the types of `date_trunc`, `date_bin` and `to_char`, and `date_trunc` of times in all years that are stored.
//! Does not own: `date_bin` of timestamps (`bins`), `date_part` (`parts`), what else is computed, which is DataFusion's; the
//! types of other expressions (`times`).
//!
//! DataFusion 54.1 computes in nanoseconds, which end in 1677 and in 2262. `date_trunc` of a time outside of these moves it by a
//! span after which the calendar is the same again, and moves the result back.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use datafusion::arrow::datatypes::{DataType, FieldRef, IntervalUnit, TimeUnit, TimestampMicrosecondType};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::datetime;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::bins;

const DAY: i64 = 86_400_000_000;
/// After 400 years the calendar is the same again, and so are the days of the week.
const CALENDAR: i64 = 146_097 * DAY;
/// Times before and behind this one, within a year of the ends of nanoseconds, are moved.
const NEAR: i64 = i64::MAX / 1_000 - 366 * DAY;

/// The functions.
pub(in crate::query) fn functions() -> impl Iterator<Item = ScalarUDF> {
    [datetime::date_trunc(), datetime::date_bin(), datetime::to_char()].into_iter().map(|function| {
        let signature = Signature::user_defined(function.signature().volatility);
        ScalarUDF::new_from_impl(OfTimes { function, signature })
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfTimes {
    function: Arc<ScalarUDF>,
    signature: Signature,
}

impl OfTimes {
    /// Place of the time among the arguments.
    fn place(&self) -> usize {
        usize::from(self.name() != "to_char")
    }
}

impl ScalarUDFImpl for OfTimes {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let is_binned = self.name() == "date_bin";
        if types.len() != 2 && !(is_binned && types.len() == 3) {
            let wanted = if is_binned { "2 or 3 arguments" } else { "2 arguments" };
            return Err(DataFusionError::Plan(format!("{} takes {wanted}, not {}", self.name(), types.len())));
        }
        let mut coerced = types.to_vec();
        let place = self.place();
        coerced[place] = self.time(&types[place])?;
        coerced[1 - place] = if is_binned { DataType::Interval(IntervalUnit::MonthDayNano) } else { DataType::Utf8 };
        if let (Some(origin), DataType::Timestamp(_, zone)) = (types.get(2), self.time(&types[place])?) {
            let is_time = matches!(origin, DataType::Time32(_) | DataType::Time64(_));
            coerced[2] = if is_time { origin.clone() } else { origin_type(origin, zone) };
        }
        Ok(coerced)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.function.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.function.return_field_from_args(args)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.name() == "to_char" {
            check_pattern(&args.args)?;
        }
        if self.name() == "date_bin"
            && let Some(binned) = bins::binned(&args)?
        {
            return Ok(binned);
        }
        let moves = match args.args.get(1) {
            Some(time) if self.name() == "date_trunc" => moves(&time.to_array(args.number_rows)?),
            _ => None,
        };
        let Some(moves) = moves else { return self.function.invoke_with_args(args) };
        let time = args.args[1].to_array(args.number_rows)?;
        args.args[1] = ColumnarValue::Array(moved(&time, &moves, i64::checked_sub)?);
        let result = self.function.invoke_with_args(args)?.into_array(time.len())?;
        Ok(ColumnarValue::Array(moved(&result, &moves, i64::checked_add)?))
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.function.output_ordering(inputs)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }
}

/// # Errors
/// When the pattern for a time has no part of it, as those of PostgreSQL have none here.
fn check_pattern(args: &[ColumnarValue]) -> Result<()> {
    let [time, ColumnarValue::Scalar(pattern)] = args else { return Ok(()) };
    let pattern = pattern.try_as_str().flatten().unwrap_or_default();
    if pattern.is_empty() || pattern.contains('%') || matches!(time.data_type(), DataType::Duration(_)) {
        return Ok(());
    }
    Err(DataFusionError::Execution(format!(
        "the pattern '{pattern}' of to_char has no part of a time; patterns are those of strftime, as '%Y-%m-%d %H:%M:%S'"
    )))
}

impl OfTimes {
    /// The type of the time: that of the argument, unless it is coarser, or none of a time.
    fn time(&self, data_type: &DataType) -> Result<DataType> {
        Ok(match data_type {
            DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone) => {
                DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
            }
            DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_) => data_type.clone(),
            DataType::Date32 | DataType::Date64 | DataType::Duration(_) if self.place() == 0 => data_type.clone(),
            DataType::Date32 | DataType::Date64 | DataType::Null => DataType::Timestamp(TimeUnit::Microsecond, None),
            text if text.is_string() => DataType::Timestamp(TimeUnit::Microsecond, None),
            other => return Err(DataFusionError::Plan(format!("{} takes a time, not {other}", self.name()))),
        })
    }
}

/// How far each time is moved, to a year within nanoseconds in which the calendar is the same; `None` when none need be.
fn moves(times: &ArrayRef) -> Option<Vec<i64>> {
    let times = times.as_primitive_opt::<TimestampMicrosecondType>()?;
    let is_near = |time: i64| (-NEAR..=NEAR).contains(&time);
    if times.iter().flatten().all(is_near) {
        return None;
    }
    let far = |time: i64| time.checked_sub(NEAR - CALENDAR).map_or(0, |behind| behind.div_euclid(CALENDAR) * CALENDAR);
    Some(times.values().iter().map(|time| if is_near(*time) { 0 } else { far(*time) }).collect())
}

/// The type of an origin of timestamps, whose nanoseconds it keeps.
fn origin_type(origin: &DataType, zone: Option<Arc<str>>) -> DataType {
    let unit = match origin {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => TimeUnit::Nanosecond,
        _ => TimeUnit::Microsecond,
    };
    DataType::Timestamp(unit, zone)
}

/// The times, each with its move applied; nulls stay.
fn moved(times: &ArrayRef, moves: &[i64], apply: fn(i64, i64) -> Option<i64>) -> Result<ArrayRef> {
    let times: &PrimitiveArray<TimestampMicrosecondType> = times.as_primitive();
    let values = times.iter().zip(moves).map(|(time, by)| match time {
        Some(time) => match apply(time, *by) {
            Some(moved) => Ok(Some(moved)),
            None => Err(DataFusionError::Execution("a time is out of range".to_owned())),
        },
        None => Ok(None),
    });
    let moved = values.collect::<Result<PrimitiveArray<TimestampMicrosecondType>>>()?;
    Ok(Arc::new(moved.with_data_type(times.data_type().clone())))
}

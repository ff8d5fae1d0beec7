//! Times of day and intervals.
//!
//! Owns: a time of day plus or minus an interval, which is a time of day, as in PostgreSQL: months and days change nothing, and
//! behind midnight it begins anew.
//! Does not own: where sums are planned (`operators`).
//!
//! Why it is needed: DataFusion 54.1 makes an interval of it, of 25 hours for `TIME '23:00:00' + INTERVAL '2 hours'`.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::compute::kernels::arity::try_binary;
use datafusion::arrow::datatypes::{
    DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, Time64NanosecondType, TimeUnit,
};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

const DAY_NANOS: i64 = 86_400_000_000_000;

/// The time of day that a sum, or with `is_back` a difference, is; `None` where it is none.
pub(in crate::query) fn moved(left: &Expr, right: &Expr, is_back: bool, schema: &DFSchema) -> Option<Expr> {
    let is_time = |data_type: &DataType| matches!(data_type, DataType::Time32(_) | DataType::Time64(_));
    // That on the right of a long chain is known at once.
    let (time, interval) = match right.get_type(schema).ok()? {
        DataType::Interval(_) if is_time(&left.get_type(schema).ok()?) => (left, right),
        time if is_time(&time) && !is_back && matches!(left.get_type(schema), Ok(DataType::Interval(_))) => {
            (right, left)
        }
        _ => return None,
    };
    let function = ScalarUDF::new_from_impl(Moved { is_back, signature: Signature::any(2, Volatility::Immutable) });
    let operands = vec![time.clone(), interval.clone()];
    Some(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), operands)))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Moved {
    is_back: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Moved {
    fn name(&self) -> &'static str {
        if self.is_back { "time_minus" } else { "time_plus" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, operands: &[DataType]) -> Result<DataType> {
        Ok(operands[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = args.args.iter().all(|operand| matches!(operand, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let (times, intervals) = (args.args[0].to_array(rows)?, args.args[1].to_array(rows)?);
        let nanos = cast(&times, &DataType::Time64(TimeUnit::Nanosecond))?;
        let intervals = cast(&intervals, &DataType::Interval(IntervalUnit::MonthDayNano))?;
        let moved = |time: i64, interval: IntervalMonthDayNano| {
            let by = interval.nanoseconds % DAY_NANOS;
            Ok((if self.is_back { time - by } else { time + by }).rem_euclid(DAY_NANOS))
        };
        let moved = try_binary::<_, _, _, Time64NanosecondType>(
            nanos.as_primitive::<Time64NanosecondType>(),
            intervals.as_primitive::<IntervalMonthDayNanoType>(),
            moved,
        )?;
        let moved = cast(&moved, times.data_type())?;
        match is_scalar {
            true => ScalarValue::try_from_array(&moved, 0).map(ColumnarValue::Scalar),
            false => Ok(ColumnarValue::Array(moved)),
        }
    }
}

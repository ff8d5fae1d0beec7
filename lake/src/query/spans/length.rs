//! The length of a span of time.
//!
//! Owns: the number of nanoseconds of a difference of times or of an interval, with a day of 24 hours and a month of 30 days.
//! Does not own: what is compared by it (`spans`).

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
    TimeUnit,
};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

const DAY_NANOS: i128 = 86_400_000_000_000;

/// The length of an expression that is a duration or an interval of months, days and nanoseconds.
pub(super) fn length(span: Expr) -> Expr {
    let function = ScalarUDF::new_from_impl(Length { signature: Signature::any(1, Volatility::Immutable) });
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![span]))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Length {
    signature: Signature,
}

impl ScalarUDFImpl for Length {
    fn name(&self) -> &'static str {
        "length_of_interval"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(match &args.args[0] {
            ColumnarValue::Array(spans) => ColumnarValue::Array(lengths(spans)?),
            ColumnarValue::Scalar(span) => {
                ColumnarValue::Scalar(ScalarValue::try_from_array(&lengths(&span.to_array()?)?, 0)?)
            }
        })
    }
}

fn lengths(spans: &ArrayRef) -> Result<ArrayRef> {
    let lengths: Decimal128Array = match spans.data_type() {
        DataType::Duration(unit) => {
            let nanos: i128 = match unit {
                TimeUnit::Second => 1_000_000_000,
                TimeUnit::Millisecond => 1_000_000,
                TimeUnit::Microsecond => 1_000,
                TimeUnit::Nanosecond => 1,
            };
            let counts = cast(spans, &DataType::Int64)?;
            counts.as_primitive::<Int64Type>().unary(|count| i128::from(count) * nanos)
        }
        _ => {
            let intervals = cast(spans, &DataType::Interval(IntervalUnit::MonthDayNano))?;
            intervals.as_primitive::<IntervalMonthDayNanoType>().unary(of_interval)
        }
    };
    Ok(Arc::new(lengths.with_precision_and_scale(DECIMAL128_MAX_PRECISION, 0)?))
}

fn of_interval(interval: IntervalMonthDayNano) -> i128 {
    let days = i128::from(interval.months) * 30 + i128::from(interval.days);
    days * DAY_NANOS + i128::from(interval.nanoseconds)
}

//! Parts of spans of time, as `extract` and `date_part` take them.
//!
//! Owns: parts of differences of times and of intervals, which are those of PostgreSQL: the seconds of a minute, the minutes of
//! an hour, and in `epoch` all of them, a year as 365.25 days and a month as 30.
//! Does not own: parts of times and dates, and which parts there are (DataFusion).
//!
//! Why it is needed, for DataFusion 54.1. It takes all nanoseconds of a span as a number of 32 bits: what is longer than two
//! seconds has no fraction, what is longer than 68 years is null, and its milliseconds wrap around.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int32Array, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::compute::kernels::cast_utils::IntervalUnit as Part;
use datafusion::arrow::datatypes::{
    DataType, FieldRef, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::functions::datetime;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// The function.
pub(in crate::query) fn date_part() -> ScalarUDF {
    ScalarUDF::new_from_impl(DatePart { function: datetime::date_part() })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DatePart {
    function: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for DatePart {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.function.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.function.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ColumnarValue::Scalar(part), value] = args.args.as_slice() else {
            return self.function.invoke_with_args(args);
        };
        let part = part.try_as_str().flatten().and_then(part_of);
        let (Some(part), true) = (part, is_span(&value.data_type())) else {
            return self.function.invoke_with_args(args);
        };
        match value {
            ColumnarValue::Array(spans) => Ok(ColumnarValue::Array(parts(spans, part)?)),
            ColumnarValue::Scalar(span) => {
                ScalarValue::try_from_array(&parts(&span.to_array()?, part)?, 0).map(ColumnarValue::Scalar)
            }
        }
    }

    fn preimage(&self, args: &[Expr], value: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        self.function.preimage(args, value, info)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.function.output_ordering(inputs)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }
}

fn is_span(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Duration(_) | DataType::Interval(IntervalUnit::MonthDayNano))
}

/// A part of a span: a whole number, or all of it in seconds.
#[derive(Clone, Copy)]
enum SpanPart {
    Whole(Part),
    Epoch,
}

/// The part of this name; `None` for one that spans have not.
fn part_of(name: &str) -> Option<SpanPart> {
    let name = name.trim_matches(['\'', '"']);
    if name.eq_ignore_ascii_case("epoch") {
        return Some(SpanPart::Epoch);
    }
    let part: Part = name.parse().ok()?;
    let has =
        matches!(part, Part::Year | Part::Month | Part::Week | Part::Day | Part::Hour | Part::Minute | Part::Second)
            || matches!(part, Part::Millisecond | Part::Microsecond | Part::Nanosecond);
    has.then_some(SpanPart::Whole(part))
}

fn parts(spans: &ArrayRef, part: SpanPart) -> Result<ArrayRef> {
    let spans = read(spans)?;
    let spans = spans.iter().copied();
    Ok(match part {
        SpanPart::Epoch => Arc::new(spans.map(|span| span.map(Span::epoch)).collect::<Float64Array>()),
        SpanPart::Whole(part @ Part::Nanosecond) => {
            Arc::new(spans.map(|span| span.map(|span| span.part(part))).collect::<Int64Array>())
        }
        SpanPart::Whole(part) => {
            let whole = spans.map(|span| span.and_then(|span| i32::try_from(span.part(part)).ok()));
            Arc::new(whole.collect::<Int32Array>())
        }
    })
}

/// A span of time, each member of which has its own sign.
#[derive(Clone, Copy)]
struct Span {
    months: i64,
    days: i64,
    /// Seconds beside the days.
    seconds: i64,
    /// Nanoseconds beside the seconds.
    nanos: i64,
}

impl Span {
    fn part(self, part: Part) -> i64 {
        let of_minute = self.seconds % 60;
        match part {
            Part::Year => self.months / 12,
            Part::Month => self.months % 12,
            Part::Week => self.days / 7,
            Part::Day => self.days,
            Part::Hour => self.seconds / 3_600,
            Part::Minute => self.seconds / 60 % 60,
            Part::Millisecond => of_minute * 1_000 + self.nanos / 1_000_000,
            Part::Microsecond => of_minute * 1_000_000 + self.nanos / 1_000,
            Part::Nanosecond => of_minute * 1_000_000_000 + self.nanos,
            _ => of_minute,
        }
    }

    fn epoch(self) -> f64 {
        // A year of 365.25 days has a whole number of hours.
        let hours = self.months / 12 * 8_766 + (self.months % 12 * 30 + self.days) * 24;
        let nanos = (i128::from(hours) * 3_600 + i128::from(self.seconds)) * 1_000_000_000 + i128::from(self.nanos);
        // Both numbers are exact in a double as far as they can be, and their quotient is the nearest one.
        let (count, of_second) = if nanos % 1_000 == 0 { (nanos / 1_000, 1e6) } else { (nanos, 1e9) };
        #[expect(clippy::cast_precision_loss, reason = "the nearest double is meant")]
        let count = count as f64;
        count / of_second
    }
}

/// The spans, which are differences of times or intervals.
fn read(spans: &ArrayRef) -> Result<Vec<Option<Span>>> {
    let DataType::Duration(unit) = spans.data_type() else {
        let of = |interval: IntervalMonthDayNano| Span {
            months: i64::from(interval.months),
            days: i64::from(interval.days),
            seconds: interval.nanoseconds / 1_000_000_000,
            nanos: interval.nanoseconds % 1_000_000_000,
        };
        return Ok(spans.as_primitive::<IntervalMonthDayNanoType>().iter().map(|interval| interval.map(of)).collect());
    };
    let of_second: i64 = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    let of = |count: i64| Span {
        months: 0,
        days: count / of_second / 86_400,
        seconds: count / of_second % 86_400,
        nanos: count % of_second * (1_000_000_000 / of_second),
    };
    Ok(cast(spans, &DataType::Int64)?.as_primitive::<Int64Type>().iter().map(|count| count.map(of)).collect())
}

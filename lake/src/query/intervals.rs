//! Texts that become intervals.
//!
//! Owns: that a number without a unit is seconds, in a cast as in a literal, and the forms `01:30:00`, `1 day 01:30` and `1 day ago`.
//! Does not own: the words for units (Arrow), literals in these words (DataFusion), comparing intervals (`spans`).
//!
//! Why it is needed, for DataFusion 54.1: its cast takes a number without a unit for months, its literal for seconds.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, IntervalMonthDayNanoArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::compute::kernels::cast_utils::{
    IntervalParseConfig, IntervalUnit as Unit, parse_interval_month_day_nano_config,
};
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit};
use datafusion::common::{ScalarValue, exec_datafusion_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, CastKind, Value, VisitorMut};

use super::names::visit;

/// Makes casts of the statement's literals in forms that DataFusion does not know.
pub(super) fn as_casts(statement: &mut Statement) {
    let _ = visit(statement, &mut AsCasts);
}

struct AsCasts;

impl VisitorMut for AsCasts {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        if let ast::Expr::Interval(ast::Interval { value, leading_field: None, .. }) = expr
            && let ast::Expr::Value(literal) = value.as_ref()
            && let Value::SingleQuotedString(text) = &literal.value
            && in_units(text).is_some_and(|(units, is_ago)| is_ago || units != words(text).join(" "))
        {
            *expr = ast::Expr::Cast {
                kind: CastKind::Cast,
                expr: value.clone(),
                data_type: ast::DataType::Interval { fields: None, precision: None },
                array: false,
                format: None,
            };
        }
        ControlFlow::Continue(())
    }
}

/// The interval that a text is.
///
/// # Errors
/// When it is none.
pub(super) fn parsed(text: &str) -> Result<IntervalMonthDayNano> {
    let (units, is_ago) = in_units(text).unwrap_or_else(|| (text.to_owned(), false));
    let seconds = IntervalParseConfig::new(Unit::Second);
    let interval = parse_interval_month_day_nano_config(&units, seconds).map_err(|_| {
        exec_datafusion_err!("the text {text:?} is no interval; write one as '1 day 2 hours', or '1 day 02:00:00'")
    })?;
    if !is_ago {
        return Ok(interval);
    }
    let negated = (interval.months.checked_neg(), interval.days.checked_neg(), interval.nanoseconds.checked_neg());
    match negated {
        (Some(months), Some(days), Some(nanoseconds)) => Ok(IntervalMonthDayNano { months, days, nanoseconds }),
        _ => Err(exec_datafusion_err!("the interval {text:?} is out of range")),
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// The text with words for the units of a time of day, and true when it ends with `ago`; `None` for what is no time of day.
fn in_units(text: &str) -> Option<(String, bool)> {
    let mut words = words(text);
    let is_ago = words.len() > 1 && words.last().is_some_and(|word| word.eq_ignore_ascii_case("ago"));
    if is_ago {
        words.pop();
    }
    let words = words.into_iter().map(|word| match word.contains(':') {
        true => time_in_units(word),
        false => Some(word.to_owned()),
    });
    Some((words.collect::<Option<Vec<_>>>()?.join(" "), is_ago))
}

/// `-1:30:05` in words.
fn time_in_units(time: &str) -> Option<String> {
    let (sign, unsigned) = match time.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", time.strip_prefix('+').unwrap_or(time)),
    };
    let parts: Vec<&str> = unsigned.split(':').collect();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_below_60 = |part: &str| is_number(part) && part.parse::<u8>().is_ok_and(|number| number < 60);
    let (hours, minutes, seconds) = match parts.as_slice() {
        [hours, minutes] => (hours, minutes, "0"),
        [hours, minutes, seconds] => (hours, minutes, *seconds),
        _ => return None,
    };
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    if !is_number(hours) || !is_below_60(minutes) || !is_below_60(whole) || !is_number(fraction) {
        return None;
    }
    Some(format!("{sign}{hours} hours {sign}{minutes} minutes {sign}{seconds} seconds"))
}

/// The cast of a text to an interval of months, days and nanoseconds; with `is_try`, what is none is null.
pub(super) fn of_text(text: Expr, is_try: bool) -> Expr {
    let function = IntervalOfText { is_try, signature: Signature::any(1, Volatility::Immutable) };
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::new_from_impl(function)), vec![text]))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct IntervalOfText {
    is_try: bool,
    signature: Signature,
}

impl ScalarUDFImpl for IntervalOfText {
    fn name(&self) -> &'static str {
        "interval_of_text"
    }

    fn schema_name(&self, operands: &[Expr]) -> Result<String> {
        Ok(operands[0].schema_name().to_string())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Interval(IntervalUnit::MonthDayNano))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(match &args.args[0] {
            ColumnarValue::Array(texts) => ColumnarValue::Array(self.of_array(texts)?),
            ColumnarValue::Scalar(text) => {
                ColumnarValue::Scalar(ScalarValue::try_from_array(&self.of_array(&text.to_array()?)?, 0)?)
            }
        })
    }
}

impl IntervalOfText {
    fn of_array(&self, texts: &ArrayRef) -> Result<ArrayRef> {
        let texts = cast(texts, &DataType::Utf8)?;
        let interval = |text: Option<&str>| match text.map(parsed) {
            Some(Err(_)) if self.is_try => Ok(None),
            other => other.transpose(),
        };
        let intervals = texts.as_string::<i32>().iter().map(interval);
        Ok(Arc::new(intervals.collect::<Result<IntervalMonthDayNanoArray>>()?))
    }
}

//! Operands of casts that Arrow would take for something else, or refuse without a word of help.
//!
//! Owns: texts without a digit, which are no decimals; local times that a zone has not, or has twice; that a time in a zone becomes the
//! local time there; and that texts become intervals by our words.
//! Does not own: where these are looked for (`checked`), the casts themselves (Arrow); words of intervals (`intervals`).

use std::sync::Arc;

use chrono::{LocalResult, TimeZone};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use datafusion::arrow::compute::{cast, nullif};
use datafusion::arrow::datatypes::{DataType, FieldRef, TimeUnit, TimestampMicrosecondType};
use datafusion::arrow::temporal_conversions::timestamp_us_to_datetime;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::datetime::to_local_time;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::query::intervals;

/// What a cast from `source` to `made` is to cast, and true where that is not the operand itself; with `is_try`, what is refused
/// is null.
pub(super) fn meant(operand: Expr, source: &DataType, made: &DataType, is_try: bool) -> (Expr, bool) {
    match (source, made) {
        (text, DataType::Interval(_)) if text.is_string() => (intervals::of_text(operand, is_try), true),
        // Arrow's cast drops the zone, and keeps the time in UTC.
        (DataType::Timestamp(_, Some(zone)), DataType::Timestamp(_, None)) if !is_utc(zone) => {
            (Expr::ScalarFunction(ScalarFunction::new_udf(to_local_time(), vec![operand])), true)
        }
        _ => match operand_check(source, made, is_try) {
            Some(check) => (check.of(operand), true),
            None => (operand, false),
        },
    }
}

/// The check that a cast needs of its operand.
fn operand_check(source: &DataType, made: &DataType, is_try: bool) -> Option<Check> {
    match (source, made) {
        (text, decimal) if text.is_string() && decimal.is_decimal() => Some(Check::Digits { is_try }),
        (DataType::Timestamp(_, None), DataType::Timestamp(_, Some(zone))) if !is_utc(zone) && !is_try => {
            Some(Check::LocalTime { zone: Arc::clone(zone) })
        }
        _ => None,
    }
}

/// True for the zone in which every time is there once.
pub(super) fn is_utc(zone: &str) -> bool {
    zone == "UTC" || zone == "+00:00"
}

/// What is checked of an operand.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Check {
    /// A text has a digit.
    Digits { is_try: bool },
    /// The zone has the local time once.
    LocalTime { zone: Arc<str> },
}

impl Check {
    /// The operand, checked.
    fn of(self, operand: Expr) -> Expr {
        let signature = Signature::any(1, Volatility::Immutable);
        let function = ScalarUDF::new_from_impl(Operand { check: self, signature });
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![operand]))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Operand {
    check: Check,
    signature: Signature,
}

impl ScalarUDFImpl for Operand {
    fn name(&self) -> &str {
        match self.check {
            Check::Digits { .. } => "text_of_number",
            Check::LocalTime { .. } => "time_of_zone",
        }
    }

    fn schema_name(&self, operands: &[Expr]) -> Result<String> {
        Ok(operands[0].schema_name().to_string())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, operands: &[DataType]) -> Result<DataType> {
        Ok(operands[0].clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let is_nullable = args.arg_fields[0].is_nullable() || self.check == Check::Digits { is_try: true };
        Ok(Arc::new(args.arg_fields[0].as_ref().clone().with_nullable(is_nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let checked = |array: &ArrayRef| match &self.check {
            Check::Digits { is_try } => with_digits(array, *is_try),
            Check::LocalTime { zone } => in_zone(array, zone),
        };
        Ok(match &args.args[0] {
            ColumnarValue::Array(array) => ColumnarValue::Array(checked(array)?),
            ColumnarValue::Scalar(scalar) => {
                ColumnarValue::Scalar(ScalarValue::try_from_array(&checked(&scalar.to_array()?)?, 0)?)
            }
        })
    }
}

/// The texts, which all have a digit; with `is_try` the others are null.
fn with_digits(texts: &ArrayRef, is_try: bool) -> Result<ArrayRef> {
    let read = cast(texts, &DataType::Utf8)?;
    let read = read.as_string::<i32>();
    let is_empty = |text: &str| !text.bytes().any(|byte| byte.is_ascii_digit());
    match read.iter().flatten().find(|text| is_empty(text)) {
        None => Ok(Arc::clone(texts)),
        Some(text) if !is_try => Err(DataFusionError::Execution(format!(
            "cannot cast the text {text:?} to a decimal; TRY_CAST gives NULL instead"
        ))),
        Some(_) => {
            let empty: BooleanArray = read.iter().map(|text| text.map(is_empty)).collect();
            Ok(nullif(texts, &empty)?)
        }
    }
}

/// The local times, each of which the zone has once.
fn in_zone(times: &ArrayRef, zone: &str) -> Result<ArrayRef> {
    let tz: Tz = zone.parse()?;
    let read = cast(times, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
    let read: &PrimitiveArray<TimestampMicrosecondType> = read.as_primitive();
    for time in read.iter().flatten() {
        let Some(local) = timestamp_us_to_datetime(time) else { continue };
        let how_often = match tz.offset_from_local_datetime(&local) {
            LocalResult::Single(_) => continue,
            LocalResult::None => "does not exist in",
            LocalResult::Ambiguous(..) => "is there twice in",
        };
        return Err(DataFusionError::Execution(format!(
            "the local time {local} {how_often} {zone}; write the time with its offset, as in TIMESTAMPTZ '{local}+01:00'"
        )));
    }
    Ok(Arc::clone(times))
}

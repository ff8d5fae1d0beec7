//! Values of parameters, as doors receive them, in the types that a statement wants.
//!
//! Owns: the values of JSON. Does not own: the cast (`lake::query`), the encodings of the protocols.

use arrow_schema::DataType;
use datafusion::scalar::ScalarValue;
use lake::query::plain_number;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::QueryFailure;
use crate::executor::Planned;

/// The values of JSON in the types of the parameters of `planned`.
///
/// # Errors
/// A value does not fit, or has members or elements.
pub(crate) fn from_json(planned: &Planned, values: &[Box<RawValue>]) -> Result<Vec<ScalarValue>, QueryFailure> {
    let types = planned.parameters()?;
    let value = |(index, value): (usize, &RawValue)| {
        let wanted = types.get(index).and_then(Option::as_ref);
        let read = serde_json::from_str(value.get());
        let read = read.map_err(|error| QueryFailure::invalid(format!("parameter ${}: {error}", index + 1)))?;
        let scalar = match read {
            Value::Null => ScalarValue::Null,
            Value::Bool(value) => ScalarValue::Boolean(Some(value)),
            Value::String(text) => ScalarValue::Utf8(Some(text)),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(whole), _) => ScalarValue::Int64(Some(whole)),
                (None, Some(whole)) => ScalarValue::UInt64(Some(whole)),
                (None, None) => fraction(value.get(), number.as_f64(), wanted),
            },
            Value::Array(_) | Value::Object(_) => {
                let text = format!("parameter ${}: allowed are null, booleans, numbers and text", index + 1);
                return Err(QueryFailure::invalid(text));
            }
        };
        fitted(scalar, wanted, index + 1)
    };
    values.iter().map(AsRef::as_ref).enumerate().map(value).collect()
}

/// A number that is no whole one of 64 bits: with all its digits where the wanted type may have them.
fn fraction(text: &str, rounded: Option<f64>, wanted: Option<&DataType>) -> ScalarValue {
    let is_exact = wanted.is_some_and(|wanted| wanted.is_integer() || wanted.is_decimal());
    match plain_number(text).filter(|_| is_exact) {
        Some(plain) => ScalarValue::Utf8(Some(plain)),
        None => ScalarValue::Float64(rounded),
    }
}

/// The value of parameter `$number` in the type that the statement wants, if one is known.
///
/// # Errors
/// It has no such value.
pub(crate) fn fitted(
    value: ScalarValue,
    wanted: Option<&DataType>,
    number: usize,
) -> Result<ScalarValue, QueryFailure> {
    let fitted = lake::query::fitted(value, wanted, &format!("parameter ${number}"));
    fitted.map_err(|error| QueryFailure::invalid(error.to_string()))
}

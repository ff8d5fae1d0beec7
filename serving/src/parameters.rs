//! Values of parameters, as doors receive them, in the types that a statement wants.
//!
//! Owns: the values of JSON. Does not own: the cast (`lake::query`), the encodings of the protocols.

use arrow_schema::DataType;
use datafusion::scalar::ScalarValue;
use serde_json::Value;

use crate::error::QueryFailure;
use crate::executor::Planned;

/// The values of JSON in the types of the parameters of `planned`.
///
/// # Errors
/// A value does not fit, or has members or elements.
pub(crate) fn from_json(planned: &Planned, values: &[Value]) -> Result<Vec<ScalarValue>, QueryFailure> {
    let types = planned.parameters()?;
    let value = |(index, value): (usize, &Value)| {
        let scalar = match value {
            Value::Null => ScalarValue::Null,
            Value::Bool(value) => ScalarValue::Boolean(Some(*value)),
            Value::String(text) => ScalarValue::Utf8(Some(text.clone())),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(whole), _) => ScalarValue::Int64(Some(whole)),
                (None, Some(whole)) => ScalarValue::UInt64(Some(whole)),
                (None, None) => ScalarValue::Float64(number.as_f64()),
            },
            Value::Array(_) | Value::Object(_) => {
                let text = format!("parameter ${}: allowed are null, booleans, numbers and text", index + 1);
                return Err(QueryFailure::invalid(text));
            }
        };
        fitted(scalar, types.get(index).and_then(Option::as_ref), index + 1)
    };
    values.iter().enumerate().map(value).collect()
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

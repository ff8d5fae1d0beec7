//! Values for the placeholders of a statement.
//!
//! Owns: the type of each value, and the errors that name a placeholder. Does not own: placeholders in plans (DataFusion).

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::logical_expr::LogicalPlan;

use super::QueryError;

/// Values for the placeholders `$1`, `$2` or `$name` of a statement: each is a text, or NULL if it is `None`, by the
/// placeholder's name without `$`.
///
/// A text is read as a value of the type that the placeholder has in its place, for example that of the column it is compared
/// with. Where its place has no type, a whole number is a BIGINT and everything else is text.
pub type Parameters = BTreeMap<String, Option<String>>;

/// The plan with these values in the place of all its placeholders.
pub(super) fn filled(plan: LogicalPlan, values: &Parameters) -> Result<LogicalPlan, QueryError> {
    let types: BTreeMap<String, Option<DataType>> = plan.get_parameter_types()?.into_iter().collect();
    let name = |placeholder: &str| placeholder.trim_start_matches('$').to_owned();
    if let Some(unknown) = values.keys().find(|value| !types.keys().any(|placeholder| name(placeholder) == **value)) {
        let known: Vec<&str> = types.keys().map(String::as_str).collect();
        let known = match known.is_empty() {
            true => "it has none".to_owned(),
            false => format!("it has {}", known.join(", ")),
        };
        return Err(QueryError::Parameter(format!("the statement has no placeholder ${unknown}; {known}")));
    }
    let mut filled = Vec::with_capacity(types.len());
    for (placeholder, data_type) in &types {
        let name = name(placeholder);
        let Some(text) = values.get(&name) else {
            return Err(QueryError::Parameter(format!("the placeholder {placeholder} has no value")));
        };
        filled.push((name, scalar(placeholder, text, data_type.as_ref())?));
    }
    if filled.is_empty() {
        return Ok(plan);
    }
    Ok(plan.with_param_values(ParamValues::from(filled))?)
}

fn scalar(placeholder: &str, text: &Option<String>, data_type: Option<&DataType>) -> Result<ScalarValue, QueryError> {
    let value = match text {
        None => ScalarValue::Null,
        Some(text) => match text.parse::<i64>() {
            Ok(number) if data_type.is_none() && number.to_string() == *text => ScalarValue::from(number),
            _ => ScalarValue::from(text.as_str()),
        },
    };
    fitted(value, data_type, placeholder)
}

/// The value of a placeholder in the type of its place, if one is known.
///
/// # Errors
/// [`QueryError::Parameter`] when it is no value of that type.
pub fn fitted(value: ScalarValue, wanted: Option<&DataType>, placeholder: &str) -> Result<ScalarValue, QueryError> {
    let Some(wanted) = wanted.filter(|wanted| **wanted != value.data_type()) else { return Ok(value) };
    value.cast_to(wanted).map_err(|_| {
        let shown = value.try_as_str().flatten().map_or_else(|| value.to_string(), |text| format!("{text:?}"));
        QueryError::Parameter(format!("the value {shown} of {placeholder} is not a value of its type, {wanted}"))
    })
}

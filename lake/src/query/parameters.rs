//! Values for the placeholders of a statement.
//!
//! Owns: the type of each value, and the errors that name a placeholder. Does not own: placeholders in plans (DataFusion).

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::logical_expr::LogicalPlan;

use super::QueryError;

/// Values for the placeholders `$1`, `$2` or `$name` of a statement: each is a text by the placeholder's name without `$`.
///
/// A text is read as a value of the type that the placeholder has in its place, for example that of the column it is compared
/// with. Where its place has no type, a whole number is a BIGINT and everything else is text.
pub type Parameters = BTreeMap<String, String>;

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

fn scalar(placeholder: &str, text: &str, data_type: Option<&DataType>) -> Result<ScalarValue, QueryError> {
    let Some(data_type) = data_type else {
        let whole = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
        return Ok(whole.map_or_else(|| ScalarValue::from(text), ScalarValue::from));
    };
    ScalarValue::try_from_string(text.to_owned(), data_type).map_err(|_| {
        QueryError::Parameter(format!("the value {text:?} of {placeholder} is not a value of its type, {data_type}"))
    })
}

//! Values for the placeholders of a statement.
//!
//! Owns: the type of each value, and the errors that name a placeholder. Does not own: placeholders in plans
//! (DataFusion), comparing a value with what a type makes of it (`same`).

mod casts;
mod same;

use std::collections::BTreeMap;

use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::logical_expr::LogicalPlan;

use super::{QueryError, intervals};
pub use casts::parameter_types;
pub use same::plain_number;

/// Values for the placeholders `$1`, `$2` or `$name` of a statement: each is a text, or NULL if it is `None`, by the
/// placeholder's name without `$`.
///
/// A text is read as a value of the type that the placeholder has in its place, for example that of the column it is compared
/// with. Where its place has no type, a whole number is a BIGINT and everything else is text.
pub type Parameters = BTreeMap<String, Option<String>>;

/// The plan with these values in the place of all its placeholders.
pub(super) fn filled(plan: LogicalPlan, values: &Parameters) -> Result<LogicalPlan, QueryError> {
    let types: BTreeMap<String, Option<DataType>> = parameter_types(&plan)?.into_iter().collect();
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
/// [`QueryError::Parameter`] when it is no value of that type, or would become another value. A fraction may be rounded to
/// one that a floating-point type has.
pub fn fitted(value: ScalarValue, wanted: Option<&DataType>, placeholder: &str) -> Result<ScalarValue, QueryError> {
    let Some(wanted) = wanted.filter(|wanted| **wanted != value.data_type()) else { return Ok(value) };
    if let (DataType::List(element), false) = (wanted, value.is_null()) {
        return fitted_list(&value, element.data_type(), placeholder);
    }
    let shown = || value.try_as_str().flatten().map_or_else(|| value.to_string(), |text| format!("{text:?}"));
    if is_time(wanted) && value.data_type().is_numeric() && !value.is_null() {
        return Err(QueryError::Parameter(format!(
            "the value {} of {placeholder} is a number, and its type is {wanted}; write a time as text, or to_timestamp({placeholder})",
            shown()
        )));
    }
    let cast = match (value.try_as_str().flatten(), wanted) {
        (Some(text), DataType::Interval(_)) => {
            intervals::parsed(text).and_then(|parsed| ScalarValue::IntervalMonthDayNano(Some(parsed)).cast_to(wanted))
        }
        _ => value.cast_to(wanted),
    };
    let cast = cast.map_err(|_| {
        QueryError::Parameter(format!("the value {} of {placeholder} is not a value of its type, {wanted}", shown()))
    })?;
    if same::is_same(&value, &cast) {
        return Ok(cast);
    }
    Err(QueryError::Parameter(format!(
        "the value {} of {placeholder} is not a value of its type, {wanted}, in which it would become {}",
        shown(),
        same::shown(&cast)
    )))
}

fn is_time(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_)
    )
}

/// A list, each of whose elements is fitted: a cast would also make one of a single value.
fn fitted_list(value: &ScalarValue, wanted: &DataType, placeholder: &str) -> Result<ScalarValue, QueryError> {
    let ScalarValue::List(list) = value else {
        return Err(QueryError::Parameter(format!("the value of {placeholder} is no list of {wanted}")));
    };
    let elements = list.value(0);
    let fit = |index| fitted(ScalarValue::try_from_array(&elements, index)?, Some(wanted), placeholder);
    let elements = (0..elements.len()).map(fit).collect::<Result<Vec<_>, _>>()?;
    Ok(ScalarValue::List(ScalarValue::new_list_nullable(&elements, wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_elements_of_a_list_are_fitted_like_single_values() {
        let list = |values: &[ScalarValue]| {
            let data_type = values.first().map_or(DataType::Null, ScalarValue::data_type);
            ScalarValue::List(ScalarValue::new_list_nullable(values, &data_type))
        };
        let numbers = list(&[ScalarValue::Int64(Some(1)), ScalarValue::Int64(None)]);
        let wanted = numbers.data_type();
        for given in [numbers.clone(), list(&[ScalarValue::from("1"), ScalarValue::Utf8(None)])] {
            assert_eq!(fitted(given, Some(&wanted), "$1").expect("it fits"), numbers);
        }
        assert_eq!(fitted(list(&[]), Some(&wanted), "$1").expect("it fits").data_type(), wanted);
        assert!(fitted(ScalarValue::Null, Some(&wanted), "$1").expect("it fits").is_null());
        for other in [ScalarValue::from(1_i64), ScalarValue::from("1"), list(&[ScalarValue::from(1.5)])] {
            let refused = fitted(other, Some(&wanted), "$1").expect_err("no such list").to_string();
            assert!(refused.contains("$1"), "{refused}");
        }
    }
}

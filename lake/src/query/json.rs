//! Functions that look into JSON text: into `_extra` and columns of type `json`.
//!
//! Owns: `json_get` and its kin, and what the operators `->` and `->>` do. Where there is nothing at a path, or nothing of
//! the wanted type, the result is null. A member that occurs twice has its last value.
//! Does not own: finding the part of a text (`json::path`), and the operators' place in SQL (`operators`).

pub(super) mod binding;
mod path;

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray, UInt64Array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use path::Step;

/// What a function gives of the JSON value at its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wanted {
    /// The value as JSON text.
    Json,
    /// A string's contents; any other value as JSON text.
    Text,
    /// A string's contents.
    Str,
    /// An integer.
    Int,
    /// A number.
    Float,
    /// True or false.
    Bool,
    /// The number of elements or members.
    Length,
    /// True when there is a value.
    Contains,
}

const NAMES: [(Wanted, &str); 8] = [
    (Wanted::Json, "json_get"),
    (Wanted::Text, "json_get_text"),
    (Wanted::Str, "json_get_str"),
    (Wanted::Int, "json_get_int"),
    (Wanted::Float, "json_get_float"),
    (Wanted::Bool, "json_get_bool"),
    (Wanted::Length, "json_length"),
    (Wanted::Contains, "json_contains"),
];

/// The functions.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    NAMES.iter().map(|(wanted, name)| function(*wanted, name, None))
}

/// The function behind `->`, which gives JSON, or `->>`, which gives text.
pub(super) fn operator(gives_text: bool) -> Arc<ScalarUDF> {
    match gives_text {
        true => function(Wanted::Text, "json_get_text", Some("->>")),
        false => function(Wanted::Json, "json_get", Some("->")),
    }
}

fn function(wanted: Wanted, name: &'static str, operator: Option<&'static str>) -> Arc<ScalarUDF> {
    let signature = Signature::variadic_any(Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(JsonFunction { wanted, name, operator, signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonFunction {
    wanted: Wanted,
    name: &'static str,
    /// The operator it is shown as.
    operator: Option<&'static str>,
    signature: Signature,
}

impl ScalarUDFImpl for JsonFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names: Vec<String> = args.iter().map(shown).collect();
        Ok(match self.operator {
            Some(operator) => names.join(&format!(" {operator} ")),
            None => format!("{}({})", self.name, names.join(",")),
        })
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let is_text = |data_type: &DataType| data_type.is_string() || data_type.is_null();
        if !types.first().is_some_and(is_text) {
            let found = types.first().map_or("nothing".to_owned(), ToString::to_string);
            return Err(DataFusionError::Plan(format!("{} looks into JSON text, not into {found}", self.name)));
        }
        if let Some(other) = types[1..].iter().find(|step| !is_text(step) && !step.is_integer()) {
            let text = format!("{} takes names of members and numbers of elements, not {other}", self.name);
            return Err(DataFusionError::Plan(text));
        }
        Ok(match self.wanted {
            Wanted::Json | Wanted::Text | Wanted::Str => DataType::Utf8,
            Wanted::Int => DataType::Int64,
            Wanted::Float => DataType::Float64,
            Wanted::Bool | Wanted::Contains => DataType::Boolean,
            Wanted::Length => DataType::UInt64,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let texts = cast(&arrays[0], &DataType::Utf8)?;
        let texts = texts.as_string::<i32>();
        let steps = arrays[1..].iter().map(Steps::of).collect::<Result<Vec<_>>>()?;
        let values = (0..texts.len()).map(|row| {
            let text = texts.is_valid(row).then(|| texts.value(row))?;
            steps.iter().try_fold(text, |text, steps| path::at(text, steps.get(row)?))
        });
        let result = self.wanted.array(values, texts);
        Ok(match is_scalar {
            true => ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&result, 0)?),
            false => ColumnarValue::Array(result),
        })
    }
}

/// An argument as it was typed, more or less.
fn shown(arg: &Expr) -> String {
    match arg {
        Expr::Literal(value, _) => match value.try_as_str() {
            Some(Some(text)) => format!("'{text}'"),
            _ => value.to_string(),
        },
        Expr::Column(column) => column.name.clone(),
        other => other.schema_name().to_string(),
    }
}

/// One step of the paths of all rows.
enum Steps {
    Members(StringArray),
    Elements(Int64Array),
}

impl Steps {
    fn of(array: &ArrayRef) -> Result<Self> {
        Ok(match array.data_type() {
            number if number.is_integer() => {
                Self::Elements(cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            _ => Self::Members(cast(array, &DataType::Utf8)?.as_string::<i32>().clone()),
        })
    }

    fn get(&self, row: usize) -> Option<Step<'_>> {
        match self {
            Self::Members(names) => names.is_valid(row).then(|| Step::Member(names.value(row))),
            Self::Elements(numbers) => numbers.is_valid(row).then(|| Step::Element(numbers.value(row))),
        }
    }
}

impl Wanted {
    fn array<'t>(self, values: impl Iterator<Item = Option<&'t str>>, texts: &StringArray) -> ArrayRef {
        match self {
            Self::Json => Arc::new(values.collect::<StringArray>()),
            Self::Text => Arc::new(values.map(|json| json.and_then(path::text)).collect::<StringArray>()),
            Self::Str => Arc::new(values.map(|json| json.and_then(path::string)).collect::<StringArray>()),
            Self::Int => Arc::new(values.map(|json| json.and_then(path::integer)).collect::<Int64Array>()),
            Self::Float => Arc::new(values.map(|json| json.and_then(path::float)).collect::<Float64Array>()),
            Self::Bool => Arc::new(values.map(|json| json?.parse::<bool>().ok()).collect::<BooleanArray>()),
            Self::Length => Arc::new(values.map(|json| json.and_then(path::length)).collect::<UInt64Array>()),
            Self::Contains => {
                let rows = values.enumerate();
                Arc::new(
                    rows.map(|(row, json)| texts.is_valid(row).then_some(json.is_some())).collect::<BooleanArray>(),
                )
            }
        }
    }
}

//! Functions of PostgreSQL that tools call at connect, and whose answer is the same for everybody.
//!
//! Owns: the functions that the engine lacks, and those whose answer must be PostgreSQL's. Does not own: the tables beside them
//! (`tables`, `information`), further functions (datafusion-pg-catalog).

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Signature, SimpleScalarUDF, Volatility};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::setup_pg_catalog;

use super::settings;
use crate::executor::CATALOG;

/// All of them.
pub(super) fn functions() -> Result<Vec<Arc<ScalarUDF>>> {
    let plain = SessionContext::new();
    let config = SessionConfig::new().with_default_catalog_and_schema(CATALOG, "public");
    let context = SessionContext::new_with_config(config);
    setup_pg_catalog(&context, CATALOG, EmptyContextProvider).map_err(|error| *error)?;
    let state = context.state();
    let known = plain.udfs();
    let added = state.scalar_functions().iter().filter(|(name, _)| !known.contains(*name));
    let mut functions: Vec<_> = added.map(|(_, function)| Arc::clone(function)).collect();
    functions.push(made("version", Signature::nullary(Volatility::Stable), |_| Ok(text(&settings::version()))));
    functions.push(made("current_setting", of_texts(&[1, 2]), setting));
    functions.push(made("set_config", Signature::any(3, Volatility::Volatile), set_config));
    for name in ["inet_server_addr", "inet_client_addr"] {
        functions.push(made(name, Signature::nullary(Volatility::Stable), nothing));
    }
    let described =
        Signature::one_of([1, 2].map(datafusion::logical_expr::TypeSignature::Any).to_vec(), Volatility::Stable);
    for name in ["obj_description", "shobj_description", "pg_get_function_result", "pg_get_function_identity_arguments"]
    {
        functions.push(made(name, described.clone(), nothing));
    }
    functions.push(constant("pg_is_in_recovery", 0, ScalarValue::Boolean(Some(false))));
    functions.push(constant("pg_cancel_backend", 1, ScalarValue::Boolean(Some(false))));
    functions.push(constant("_pg_expandarray", 1, no_key()?));
    Ok(functions)
}

/// The place of a column in a key, and its number: there are no keys.
fn no_key() -> Result<ScalarValue> {
    let fields = ["x", "n"].map(|name| Field::new(name, DataType::Int32, true));
    ScalarValue::try_from(&DataType::Struct(fields.to_vec().into()))
}

type Function = fn(&[ColumnarValue]) -> Result<ColumnarValue>;

/// A function with text as its answer.
fn made(name: &str, signature: Signature, function: Function) -> Arc<ScalarUDF> {
    Arc::new(SimpleScalarUDF::new_with_signature(name, signature, DataType::Utf8, Arc::new(function)).into())
}

/// A function of some arguments with one answer.
fn constant(name: &str, arguments: usize, answer: ScalarValue) -> Arc<ScalarUDF> {
    let signature = match arguments {
        0 => Signature::nullary(Volatility::Stable),
        some => Signature::any(some, Volatility::Stable),
    };
    let data_type = answer.data_type();
    let function = move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(answer.clone()));
    Arc::new(SimpleScalarUDF::new_with_signature(name, signature, data_type, Arc::new(function)).into())
}

fn of_texts(counts: &[usize]) -> Signature {
    let signatures = counts.iter().map(|count| datafusion::logical_expr::TypeSignature::String(*count));
    Signature::one_of(signatures.collect(), Volatility::Stable)
}

fn text(text: &str) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::Utf8(Some(text.to_owned())))
}

fn nothing(_: &[ColumnarValue]) -> Result<ColumnarValue> {
    Ok(ColumnarValue::Scalar(ScalarValue::Utf8(None)))
}

fn setting(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let name = match arguments.first() {
        Some(ColumnarValue::Scalar(name)) => name.try_as_str().flatten(),
        _ => None,
    };
    let name = name.ok_or_else(|| DataFusionError::Plan("current_setting takes the name of one setting".to_owned()))?;
    let value = settings::value(name).map(str::to_owned);
    Ok(ColumnarValue::Scalar(ScalarValue::Utf8(value)))
}

/// Accepts what `SET` accepts, and like it changes nothing.
fn set_config(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let texts = arguments.iter().map(|argument| match argument {
        ColumnarValue::Scalar(value) => value.try_as_str().flatten(),
        ColumnarValue::Array(_) => None,
    });
    match texts.collect::<Vec<_>>().as_slice() {
        [Some(name), Some(value), _] if settings::value(name).is_some() => Ok(text(value)),
        [Some(name), ..] => Err(DataFusionError::Plan(format!("setting {name:?} cannot be set here"))),
        _ => Err(DataFusionError::Plan("set_config takes the name of a setting, its value, and a boolean".to_owned())),
    }
}

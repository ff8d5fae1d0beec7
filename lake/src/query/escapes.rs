//! `LIKE … ESCAPE`.
//!
//! Owns: the pattern with a backslash for its escape that means the same as one with another.
//! Does not own: matching (Arrow), `SIMILAR TO` (`similar`).
//!
//! Why it is needed: DataFusion 54.1 knows no escape but the backslash.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use super::rewriting::rewrite;

/// The rule; it belongs before the coercion of types.
#[derive(Debug)]
pub(super) struct Escapes;

impl AnalyzerRule for Escapes {
    fn name(&self) -> &'static str {
        "escapes"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite(plan, &|expr| match expr {
            Expr::Like(mut like) if like.escape_char.is_some_and(|escape| escape != '\\') => {
                let escape = like.escape_char.take().unwrap_or_default();
                let signature = Signature::uniform(1, vec![DataType::Utf8], Volatility::Immutable);
                let function = Arc::new(ScalarUDF::new_from_impl(Pattern { escape, signature }));
                let pattern = ScalarFunction::new_udf(function, vec![std::mem::take(&mut *like.pattern)]);
                *like.pattern = Expr::ScalarFunction(pattern);
                Ok(Transformed::yes(Expr::Like(like)))
            }
            other => Ok(Transformed::no(other)),
        })
    }
}

/// The pattern with a backslash for its escape. It is computed before plans are made where it is a constant.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Pattern {
    escape: char,
    signature: Signature,
}

impl ScalarUDFImpl for Pattern {
    fn name(&self) -> &'static str {
        "like_pattern"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let translated = |pattern: Option<&str>| pattern.map(|pattern| translated(pattern, self.escape)).transpose();
        Ok(match &args.args[0] {
            ColumnarValue::Scalar(pattern) => {
                ColumnarValue::Scalar(ScalarValue::Utf8(translated(pattern.try_as_str().flatten())?))
            }
            ColumnarValue::Array(patterns) => {
                let patterns = patterns.as_string::<i32>().iter().map(translated);
                ColumnarValue::Array(Arc::new(patterns.collect::<Result<StringArray>>()?))
            }
        })
    }
}

/// # Errors
/// When nothing follows an escape.
fn translated(pattern: &str, escape: char) -> Result<String> {
    let mut made = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let (is_literal, character) = match character {
            _ if character != escape => (character == '\\', character),
            _ => match characters.next() {
                Some(escaped) => (matches!(escaped, '%' | '_' | '\\'), escaped),
                None => return exec_err!("LIKE '{pattern}' ESCAPE '{escape}': nothing follows the escape"),
            },
        };
        if is_literal {
            made.push('\\');
        }
        made.push(character);
    }
    Ok(made)
}

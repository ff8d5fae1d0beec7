//! Arguments of functions that mean something else than what is written.
//!
//! Owns: the new text of `regexp_replace`, in which `\1` to `\9` are groups, `\&` and `\0` all that was found, `\\` a backslash, and
//! all else is itself; `replace` of the empty text, which replaces nothing; `atan2` and `nanvl` of integers and decimals, which are
//! computed in doubles.
//! Does not own: the functions (DataFusion), patterns (`regexes`).
//!
//! Why it is needed, for DataFusion 54.1: `$5` in a new text is a group, and without it nothing; an empty text is found before and
//! behind every character; and numbers become floats of 32 bits where a function takes these first.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, StringArray};
use datafusion::arrow::compute::cast as cast_array;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, cast, lit, when,
};
use datafusion::optimizer::AnalyzerRule;

use super::rewriting::rewrite_typed;

/// Behind a backslash that a digit follows: a group that no pattern has, and so no text. It keeps the digit from being one.
const NOTHING: &str = "${siltstone_nothing}";

/// The rule; it belongs before the coercion of types.
#[derive(Debug)]
pub(super) struct MeantArguments;

impl AnalyzerRule for MeantArguments {
    fn name(&self) -> &'static str {
        "meant_arguments"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(|node| rewrite_typed(node, &meant))?.data)
    }
}

fn meant(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(function) = &mut expr else { return Ok(Transformed::no(expr)) };
    let is_text = |arg: &Expr| arg.get_type(schema).is_ok_and(|data_type| data_type.is_string());
    match (function.func.name(), function.args.as_mut_slice()) {
        ("regexp_replace", [_, _, new, ..]) if is_text(new) => *new = replacement(std::mem::take(new)),
        ("replace", [_, old, new]) if is_text(old) && !is_filled(old) => {
            let replaces_nothing = old.clone().eq(lit("")).and(new.clone().is_not_null());
            *new = when(replaces_nothing, lit("")).otherwise(std::mem::take(new))?;
        }
        ("atan2" | "nanvl", args) => {
            let is_float = |arg: &Expr| arg.get_type(schema).is_ok_and(|data_type| data_type.is_floating());
            for arg in args.iter_mut().filter(|arg| !is_float(arg)) {
                *arg = cast(std::mem::take(arg), DataType::Float64);
            }
        }
        _ => return Ok(Transformed::no(expr)),
    }
    Ok(Transformed::yes(expr))
}

/// True for a literal that is not empty.
fn is_filled(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if value.try_as_str().flatten() != Some(""))
}

/// The new text as DataFusion's function takes it; computed before plans are made where it is a constant.
fn replacement(text: Expr) -> Expr {
    let signature = Signature::uniform(1, vec![DataType::Utf8], Volatility::Immutable);
    let function = Arc::new(ScalarUDF::new_from_impl(Replacement { signature }));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![text]))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Replacement {
    signature: Signature,
}

impl ScalarUDFImpl for Replacement {
    fn name(&self) -> &'static str {
        "regexp_replacement"
    }

    fn schema_name(&self, operands: &[Expr]) -> Result<String> {
        Ok(operands[0].schema_name().to_string())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(match &args.args[0] {
            ColumnarValue::Scalar(text) => {
                ColumnarValue::Scalar(ScalarValue::Utf8(text.try_as_str().flatten().map(translated)))
            }
            ColumnarValue::Array(texts) => {
                let texts = cast_array(texts, &DataType::Utf8)?;
                let texts = texts.as_string::<i32>().iter().map(|text| text.map(translated));
                ColumnarValue::Array(Arc::new(texts.collect::<StringArray>()))
            }
        })
    }
}

fn translated(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('$', _) => made.push_str("$$"),
            ('\\', Some('&')) => {
                characters.next();
                made.push_str("${0}");
            }
            ('\\', Some(digit)) if digit.is_ascii_digit() => {
                made.push_str(&format!("${{{digit}}}"));
                characters.next();
            }
            ('\\', following) => {
                if following == Some(&'\\') {
                    characters.next();
                }
                made.push('\\');
                if characters.peek().is_some_and(|next| next.is_ascii_digit() || *next == '\\') {
                    made.push_str(NOTHING);
                }
            }
            (other, _) => made.push(other),
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_text_has_groups_by_backslashes_alone() {
        for (text, expected) in [
            (r"$5 and $$", r"$$5 and $$$$".to_owned()),
            (r"<\1\12>", r"<${1}${1}2>".to_owned()),
            (r"\&\0", r"${0}${0}".to_owned()),
            (r"\\", r"\".to_owned()),
            (r"\x", r"\x".to_owned()),
            (r"\\1", format!(r"\{NOTHING}1")),
            (r"\\\\1", format!(r"\{NOTHING}\{NOTHING}1")),
            (r"\\\1", format!(r"\{NOTHING}${{1}}")),
            ("\\", "\\".to_owned()),
        ] {
            assert_eq!(translated(text), expected, "{text}");
        }
    }
}

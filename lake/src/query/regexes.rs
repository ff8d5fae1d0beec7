//! Regular expressions that look for a backslash, and `regexp_count` of null.
//!
//! Owns: that such a pattern of `~`, `~*`, `!~`, `!~*` and `regexp_like` is not made a pattern of LIKE; that the count is null where
//! an argument is; telling a pattern that is none from other failures.
//! Does not own: matching (Arrow), patterns without a backslash or a set (DataFusion), `SIMILAR TO` (`similar`).
//!
//! Why it is needed: DataFusion 54.1 makes `LIKE '%\%'` of `~ '\\'`, where the backslash is the escape of LIKE. Its
//! `regexp_count` of null is 0.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{ExprSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, binary_expr, lit};
use datafusion::optimizer::AnalyzerRule;

use super::rewriting::rewrite_typed;

/// A group of nothing: no pattern that begins with it is made one of LIKE.
const GROUP: &str = "()";

/// The rule; it belongs before the coercion of types.
#[derive(Debug)]
pub(super) struct KeptRegexes;

impl AnalyzerRule for KeptRegexes {
    fn name(&self) -> &'static str {
        "kept_regexes"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let change = |node| rewrite_typed(node, &|expr, schema| Ok(kept(expr, schema)));
        Ok(plan.transform_up_with_subqueries(change)?.data)
    }
}

fn kept(mut expr: Expr, schema: &dyn ExprSchema) -> Transformed<Expr> {
    if let Expr::ScalarFunction(function) = &expr
        && function.func.name() == "regexp_count"
    {
        return counted(function.args.clone(), expr, schema);
    }
    let pattern = match &mut expr {
        Expr::BinaryExpr(binary) if is_match(binary.op) => &mut *binary.right,
        Expr::ScalarFunction(function) if function.func.name() == "regexp_like" && function.args.len() > 1 => {
            &mut function.args[1]
        }
        _ => return Transformed::no(expr),
    };
    match pattern {
        Expr::Literal(value, _) => match value.try_as_str().flatten() {
            Some(regex) if may_find_backslash(regex) => {
                let grouped = ScalarValue::from(format!("{GROUP}{regex}"));
                *pattern = Expr::Literal(grouped.cast_to(&value.data_type()).unwrap_or(grouped), None);
            }
            _ => return Transformed::no(expr),
        },
        // What is no literal here may become one.
        other if other.get_type(schema).is_ok_and(|data_type| data_type.is_string()) => {
            *other = binary_expr(lit(GROUP), Operator::StringConcat, std::mem::take(other));
        }
        _ => return Transformed::no(expr),
    }
    Transformed::yes(expr)
}

/// The count, null where an argument is.
fn counted(args: Vec<Expr>, count: Expr, schema: &dyn ExprSchema) -> Transformed<Expr> {
    let may_be_null = |arg: &Expr| arg.nullable(schema).unwrap_or(true);
    let Some(has_null) = args.into_iter().filter(may_be_null).map(Expr::is_null).reduce(Expr::or) else {
        return Transformed::no(count);
    };
    let none = Expr::Literal(ScalarValue::Int64(None), None);
    let cases = vec![(Box::new(has_null), Box::new(none))];
    Transformed::yes(Expr::Case(Case { expr: None, when_then_expr: cases, else_expr: Some(Box::new(count)) }))
}

/// What is wrong with a pattern of the statement, where that was the failure. DataFusion and Arrow tell it in several ways.
pub fn invalid_pattern(error: &DataFusionError) -> Option<String> {
    let text = match error.find_root() {
        DataFusionError::External(cause) => cause.to_string(),
        DataFusionError::Internal(text) => text.clone(),
        DataFusionError::ArrowError(error, _) => error.to_string(),
        _ => return None,
    };
    let begin = ["regex parse error", "Compiled regex exceeds", "Regular expression did not compile"]
        .into_iter()
        .find_map(|words| text.find(words))?;
    let reason = text[begin..].split("\nThis issue was likely").next().unwrap_or_default();
    Some(format!("invalid regular expression: {}", reason.trim_end().trim_end_matches('.')))
}

fn is_match(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::RegexMatch | Operator::RegexIMatch | Operator::RegexNotMatch | Operator::RegexNotIMatch
    )
}

/// True unless the pattern surely finds no backslash as such: `\.` finds none, and neither does `\d`.
fn may_find_backslash(regex: &str) -> bool {
    ["\\\\", "\\x", "\\u", "\\U", "["].iter().any(|part| regex.contains(part))
}

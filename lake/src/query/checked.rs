//! Rewrites what a query computes, so that no number is wrong in silence.
//!
//! Owns: which expressions are replaced: sums, differences, products and negations of integers and decimals by functions
//! that fail where the result does not fit its type, every new float by its settled value, and casts that may lose something
//! by such that comparisons leave alone.
//! Does not own: those functions (`checked::arithmetic`), settling (`settled`), aggregates (`exact_sum`).
//!
//! It runs after the types of operands were made alike, and before constants are folded.

mod arithmetic;
mod losses;
mod operands;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ExprSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::expr::{Cast, TryCast};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion::optimizer::AnalyzerRule;

use self::losses::loses;
use super::rewriting::rewrite_typed;
use super::settled::{has_floats, settled_scalar};

/// Functions that give a part of their argument as it is.
const PASSING: [&str; 3] = ["get_field", "array_element", arithmetic::SETTLED];

/// The rule; it belongs behind the coercion of types.
#[derive(Debug)]
pub(super) struct CheckNumbers;

impl AnalyzerRule for CheckNumbers {
    fn name(&self) -> &'static str {
        "check_numbers"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(|node| rewrite_typed(node, &|expr, schema| checked(expr, schema)))?.data)
    }
}

/// The expression with its own operation checked or settled; its operands already are.
fn checked(expr: Expr, schema: &dyn ExprSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Literal(value, metadata) if has_floats(&value.data_type()) => {
            Ok(Transformed::yes(Expr::Literal(settled_scalar(&value)?, metadata)))
        }
        Expr::BinaryExpr(binary) => checked_binary(binary, schema),
        Expr::Negative(operand) => {
            let data_type = type_of(&operand, schema)?;
            Ok(match data_type {
                exact if is_exact(&exact) => Transformed::yes(arithmetic::negative(*operand, exact)),
                other => settled_if(has_floats(&other), Expr::Negative(operand), other),
            })
        }
        Expr::Cast(Cast { expr: operand, field }) => checked_cast(operand, field, false, schema),
        Expr::TryCast(TryCast { expr: operand, field }) => checked_cast(operand, field, true, schema),
        Expr::ScalarFunction(function) if !PASSING.contains(&function.func.name()) => {
            let expr = Expr::ScalarFunction(function);
            let data_type = type_of(&expr, schema)?;
            Ok(settled_if(has_floats(&data_type), expr, data_type))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn checked_binary(binary: BinaryExpr, schema: &dyn ExprSchema) -> Result<Transformed<Expr>> {
    let can_overflow = matches!(binary.op, Operator::Plus | Operator::Minus | Operator::Multiply);
    if !can_overflow && !matches!(binary.op, Operator::Divide | Operator::Modulo) {
        return Ok(Transformed::no(Expr::BinaryExpr(binary)));
    }
    let BinaryExpr { left, op, right } = binary;
    let (left_type, right_type) = (type_of(&left, schema)?, type_of(&right, schema)?);
    let data_type = BinaryTypeCoercer::new(&left_type, &op, &right_type).get_result_type()?;
    // The difference of two dates is a number of days in Arrow's plan alone: its kernel gives a duration.
    if can_overflow && is_exact(&left_type) && is_exact(&right_type) {
        return Ok(Transformed::yes(arithmetic::binary(*left, op, *right, data_type)));
    }
    // The sign of a zero and the kind of a NaN change nothing else in a chain of these, which is settled at its end.
    let left = if can_overflow && has_floats(&data_type) { Box::new(arithmetic::unsettled(*left)) } else { left };
    Ok(settled_if(has_floats(&data_type), Expr::BinaryExpr(BinaryExpr { left, op, right }), data_type))
}

fn checked_cast(
    operand: Box<Expr>,
    field: FieldRef,
    is_try: bool,
    schema: &dyn ExprSchema,
) -> Result<Transformed<Expr>> {
    let (source, made) = (type_of(&operand, schema)?, field.data_type().clone());
    let (operand, is_changed) = operands::meant(*operand, &source, &made, is_try);
    let operand = Box::new(operand);
    let expr = match is_try {
        true => Expr::TryCast(TryCast { expr: operand, field }),
        false => Expr::Cast(Cast { expr: operand, field }),
    };
    let makes_floats = has_floats(&made) && !gives_settled_floats(&source);
    // DataFusion 54.1 compares the operand of a visible cast, as if no two values became one, and none became null.
    match makes_floats || loses(&source, &made) {
        true => Ok(Transformed::yes(arithmetic::settled(expr, made))),
        false if is_changed => Ok(Transformed::yes(expr)),
        false => Ok(Transformed::no(expr)),
    }
}

fn settled_if(is_wanted: bool, expr: Expr, data_type: DataType) -> Transformed<Expr> {
    if is_wanted { Transformed::yes(arithmetic::settled(expr, data_type)) } else { Transformed::no(expr) }
}

/// The type of an expression. That of a checked one is known: computing it again for each operator of a chain would take
/// time with the square of its length.
fn type_of(expr: &Expr, schema: &dyn ExprSchema) -> Result<DataType> {
    arithmetic::known_type(expr).map_or_else(|| expr.get_type(schema), |known| Ok(known.clone()))
}

fn is_exact(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_decimal()
}

/// True when a cast of the type to a float has neither a negative zero nor another NaN. The wider float of a settled
/// one is settled too; the narrower of a tiny negative number is not.
fn gives_settled_floats(source: &DataType) -> bool {
    is_exact(source) || matches!(source, DataType::Float16 | DataType::Float32 | DataType::Boolean | DataType::Null)
}

//! Literals beside decimals in arithmetic.
//!
//! Owns: where a literal of `+`, `-`, `*` and `/` is a decimal, and where a double.
//! Does not own: the digits of literals (`literals`); comparisons (`mixed`); results that do not fit (`checked`).

use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{ExprSchema, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

use super::literals::{decimal_of, double_of, wide};
use super::{as_float, is_decimal, is_float};

/// Digits after the point that a literal in arithmetic may have as a decimal, and the first magnitude that is too large: who types
/// more means a double.
const LITERAL_DIGITS: i8 = 15;
const LITERAL_END: u128 = 10_u128.pow(15);

/// Makes a decimal of a literal that is added to a decimal, or multiplied by one. A quotient of it is a float, as ever: a
/// quotient of decimals has few digits.
pub(super) fn computable(schema: &dyn ExprSchema, binary: &mut BinaryExpr) {
    let BinaryExpr { left, op, right } = binary;
    match op {
        Operator::Plus | Operator::Minus | Operator::Multiply => {
            meet(schema, left, right, *op);
            meet(schema, right, left, *op);
        }
        Operator::Divide if has_decimal_literal(left) || has_decimal_literal(right) => {
            for operand in [left, right] {
                if is_decimal(&kind(schema, operand)) {
                    **operand = as_float(std::mem::take(operand));
                }
            }
        }
        _ => {}
    }
}

/// Makes the literal a number of the other operand's kind, where digits would be lost otherwise.
fn meet(schema: &dyn ExprSchema, literal: &mut Expr, other: &Expr, operator: Operator) {
    if let Some(double) = double_of(literal) {
        if is_float(&kind(schema, other)) {
            *literal = double;
        }
        return;
    }
    let Some(decimal) = decimal_of(literal) else { return };
    let ScalarValue::Decimal128(value, _, scale) = decimal else { return };
    let is_plain =
        value.is_none_or(|value| value.unsigned_abs() / 10_u128.pow(u32::from(scale.unsigned_abs())) < LITERAL_END);
    if !is_plain || scale > LITERAL_DIGITS {
        return;
    }
    let most = match kind(schema, other) {
        Some(DataType::Decimal256(_, other)) => i16::from(DECIMAL256_MAX_PRECISION) - i16::from(other),
        Some(DataType::Decimal128(_, other)) => i16::from(DECIMAL128_MAX_PRECISION) - i16::from(other),
        _ => return,
    };
    if operator == Operator::Multiply && i16::from(scale) > most {
        return;
    }
    let is_wide = matches!(kind(schema, other), Some(DataType::Decimal256(..)));
    *literal = Expr::Literal(if is_wide { wide(decimal) } else { decimal }, None);
}

/// The type of an operand. A chain of operators is only looked at up to its last literal: looking at all of it for each operator
/// would take time with the square of its length.
fn kind(schema: &dyn ExprSchema, expr: &Expr) -> Option<DataType> {
    let (mut at, mut is_sum) = (expr, true);
    while let Expr::BinaryExpr(BinaryExpr { left, op, right }) = at {
        is_sum &= matches!(op, Operator::Plus | Operator::Minus);
        if !is_sum && *op != Operator::Multiply {
            break;
        }
        match &**right {
            Expr::Literal(value @ (ScalarValue::Decimal128(..) | ScalarValue::Decimal256(..)), _) if is_sum => {
                return Some(value.data_type());
            }
            right => match right.get_type(schema) {
                Ok(float) if float.is_floating() => return Some(DataType::Float64),
                _ => at = &**left,
            },
        }
    }
    expr.get_type(schema).ok()
}

/// True when sums, differences and products of the expression have a literal that is a decimal.
fn has_decimal_literal(expr: &Expr) -> bool {
    let mut found = false;
    let _ = expr.apply(|part| {
        Ok(match part {
            Expr::Literal(ScalarValue::Decimal128(..) | ScalarValue::Decimal256(..), _) => {
                found = true;
                TreeNodeRecursion::Stop
            }
            part if double_of(part).is_some() => {
                found = true;
                TreeNodeRecursion::Stop
            }
            Expr::Negative(_) => TreeNodeRecursion::Continue,
            Expr::BinaryExpr(binary) if matches!(binary.op, Operator::Plus | Operator::Minus | Operator::Multiply) => {
                TreeNodeRecursion::Continue
            }
            _ => TreeNodeRecursion::Jump,
        })
    });
    found
}

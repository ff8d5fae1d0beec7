//! How tightly `->` and `->>` bind.
//!
//! Owns: that they bind more tightly than any other operator with two operands, and than `::`. The parser has them below
//! comparisons, so that `doc->>'a' = 'b'` would be `doc->>('a' = 'b')`, which nobody means. Parentheses count as ever.
//! Does not own: what the operators do (`operators`, `json`).

use std::mem::replace;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{BinaryOperator, CastKind, Expr, Value, VisitorMut};

use crate::query::names::visit;

/// Moves the operators of the statement to the operands next to them.
pub(in crate::query) fn tighten(statement: &mut Statement) {
    let _ = visit(statement, &mut Tighten);
}

struct Tighten;

impl VisitorMut for Tighten {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::BinaryOp { left, op, right } = expr
            && is_arrow(op)
        {
            *expr = tightened(take(left), op.clone(), take(right));
        }
        ControlFlow::Continue(())
    }
}

fn is_arrow(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::Arrow | BinaryOperator::LongArrow)
}

/// `left op right`, where the operator takes the last operand of `left` and the first of `right`.
fn tightened(mut left: Expr, op: BinaryOperator, mut right: Expr) -> Expr {
    if let Some(last) = last_operand(&mut left) {
        let near = take(last);
        *last = tightened(near, op, right);
        return left;
    }
    match first_operand(&mut right) {
        Some(first) => {
            let near = take(first);
            *first = Expr::BinaryOp { left: Box::new(left), op, right: Box::new(near) };
            right
        }
        None => Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) },
    }
}

fn take(expr: &mut Expr) -> Expr {
    replace(expr, Expr::value(Value::Null))
}

fn last_operand(expr: &mut Expr) -> Option<&mut Expr> {
    let last = match expr {
        Expr::BinaryOp { op, right, .. } if !is_arrow(op) => right,
        Expr::Like { pattern, .. } | Expr::ILike { pattern, .. } => pattern,
        _ => return None,
    };
    // The borrow checker does not see that the recursion gives nothing back in the other case.
    if last_operand(last).is_some() { last_operand(last) } else { Some(last) }
}

fn first_operand(expr: &mut Expr) -> Option<&mut Expr> {
    let first = match expr {
        Expr::BinaryOp { left, op, .. } if !is_arrow(op) => left,
        Expr::Like { expr, .. } | Expr::ILike { expr, .. } | Expr::SimilarTo { expr, .. } => expr,
        Expr::InList { expr, .. } | Expr::InSubquery { expr, .. } | Expr::Between { expr, .. } => expr,
        Expr::IsNull(expr) | Expr::IsNotNull(expr) => expr,
        Expr::IsTrue(expr) | Expr::IsNotTrue(expr) | Expr::IsFalse(expr) | Expr::IsNotFalse(expr) => expr,
        Expr::IsDistinctFrom(expr, _) | Expr::IsNotDistinctFrom(expr, _) => expr,
        Expr::AnyOp { left, .. } | Expr::AllOp { left, .. } => left,
        Expr::Cast { kind: CastKind::DoubleColon, expr, .. } => expr,
        _ => return None,
    };
    if first_operand(first).is_some() { first_operand(first) } else { Some(first) }
}

//! The precedence of IS DISTINCT FROM.
//!
//! Owns: how far it reaches. The parser takes all that follows as its right operand: `a IS DISTINCT FROM b AND c` would
//! compare `a` with `b AND c`, another value or an error, where SQL means `(a IS DISTINCT FROM b) AND c`.
//! Does not own: everything else that the parser decides.

use std::mem;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Ident, UnaryOperator, VisitorMut};

use super::names::visit;

/// The strength with which operators bind, the weakest first.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Strength {
    Or,
    And,
    Not,
    Is,
}

/// Makes every IS \[NOT\] DISTINCT FROM end where SQL says. Operands in parentheses stay as they are.
pub(super) fn bind(statement: &mut Statement) {
    let _ = visit(statement, &mut Rotate);
}

struct Rotate;

impl VisitorMut for Rotate {
    type Break = ();

    /// From the inside out: what was turned in an operand may have to be turned again around it.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Some((own, right)) = right_operand(expr) else { return ControlFlow::Continue(()) };
        if !binds_weaker(right, own) {
            return ControlFlow::Continue(());
        }
        let mut top = mem::replace(right, nothing());
        let first = leftmost(&mut top, own);
        *right = mem::replace(first, nothing());
        *first = mem::replace(expr, nothing());
        *expr = top;
        ControlFlow::Continue(())
    }
}

/// The operand that ends the expression, and how strongly the expression binds it.
fn right_operand(expr: &mut Expr) -> Option<(Strength, &mut Expr)> {
    match expr {
        Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) => Some((Strength::Is, &mut **right)),
        Expr::UnaryOp { op: UnaryOperator::Not, expr: right } => Some((Strength::Not, &mut **right)),
        Expr::BinaryOp { op: BinaryOperator::And, right, .. } => Some((Strength::And, &mut **right)),
        _ => None,
    }
}

/// True for an AND or OR without parentheses, as a stronger operator cannot have it for an operand.
fn binds_weaker(expr: &Expr, than: Strength) -> bool {
    match expr {
        Expr::BinaryOp { op: BinaryOperator::Or, .. } => Strength::Or < than,
        Expr::BinaryOp { op: BinaryOperator::And, .. } => Strength::And < than,
        _ => false,
    }
}

/// The operand that comes first in the text, of operators that bind weaker than this strength.
fn leftmost(expr: &mut Expr, than: Strength) -> &mut Expr {
    if !binds_weaker(expr, than) {
        return expr;
    }
    match expr {
        Expr::BinaryOp { left, .. } => leftmost(left, than),
        other => other,
    }
}

/// Stands where an expression was taken out, until another is put there.
fn nothing() -> Expr {
    Expr::Identifier(Ident::new(""))
}

//! Long chains of AND and OR, as trees of little depth.
//!
//! Owns: the order in which such a chain is put together; the value is the same. The parser makes a tree as deep as the
//! chain is long, and DataFusion computes the type of each of its nodes from all nodes below it: planning time
//! grows with the square of the length. `filters` does the same for the filters of physical plans.
//! Does not own: chains of `+`, `-` and `*` (`checked::arithmetic`).

mod filters;
mod in_turn;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

pub(super) use self::filters::FlattenFilters;
use super::rewriting::rewrite;

/// Shorter chains stay as they are written.
const OPERANDS_MIN: usize = 16;

/// The plan with every long chain balanced.
pub(super) fn balance(plan: LogicalPlan) -> Result<LogicalPlan> {
    rewrite(plan, &|expr| Ok(balanced_here(expr)))
}

/// The expression with every long chain balanced.
pub(super) fn balanced(expr: Expr) -> Result<Expr> {
    Ok(expr.transform_down(|expr| Ok(balanced_here(expr)))?.data)
}

fn balanced_here(expr: Expr) -> Transformed<Expr> {
    let Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. }) = &expr else {
        return Transformed::no(expr);
    };
    let op = *op;
    if length(&expr, op) < OPERANDS_MIN {
        return Transformed::no(expr);
    }
    Transformed::yes(joined(operands(expr, op), op))
}

/// The number of operands of the chain.
fn length(expr: &Expr, op: Operator) -> usize {
    let (mut open, mut count) = (vec![expr], 0);
    while let Some(expr) = open.pop() {
        match expr {
            Expr::BinaryExpr(inner) if inner.op == op => open.extend([&*inner.right, &*inner.left]),
            _ => count += 1,
        }
    }
    count
}

/// The operands of the chain, in order.
fn operands(expr: Expr, op: Operator) -> Vec<Expr> {
    let (mut open, mut operands) = (vec![expr], Vec::new());
    while let Some(expr) = open.pop() {
        match expr {
            Expr::BinaryExpr(inner) if inner.op == op => open.extend([*inner.right, *inner.left]),
            operand => operands.push(operand),
        }
    }
    operands
}

/// The operands in their order, in a tree whose halves are alike.
fn joined(mut operands: Vec<Expr>, op: Operator) -> Expr {
    if operands.len() == 1 {
        return operands.swap_remove(0);
    }
    let right = operands.split_off(operands.len() / 2);
    Expr::BinaryExpr(BinaryExpr::new(Box::new(joined(operands, op)), op, Box::new(joined(right, op))))
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    fn depth(expr: &Expr) -> usize {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
                1 + depth(left).max(depth(right))
            }
            _ => 0,
        }
    }

    #[test]
    fn a_long_chain_keeps_its_operands_in_order_and_becomes_flat() {
        let operand = |number: i32| col("n").gt(lit(number));
        for op in [Operator::And, Operator::Or] {
            for (count, expected) in [(2, 1), (15, 14), (16, 4), (1000, 10), (5000, 13)] {
                let chain = (1..count).map(operand).fold(operand(0), |left, right| {
                    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
                });
                let flat = balanced(chain).expect("no rule fails");
                assert_eq!(depth(&flat), expected, "{count} of {op}");
                assert_eq!(operands(flat, op), (0..count).map(operand).collect::<Vec<_>>());
            }
        }
    }
}

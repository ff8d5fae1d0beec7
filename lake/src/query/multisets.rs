//! INTERSECT ALL and EXCEPT ALL count equal rows.
//!
//! Owns: the numbers by which the first `a` of one side is that of the other, the second `a` the second.
//! Does not own: INTERSECT and EXCEPT without ALL, whose rows are distinct (DataFusion).
//!
//! Why it is needed: DataFusion 54.1 makes a semi or an anti join of them, in which one row on the right stands for any number
//! on the left.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{Column, JoinType, NullEquality};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt, Join, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::AnalyzerRule;

/// Names of the numbers of equal rows, on the left and on the right.
const NUMBERS: [&str; 2] = [" number of the row", " number of the other row"];

/// The rule; it belongs before the coercion of types.
#[derive(Debug)]
pub(super) struct CountRows;

impl AnalyzerRule for CountRows {
    fn name(&self) -> &'static str {
        "count_rows"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Join(join) if is_multiset(&join) => counted(join).map(Transformed::yes),
            other => Ok(Transformed::no(other)),
        })
        .data()
    }
}

/// True for INTERSECT ALL and EXCEPT ALL: no other join matches nulls before plans are optimized. Rows of the left side that
/// are distinct need no numbers.
fn is_multiset(join: &Join) -> bool {
    join.null_equality == NullEquality::NullEqualsNull
        && matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && !matches!(join.left.as_ref(), LogicalPlan::Distinct(_))
}

fn counted(join: Join) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = join.left.schema().columns().into_iter().map(Expr::Column).collect();
    let [left, right] = [(join.left, NUMBERS[0]), (join.right, NUMBERS[1])].map(|(side, name)| numbered(&side, name));
    let number = |name| Expr::Column(Column::new_unqualified(name));
    let mut on = join.on;
    on.push((number(NUMBERS[0]), number(NUMBERS[1])));
    let joined = Join::try_new(
        Arc::new(left?),
        Arc::new(right?),
        on,
        join.filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    LogicalPlanBuilder::from(LogicalPlan::Join(joined)).project(columns)?.build()
}

/// The rows with a number among those that are equal.
fn numbered(plan: &LogicalPlan, name: &str) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    let number = row_number().partition_by(columns.clone()).build()?;
    let numbered = LogicalPlanBuilder::from(plan.clone()).window(vec![number])?.build()?;
    let Some(number) = numbered.schema().columns().pop() else {
        return Err(DataFusionError::Internal("a window has no column".to_owned()));
    };
    let columns = columns.into_iter().chain([Expr::Column(number).alias(name)]);
    LogicalPlanBuilder::from(numbered).project(columns)?.build()
}

//! Nodes of a plan, and subqueries, that compare spans of time.
//!
//! Owns: sorting, keys of joins and IN subqueries by length; refusing intervals in groups and DISTINCT.
//! Does not own: expressions that compare (`spans`).

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder, Sort, Subquery,
};

use super::length::length;
use super::{is_interval, is_interval_expr, refused, sorted};

/// The node with what it compares by itself by length.
///
/// # Errors
/// When it makes groups of intervals.
pub(super) fn compared(mut node: LogicalPlan) -> Result<LogicalPlan> {
    match &mut node {
        LogicalPlan::Sort(Sort { expr, input, .. }) => sorted(expr, input.schema()),
        LogicalPlan::Join(join) => keys(join)?,
        LogicalPlan::Aggregate(Aggregate { group_expr, input, .. })
            if group_expr.iter().any(|group| is_interval_expr(group, input.schema())) =>
        {
            return refused("GROUP BY");
        }
        LogicalPlan::Distinct(distinct) => {
            let has_interval = |schema: &DFSchema| schema.fields().iter().any(|field| is_interval(field.data_type()));
            let is_grouped = match distinct {
                Distinct::All(rows) => has_interval(rows.schema()),
                Distinct::On(on) => on.on_expr.iter().any(|expr| is_interval_expr(expr, on.input.schema())),
            };
            if is_grouped {
                return refused("DISTINCT, or UNION without ALL,");
            }
        }
        _ => {}
    }
    Ok(node)
}

fn keys(join: &mut Join) -> Result<()> {
    for (left, right) in &mut join.on {
        let types = [left.get_type(join.left.schema())?, right.get_type(join.right.schema())?];
        if types.iter().any(is_interval) {
            *left = length(std::mem::take(left));
            *right = length(std::mem::take(right));
        }
    }
    Ok(())
}

/// IN a subquery, or a comparison with its rows.
pub(super) fn subquery(expr: &mut Expr, subquery: &mut Subquery, schema: &DFSchema) -> Result<()> {
    let listed = subquery.subquery.schema().field(0).data_type().clone();
    let compared = expr.get_type(schema).unwrap_or(DataType::Null);
    if !is_interval(&listed) && !is_interval(&compared) {
        return Ok(());
    }
    let column = Expr::Column(subquery.subquery.schema().columns().remove(0));
    *expr = length(std::mem::take(expr));
    let rows = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone());
    subquery.subquery = Arc::new(rows.project(vec![length(column)])?.build()?);
    Ok(())
}

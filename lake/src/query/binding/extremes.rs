//! Aggregates over all rows of a table.
//!
//! Owns: finding those that ask a table for nothing but counts and extremes, with no filter in between.
//! Does not own: the answer (`exact`, and DataFusion's rule for aggregates of exact statistics).

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::error::Result;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection, SubqueryAlias, TableScan};

use super::over;

/// The aggregate over the table that `table` gives for its scan and the columns it needs; `None` for other nodes, and where
/// `table` has none.
pub(super) fn over_bound(
    node: &LogicalPlan,
    table: impl FnOnce(&TableScan, Vec<String>) -> Result<Option<Arc<dyn TableProvider>>>,
) -> Result<Option<LogicalPlan>> {
    let LogicalPlan::Aggregate(aggregate) = node else { return Ok(None) };
    if !aggregate.group_expr.is_empty() {
        return Ok(None);
    }
    let Some(scan) = whole_table(&aggregate.input) else { return Ok(None) };
    let columns = aggregate.aggr_expr.iter().flat_map(Expr::column_refs).map(|column| column.name.clone());
    let Some(table) = table(scan, columns.collect())? else { return Ok(None) };
    let input = with_table(&aggregate.input, table)?;
    let (groups, aggregates) = (aggregate.group_expr.clone(), aggregate.aggr_expr.clone());
    let schema = Arc::clone(&aggregate.schema);
    Ok(Some(LogicalPlan::Aggregate(Aggregate::try_new_with_schema(Arc::new(input), groups, aggregates, schema)?)))
}

/// The scan of all rows of a table below names for it, and for its columns, alone.
fn whole_table(plan: &LogicalPlan) -> Option<&TableScan> {
    match plan {
        LogicalPlan::TableScan(scan) => (scan.filters.is_empty() && scan.fetch.is_none()).then_some(scan),
        LogicalPlan::SubqueryAlias(alias) => whole_table(&alias.input),
        LogicalPlan::Projection(columns) => {
            let is_column = |expr: &Expr| matches!(expr, Expr::Column(_));
            columns.expr.iter().all(is_column).then(|| whole_table(&columns.input)).flatten()
        }
        _ => None,
    }
}

fn with_table(plan: &LogicalPlan, table: Arc<dyn TableProvider>) -> Result<LogicalPlan> {
    Ok(match plan {
        LogicalPlan::TableScan(scan) => over(table, scan.clone()),
        LogicalPlan::SubqueryAlias(alias) => {
            let input = with_table(&alias.input, table)?;
            LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?)
        }
        LogicalPlan::Projection(columns) => {
            let input = Arc::new(with_table(&columns.input, table)?);
            let schema = Arc::clone(&columns.schema);
            LogicalPlan::Projection(Projection::try_new_with_schema(columns.expr.clone(), input, schema)?)
        }
        other => other.clone(),
    })
}

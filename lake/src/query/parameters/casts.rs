//! Placeholders that are cast.
//!
//! Owns: the types of a statement's placeholders, also of those directly below a cast to a decimal, which take any decimal for
//! it, or to an interval. Does not own: the types of other placeholders (DataFusion), values (`parameters`).

use std::collections::HashMap;

use datafusion::arrow::datatypes::{DECIMAL256_MAX_PRECISION, DataType};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Cast, Placeholder, TryCast};
use datafusion::logical_expr::{Expr, LogicalPlan};

/// As many digits before the point as behind it: those of every decimal of 38 digits.
const ANY_DECIMAL: DataType = DataType::Decimal256(DECIMAL256_MAX_PRECISION, 38);

/// The types that the plan's placeholders have in their places, where these are known.
///
/// # Errors
/// A placeholder has several types.
pub fn parameter_types(plan: &LogicalPlan) -> Result<HashMap<String, Option<DataType>>> {
    let mut types: HashMap<String, Option<DataType>> = plan.get_parameter_types()?.into_iter().collect();
    if types.values().all(Option::is_some) {
        return Ok(types);
    }
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) = expr
                    && let Expr::Placeholder(Placeholder { id, .. }) = expr.as_ref()
                    && let Some(known @ None) = types.get_mut(id)
                {
                    *known = match field.data_type() {
                        decimal if decimal.is_decimal() => Some(ANY_DECIMAL),
                        interval @ DataType::Interval(_) => Some(interval.clone()),
                        _ => None,
                    };
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(types)
}

//! Parameters that stand for lists.
//!
//! Owns: the type of a list whose elements a statement compares with a value, as in `x = ANY($1)`; the engine leaves it open.
//! Does not own: the types of other parameters (DataFusion).

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan};

/// The types of the lists, by the names of their placeholders.
///
/// # Errors
/// Of a walk through the plan.
pub(super) fn types(plan: &LogicalPlan) -> Result<HashMap<String, DataType>, DataFusionError> {
    let mut types = HashMap::new();
    plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Some((name, element)) = list(expr, &schema) {
                    let list = DataType::List(Arc::new(Field::new_list_field(element, true)));
                    types.entry(name.to_owned()).or_insert(list);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(types)
}

/// The placeholder of a list that an expression looks into, and the type of its elements.
fn list<'e>(expr: &'e Expr, schema: &DFSchema) -> Option<(&'e str, DataType)> {
    let (list, value) = match expr {
        Expr::ScalarFunction(call) if call.name() == "array_has" => match call.args.as_slice() {
            [list, value] => (list, value),
            _ => return None,
        },
        // ANY and ALL with other comparisons look at the least and the largest element.
        Expr::BinaryExpr(BinaryExpr { left, right, .. }) => match (bound(left), bound(right)) {
            (Some(list), None) => (list, right.as_ref()),
            (None, Some(list)) => (list, left.as_ref()),
            _ => return None,
        },
        _ => return None,
    };
    let Expr::Placeholder(Placeholder { id, field: None }) = list else { return None };
    let element = value.get_type(schema).ok().filter(|element| !element.is_null())?;
    Some((id, element))
}

/// The list whose least or largest element an expression is.
fn bound(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(call) if matches!(call.name(), "array_min" | "array_max") => call.args.first(),
        _ => None,
    }
}

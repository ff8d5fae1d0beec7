//! ORDER BY a column of the SELECT by its number or its text.
//!
//! Owns: that `ORDER BY 2` and, of SELECT DISTINCT, `ORDER BY k::text` mean the column among the selected that they name.
//! Does not own: names of columns (`names`, `labels`), and what DataFusion finds by itself.
//!
//! Why it is needed, for DataFusion 54.1: it looks for the number's column by its name in what is grouped, where an expression of an
//! aggregate has none; and of a DISTINCT it looks for the columns of an expression among the selected.

use std::ops::ControlFlow;

use datafusion::error::DataFusionError;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, OrderByKind, Query, Select, SelectItem, SetExpr, Value, VisitorMut,
};

use super::names::visit;

/// Writes out numbers in ORDER BY, and numbers of what is selected, where planning failed for the want of it. False when there was
/// nothing to do.
pub(super) fn write_out(statement: &mut Statement, error: &DataFusionError) -> bool {
    let text = error.strip_backtrace();
    let is_of_aggregate = text.contains("Column in ORDER BY must be in GROUP BY");
    if !is_of_aggregate && !text.contains("For SELECT DISTINCT, ORDER BY expressions") {
        return false;
    }
    let mut positions = Positions { is_of_aggregate, written: 0 };
    let _ = visit(statement, &mut positions);
    positions.written > 0
}

struct Positions {
    is_of_aggregate: bool,
    written: usize,
}

impl VisitorMut for Positions {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let SetExpr::Select(select) = query.body.as_ref() else { return ControlFlow::Continue(()) };
        let order = query.order_by.as_mut().map(|order| &mut order.kind);
        let Some(OrderByKind::Expressions(exprs)) = order else { return ControlFlow::Continue(()) };
        for order in exprs {
            let meant = match self.is_of_aggregate {
                true => of_number(&order.expr, select),
                false => number_of(&order.expr, select),
            };
            if let Some(meant) = meant {
                order.expr = meant;
                self.written += 1;
            }
        }
        ControlFlow::Continue(())
    }
}

/// The selected expression that has the number and no name.
fn of_number(expr: &Expr, select: &Select) -> Option<Expr> {
    let Expr::Value(value) = expr else { return None };
    let Value::Number(number, _) = &value.value else { return None };
    let place = number.parse::<usize>().ok()?.checked_sub(1)?;
    let is_known = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    let SelectItem::UnnamedExpr(selected) = select.projection.get(place)? else { return None };
    select.projection[..place].iter().all(is_known).then(|| selected.clone())
}

/// The number of the selected expression that is written alike.
fn number_of(expr: &Expr, select: &Select) -> Option<Expr> {
    let is_distinct = matches!(select.distinct, Some(Distinct::Distinct));
    if !is_distinct || matches!(expr, Expr::Value(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
        return None;
    }
    let is_it = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(selected) | SelectItem::ExprWithAlias { expr: selected, .. } => selected == expr,
        _ => false,
    };
    let is_wild = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    let place =
        select.projection.iter().position(is_it).filter(|place| !select.projection[..*place].iter().any(is_wild))?;
    Some(Expr::value(Value::Number((place + 1).to_string(), false)))
}

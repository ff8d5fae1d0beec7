//! Derived tables that are put into statements.
//!
//! Owns: `SELECT *` of a table, a query as a table, and by it the columns of a WITH RECURSIVE.
//! Does not own: other changes of statements (`merged`, `names`, `precedence`).
//!
//! Why a WITH RECURSIVE needs it, for DataFusion 54.1: the recursive part does not know the names in `r(n)`, and columns that
//! nothing but the recursive part uses are taken away, unless the first part has a table under a name of its own. Columns of topics have
//! numbers, and columns with other numbers are taken for others. Where columns get other names, their own are read as if they were
//! typed, so that `NULL` is not found.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, Query, SelectItem, SetExpr, SetOperator, TableAlias, TableFactor, TableWithJoins, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::comparisons::call;
use super::names::visit;
use super::plain::PLAIN;

/// Gives the columns of each recursive query their names where the recursion begins: `r(n) AS (SELECT 1 UNION ALL …)`
/// becomes `r(n) AS (SELECT * FROM (SELECT 1) AS first(n) UNION ALL …)`.
pub(super) fn name_recursive_columns(statement: &mut Statement) {
    let _ = visit(statement, &mut Recursive);
}

struct Recursive;

impl VisitorMut for Recursive {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let recursive = query.with.iter_mut().filter(|with| with.recursive).flat_map(|with| &mut with.cte_tables);
        for table in recursive {
            if let SetExpr::SetOperation { op: SetOperator::Union, left, right, .. } = table.query.body.as_mut() {
                plain_columns(left, !table.alias.columns.is_empty());
                plain_columns(right, true);
                let name = Ident::with_quote('"', format!(" first of {}", table.alias.name.value));
                let first = self::table(query_of(left.as_ref().clone()), TableAlias { name, ..table.alias.clone() });
                **left = *all_of(first).body;
            }
        }
        ControlFlow::Continue(())
    }
}

/// Makes values of the columns that are selected, under names of ours where their own do not matter.
fn plain_columns(body: &mut SetExpr, is_renamed: bool) {
    match body {
        SetExpr::Select(select) => {
            for (place, item) in select.projection.iter_mut().enumerate() {
                let (expr, name) = match item {
                    SelectItem::UnnamedExpr(expr) => (expr, None),
                    SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias.clone())),
                    _ => continue,
                };
                let own = match expr {
                    Expr::Identifier(column) => Some(column.clone()),
                    Expr::CompoundIdentifier(parts) => parts.last().cloned(),
                    _ => None,
                };
                let name = match is_renamed {
                    true => Some(Ident::new(format!("siltstone_column_{place}"))),
                    false => name.or(own),
                };
                let is_unnest =
                    matches!(&*expr, Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("unnest"));
                if let Some(alias) = name {
                    let expr = if is_unnest { expr.clone() } else { call(PLAIN, expr.clone()) };
                    *item = SelectItem::ExprWithAlias { expr, alias };
                }
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            plain_columns(left, is_renamed);
            plain_columns(right, is_renamed);
        }
        SetExpr::Query(query) => plain_columns(&mut query.body, is_renamed),
        _ => {}
    }
}

/// `(query) AS alias`.
pub(super) fn table(query: Query, alias: TableAlias) -> TableFactor {
    TableFactor::Derived { lateral: false, subquery: Box::new(query), alias: Some(alias), sample: None }
}

/// `SELECT * FROM relation`.
pub(super) fn all_of(relation: TableFactor) -> Query {
    let mut query = template();
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.from = vec![TableWithJoins { relation, joins: Vec::new() }];
    }
    query
}

fn query_of(body: SetExpr) -> Query {
    Query { body: Box::new(body), ..template() }
}

fn template() -> Query {
    let mut parsed = Parser::parse_sql(&GenericDialect {}, "SELECT *").expect("it is SQL");
    match parsed.pop() {
        Some(ast::Statement::Query(query)) => *query,
        other => unreachable!("SELECT is a query, not {other:?}"),
    }
}

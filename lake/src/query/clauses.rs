//! Clauses of a statement that the planner reads past.
//!
//! Owns: refusing them by their name, with what to write instead; `FETCH FIRST n ROWS`, which is a LIMIT; how deep operations are.
//! Does not own: clauses that the planner refuses by itself, statements that do something else than read (`planning`).
//!
//! Why it is needed, for DataFusion 54.1: the answer would be that of another statement, without a word.

use std::ops::ControlFlow;

use datafusion::common::plan_datafusion_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArgumentClause, FunctionArguments, GroupByExpr, LimitClause, OrderBy,
    OrderByKind, Query, Select, SelectItem, TableFactor, Value, VisitorMut, WildcardAdditionalOptions,
};

use super::names::visit;

/// Refuses each clause that would be passed over.
///
/// # Errors
/// Names the clause.
pub(super) fn check(statement: &mut Statement, state: &SessionState) -> Result<()> {
    match visit(statement, &mut Clauses { state, depth: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Clauses<'s> {
    /// Knows the functions.
    state: &'s SessionState,
    /// Operations around the expression, but for AND and OR.
    depth: usize,
}

/// Breaks with an error about the first clause that is there.
fn refuse<const N: usize>(clauses: [(bool, &str); N]) -> ControlFlow<DataFusionError> {
    match clauses.into_iter().find(|(is_there, _)| *is_there) {
        Some((_, text)) => ControlFlow::Break(plan_datafusion_err!("{text}")),
        None => ControlFlow::Continue(()),
    }
}

impl VisitorMut for Clauses<'_> {
    type Break = DataFusionError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        fetch_as_limit(query)?;
        let is_filled = query.order_by.as_ref().is_some_and(has_fill);
        refuse([
            (
                query.for_clause.is_some(),
                "FOR XML, FOR JSON and FOR BROWSE are not carried out; choose a format of the answer",
            ),
            (query.settings.is_some(), "SETTINGS in a statement are not carried out; use SET"),
            (query.format_clause.is_some(), "FORMAT in a statement is not carried out; choose a format of the answer"),
            (is_filled, "ORDER BY … WITH FILL is not carried out; join with generate_series"),
        ])
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        let (GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers)) = &select.group_by;
        refuse([
            (
                !modifiers.is_empty(),
                "GROUP BY … WITH ROLLUP, CUBE or TOTALS is not carried out; write GROUP BY ROLLUP (…) or CUBE (…)",
            ),
            (select.prewhere.is_some(), "PREWHERE is not carried out; write WHERE"),
            (!select.connect_by.is_empty(), "CONNECT BY is not carried out; write WITH RECURSIVE"),
            (
                select.value_table_mode.is_some(),
                "SELECT AS STRUCT and AS VALUE are not carried out; write named_struct(…)",
            ),
            (select.exclude.is_some(), "EXCLUDE behind the columns is not carried out; write * EXCLUDE (…)"),
        ])?;
        select.projection.iter().try_for_each(|item| match item {
            SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => check_wildcard(options),
            _ => ControlFlow::Continue(()),
        })
    }

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<Self::Break> {
        match table {
            TableFactor::Table {
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                with_hints,
                index_hints,
                ..
            } => refuse([
                (sample.is_some(), SAMPLE),
                (version.is_some(), "a table AS OF another time is not carried out; filter by _timestamp"),
                (*with_ordinality, ORDINALITY),
                (!partitions.is_empty(), "PARTITION (…) behind a table is not carried out; filter by _partition_id"),
                (json_path.is_some(), "a path behind a table is not carried out"),
                (
                    !with_hints.is_empty() || !index_hints.is_empty(),
                    "hints behind a table are not carried out; leave them out",
                ),
            ]),
            TableFactor::Derived { sample, .. } => refuse([(sample.is_some(), SAMPLE)]),
            TableFactor::Function { with_ordinality, .. } => refuse([(*with_ordinality, ORDINALITY)]),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        self.depth += usize::from(is_operation(expr));
        if self.depth > DEPTH_MAX {
            let text = format!("an expression has more than {DEPTH_MAX} operations one around the other, as 1+1+1+…");
            return ControlFlow::Break(plan_datafusion_err!(
                "{text}: put parts of it into subqueries, or use functions"
            ));
        }
        match expr {
            Expr::Function(function) => self.check_function(function),
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        self.depth -= usize::from(is_operation(expr));
        ControlFlow::Continue(())
    }
}

/// Most operations around an expression: each asks all below it for their types, so that planning takes the square of it.
const DEPTH_MAX: usize = 2_000;

fn is_operation(expr: &Expr) -> bool {
    matches!(expr, Expr::BinaryOp { op, .. } if !matches!(op, BinaryOperator::And | BinaryOperator::Or))
}

const SAMPLE: &str =
    "TABLESAMPLE and SAMPLE are not carried out; write WHERE random() < 0.1 for about a tenth of the rows";
const ORDINALITY: &str = "WITH ORDINALITY is not carried out; write row_number() OVER ()";

impl Clauses<'_> {
    /// A function of one row has no clauses.
    fn check_function(&self, function: &Function) -> ControlFlow<DataFusionError> {
        let name = function.name.to_string().to_lowercase();
        let is_scalar = self.state.scalar_functions().contains_key(&name);
        if !is_scalar || self.state.aggregate_functions().contains_key(&name) {
            return ControlFlow::Continue(());
        }
        let (mut is_distinct, mut is_ordered, mut has_nulls) = (false, false, function.null_treatment.is_some());
        if let FunctionArguments::List(list) = &function.args {
            is_distinct = list.duplicate_treatment.is_some();
            is_ordered = list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)));
            has_nulls |=
                list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::IgnoreOrRespectNulls(_)));
        }
        let clauses = [
            (function.over.is_some(), "OVER"),
            (function.filter.is_some(), "FILTER"),
            (!function.within_group.is_empty(), "WITHIN GROUP"),
            (is_distinct, "DISTINCT or ALL"),
            (is_ordered, "ORDER BY"),
            (has_nulls, "IGNORE or RESPECT NULLS"),
        ];
        match clauses.into_iter().find(|(is_there, _)| *is_there) {
            Some((_, clause)) => {
                ControlFlow::Break(plan_datafusion_err!("{name} is no aggregate, and takes no {clause}"))
            }
            None => ControlFlow::Continue(()),
        }
    }
}

fn check_wildcard(options: &WildcardAdditionalOptions) -> ControlFlow<DataFusionError> {
    refuse([(options.opt_ilike.is_some(), "* ILIKE is not carried out; name the columns, or write * EXCLUDE (…)")])
}

fn has_fill(order: &OrderBy) -> bool {
    matches!(&order.kind, OrderByKind::Expressions(exprs) if exprs.iter().any(|expr| expr.with_fill.is_some()))
}

/// Writes the standard's words for a limit as a LIMIT.
fn fetch_as_limit(query: &mut Query) -> ControlFlow<DataFusionError> {
    let Some(fetch) = query.fetch.take() else { return ControlFlow::Continue(()) };
    refuse([
        (fetch.with_ties, "FETCH … WITH TIES is not carried out; filter by rank() in a query around it"),
        (fetch.percent, "FETCH … PERCENT is not carried out; write LIMIT with a number"),
    ])?;
    let rows = fetch.quantity.unwrap_or_else(|| Expr::Value(Value::Number("1".to_owned(), false).with_empty_span()));
    match &mut query.limit_clause {
        None => {
            query.limit_clause =
                Some(LimitClause::LimitOffset { limit: Some(rows), offset: None, limit_by: Vec::new() });
            ControlFlow::Continue(())
        }
        Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => {
            *limit = Some(rows);
            ControlFlow::Continue(())
        }
        Some(_) => refuse([(true, "a query has one LIMIT or one FETCH, not both")]),
    }
}

//! Subqueries that refer to the row around them, and choose among their own rows.
//!
//! Owns: EXISTS with OFFSET, as a count of rows; refusing a reference below LIMIT, OFFSET, a window function, DISTINCT ON, or on
//! the side of a join that need not have a row, and ANY or ALL of a subquery among columns; an error for what is left of references in the end.
//! Does not own: subqueries with references below anything else (DataFusion), the third value of IN (`membership`).
//!
//! Why it is needed: DataFusion 54.1 makes a join of such a subquery. It takes the comparisons with the row around out of the
//! subquery, also from below what must see the rows of one comparison alone, and drops LIMIT and OFFSET in EXISTS.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, plan_err};
use datafusion::error::Result;
use datafusion::functions_aggregate::count::count_all;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Distinct, Expr, FetchType, Limit, LogicalPlan, LogicalPlanBuilder, Operator, Projection, SkipType,
    Sort, Subquery, SubqueryAlias, Window, exists, lit, not_exists, scalar_subquery,
};
use datafusion::optimizer::AnalyzerRule;

use super::membership::is_one_row;

/// Where subqueries that choose rows may stand.
const FOR_ROWS_ALONE: &str = "stand in WHERE and HAVING alone, and refer to the row around them there without LIMIT or UNION; write others as a join";

/// The rule; it belongs before the coercion of types.
#[derive(Debug)]
pub(super) struct OwnRows;

impl AnalyzerRule for OwnRows {
    fn name(&self) -> &'static str {
        "own_rows"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            for input in node.inputs() {
                if let LogicalPlan::Subquery(lateral) = input {
                    check(lateral)?;
                }
            }
            if !matches!(node, LogicalPlan::Filter(_) | LogicalPlan::Join(_)) {
                node.apply_expressions(|expr| expr.apply(check_no_set))?;
            }
            node.map_expressions(|expr| expr.transform_up(with_own_rows))
        })
        .data()
    }
}

fn with_own_rows(expr: Expr) -> Result<Transformed<Expr>> {
    match &expr {
        Expr::Exists(Exists { subquery, negated }) if !subquery.outer_ref_columns.is_empty() => {
            let changed = existing(subquery.subquery.as_ref(), *negated)?;
            changed.apply(|part| {
                if let Expr::Exists(Exists { subquery, .. }) | Expr::ScalarSubquery(subquery) = part {
                    check(subquery)?;
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
            return Ok(Transformed::yes(changed));
        }
        Expr::InSubquery(InSubquery { subquery, .. })
        | Expr::SetComparison(SetComparison { subquery, .. })
        | Expr::ScalarSubquery(subquery) => check(subquery)?,
        _ => {}
    }
    Ok(Transformed::no(expr))
}

/// # Errors
/// For ANY and ALL of a subquery, where they do not choose rows.
fn check_no_set(expr: &Expr) -> Result<TreeNodeRecursion> {
    match expr {
        Expr::SetComparison(_) => plan_err!("ANY (SELECT …) and ALL (SELECT …) {FOR_ROWS_ALONE}"),
        _ => Ok(TreeNodeRecursion::Continue),
    }
}

/// EXISTS without the limits of its rows, and without their order.
fn existing(rows: &LogicalPlan, negated: bool) -> Result<Expr> {
    let (mut top, mut is_sorted) = (rows, false);
    loop {
        match top {
            LogicalPlan::Limit(limit) => match (limit.get_skip_type()?, limit.get_fetch_type()?) {
                (_, FetchType::Literal(Some(0))) => return Ok(lit(negated)),
                (SkipType::Literal(0), FetchType::Literal(_)) => return existing(&limit.input, negated),
                (SkipType::Literal(skip), FetchType::Literal(_)) => return more_than(limit, skip, negated),
                _ => break,
            },
            LogicalPlan::Distinct(Distinct::All(input)) => top = input,
            other => match one_for_one(other) {
                Some(input) => {
                    is_sorted |= matches!(other, LogicalPlan::Sort(_));
                    top = input;
                }
                None => break,
            },
        }
    }
    let rows = match is_sorted {
        true => LogicalPlanBuilder::from(top.clone()).project([lit(1_i64)])?.build()?,
        false => rows.clone(),
    };
    Ok(if negated { not_exists(Arc::new(rows)) } else { exists(Arc::new(rows)) })
}

/// What is below a node that has one row for each row below it.
fn one_for_one(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan {
        LogicalPlan::Projection(Projection { input, .. })
        | LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. })
        | LogicalPlan::Sort(Sort { input, fetch: None, .. }) => Some(input),
        _ => None,
    }
}

/// True when the limit has more rows to choose from than it skips.
fn more_than(limit: &Limit, skip: usize, negated: bool) -> Result<Expr> {
    if is_one_row(&limit.input) {
        return Ok(lit(negated));
    }
    let mut rows = limit.input.as_ref();
    while let Some(input) = one_for_one(rows) {
        rows = input;
    }
    let count = LogicalPlanBuilder::from(rows.clone()).aggregate(Vec::<Expr>::new(), vec![count_all()])?.build()?;
    let (count, skip) = (scalar_subquery(Arc::new(count)), lit(i64::try_from(skip).unwrap_or(i64::MAX)));
    Ok(if negated { count.lt_eq(skip) } else { count.gt(skip) })
}

/// # Errors
/// When a plan that is made to be carried out still has what refers to the row around it, or asks for rows among columns.
pub(super) fn check_none_left(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| match part {
                Expr::InSubquery(_) | Expr::Exists(_) => plan_err!(
                    "IN (SELECT …) and EXISTS {FOR_ROWS_ALONE}"
                ),
                Expr::ScalarSubquery(subquery) if !subquery.outer_ref_columns.is_empty() => plan_err!(
                    "a subquery that is a value compares with the row around it by = alone, in its WHERE, and has no LIMIT; write \
                     it as a join with GROUP BY, or with row_number()"
                ),
                Expr::OuterReferenceColumn(_, column) => plan_err!(
                    "{column} of the row around cannot be used here; of a list, write unnest({}) among the columns, and LATERAL as \
                     a join",
                    column.name
                ),
                _ => Ok(TreeNodeRecursion::Continue),
            })
        })
    })
    .map(drop)
}

fn check(subquery: &Subquery) -> Result<()> {
    if subquery.outer_ref_columns.is_empty() { Ok(()) } else { references(&subquery.subquery, &mut false).map(drop) }
}

/// The conditions in the plan that refer to the row around it. `is_any` is true once there was one, in any part of the
/// subquery: then EXISTS drops limits.
///
/// # Errors
/// When one of them is below what it may not be taken out of.
fn references<'p>(plan: &'p LogicalPlan, is_any: &mut bool) -> Result<Vec<&'p Expr>> {
    if matches!(plan, LogicalPlan::Subquery(_)) {
        return Ok(Vec::new());
    }
    let mut sides = Vec::new();
    for input in plan.inputs() {
        sides.push(references(input, is_any)?);
    }
    let has = |side: usize| sides.get(side).is_some_and(|found: &Vec<&Expr>| !found.is_empty());
    let refused = match plan {
        LogicalPlan::Limit(_) if *is_any => Some("LIMIT or OFFSET"),
        LogicalPlan::Distinct(Distinct::On(_)) if has(0) => Some("DISTINCT ON"),
        LogicalPlan::Window(window) if !sides[0].iter().all(|condition| is_of_one_part(window, condition)) => {
            Some("a window function")
        }
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::Inner => None,
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark if !has(0) => None,
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark if !has(1) => None,
            _ if !has(0) && !has(1) => None,
            _ => Some("the side of an outer join, INTERSECT or EXCEPT that need not have a row"),
        },
        _ => None,
    };
    if let Some(what) = refused {
        return plan_err!(
            "a subquery may not refer to the row around it below {what}; write it as a join, or count with row_number() \
             OVER (PARTITION BY the compared columns) in a subquery of FROM"
        );
    }
    let mut found: Vec<&Expr> = sides.into_iter().flatten().collect();
    if let LogicalPlan::Filter(filter) = plan {
        found.extend(split_conjunction(&filter.predicate).into_iter().filter(|condition| condition.contains_outer()));
    }
    *is_any |= !found.is_empty();
    Ok(found)
}

/// True when the window looks at rows that are equal in what the condition compares with the row around.
fn is_of_one_part(window: &Window, condition: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { return false };
    let compared = match (left.contains_outer(), right.contains_outer()) {
        (true, false) if !left.any_column_refs() => right,
        (false, true) if !right.any_column_refs() => left,
        _ => return false,
    };
    window.window_expr.iter().all(|expr| match expr.clone().unalias() {
        Expr::WindowFunction(function) => function.params.partition_by.contains(compared),
        _ => false,
    })
}

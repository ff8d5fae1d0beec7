//! `IN` a subquery where null and false are not the same.
//!
//! Owns: the third value of `x IN (S)`: null where no row of S equals `x`, and `x` or a row of S is null. It takes two more
//! subqueries, which are asked for only where the value matters and nulls are possible. Also the one row that aggregates
//! without groups always have, for IN and EXISTS.
//! Does not own: `IN` that alone, or with AND and OR, chooses rows, and `NOT IN` that does so without references to what is around
//! it (DataFusion's semi and anti joins); IN lists.
//!
//! Why it is needed: DataFusion 54.1 makes a join with a mark of each `IN` inside of another expression, and the mark is true
//! or false. `NOT IN` with a reference is an anti join of several keys, which it does not carry out, and aggregates with a
//! reference are a join with groups, among which there is none of no rows.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::functions_aggregate::count::count_all;
use datafusion::logical_expr::expr::{Case, InSubquery};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, Distinct, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, exists, lit, not,
    scalar_subquery,
};
use datafusion::optimizer::AnalyzerRule;

/// The rule; it belongs before the coercion of types.
#[derive(Debug)]
pub(super) struct ThirdValue;

impl AnalyzerRule for ThirdValue {
    fn name(&self) -> &'static str {
        "third_value"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let is_choosing = matches!(node, LogicalPlan::Filter(_) | LogicalPlan::Join(_));
            if !is_choosing {
                return Ok(Transformed::no(node));
            }
            let schema = merge_schema(&node.inputs());
            node.map_expressions(|expr| match has_membership(&expr)? {
                true => chosen(expr, &schema, true).map(Transformed::yes),
                false => Ok(Transformed::no(expr)),
            })
        })
        .data()
    }
}

fn has_membership(expr: &Expr) -> Result<bool> {
    expr.exists(|part| Ok(matches!(part, Expr::InSubquery(_) | Expr::Exists(_))))
}

/// A condition, of which null is false. `is_alone` where all of it must be true for a row.
fn chosen(expr: Expr, schema: &DFSchema, is_alone: bool) -> Result<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let is_alone = is_alone && op == Operator::And;
            let (left, right) = (chosen(*left, schema, is_alone)?, chosen(*right, schema, is_alone)?);
            Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
        }
        Expr::InSubquery(list) if is_own_row(&list.subquery) => membership(list, schema),
        Expr::InSubquery(list) if !list.negated || (is_alone && list.subquery.outer_ref_columns.is_empty()) => {
            Ok(Expr::InSubquery(list))
        }
        Expr::Not(operand) => match *operand {
            Expr::InSubquery(list) => {
                chosen(Expr::InSubquery(InSubquery { negated: !list.negated, ..list }), schema, is_alone)
            }
            other => valued(Expr::Not(Box::new(other)), schema),
        },
        other => valued(other, schema),
    }
}

/// True for one row of aggregates, whatever rows the subquery reads.
pub(super) fn is_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Distinct(Distinct::All(_)) => plan.inputs().into_iter().all(is_one_row),
        _ => false,
    }
}

/// True for one row of aggregates that depends on what is around the subquery.
fn is_own_row(subquery: &Subquery) -> bool {
    !subquery.outer_ref_columns.is_empty() && is_one_row(&subquery.subquery)
}

/// The expression with each IN in it as one of three values.
fn valued(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    expr.transform_up(|part| match part {
        Expr::InSubquery(list) => membership(list, schema).map(Transformed::yes),
        Expr::Exists(exists) if is_own_row(&exists.subquery) => Ok(Transformed::yes(lit(!exists.negated))),
        other => Ok(Transformed::no(other)),
    })
    .data()
}

fn membership(list: InSubquery, schema: &DFSchema) -> Result<Expr> {
    if is_own_row(&list.subquery) {
        // A join finds no row of aggregates where their rows are none; a scalar subquery does.
        let (expr, value) = (*list.expr, Expr::ScalarSubquery(list.subquery));
        return Ok(if list.negated { expr.not_eq(value) } else { expr.eq(value) });
    }
    let (negated, rows) = (list.negated, list.subquery.subquery.schema());
    let column = Expr::Column(Column::from(rows.qualified_field(0)));
    let (may_be_null, may_have_null) = (list.expr.nullable(schema)?, rows.field(0).is_nullable());
    let (expr, subquery) = (list.expr.clone(), list.subquery.clone());
    let is_in = Expr::InSubquery(InSubquery { negated: false, ..list });
    let mut cases = vec![(Box::new(is_in), Box::new(lit(true)))];
    let unknown = || Box::new(Expr::Literal(ScalarValue::Boolean(None), None));
    if may_be_null {
        cases.push((Box::new(expr.is_null().and(has_rows(&subquery, None)?)), unknown()));
    }
    if may_have_null {
        cases.push((Box::new(has_rows(&subquery, Some(column.is_null()))?), unknown()));
    }
    let case = Expr::Case(Case { expr: None, when_then_expr: cases, else_expr: Some(Box::new(lit(false))) });
    Ok(if negated { not(case) } else { case })
}

/// True when the subquery has a row for which the condition is true. Without references there is one answer for all rows.
fn has_rows(subquery: &Subquery, condition: Option<Expr>) -> Result<Expr> {
    let rows = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone());
    let rows = match condition {
        Some(condition) => rows.filter(condition)?,
        None => rows,
    };
    if !subquery.outer_ref_columns.is_empty() {
        return Ok(exists(Arc::new(rows.build()?)));
    }
    let count = rows.aggregate(Vec::<Expr>::new(), vec![count_all()])?.build()?;
    Ok(scalar_subquery(Arc::new(count)).gt(lit(0_i64)))
}

//! Comparing spans of time: intervals, and differences of times.
//!
//! Owns: that they are compared, found and ordered by their length, as in PostgreSQL: a day has 24 hours, a month 30 days. Where
//! that is not made, in groups, DISTINCT, `greatest`, `least` and windows of `min` and `max`, an interval is refused.
//! Does not own: the length (`length`), what an interval is added to (Arrow), its parts (`times`).
//!
//! Why it is needed: DataFusion 54.1 makes an interval of nanoseconds of each difference, and compares intervals by their months
//! first, then days, then nanoseconds: four days are less than `INTERVAL '1 day'`.

mod length;
mod places;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction, Sort, WindowFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, when};
use datafusion::optimizer::AnalyzerRule;

use self::length::length;
use super::rewriting::rewrite_typed;

/// The rule; it belongs before the coercion of types.
#[derive(Debug)]
pub(super) struct SpansByLength;

impl AnalyzerRule for SpansByLength {
    fn name(&self) -> &'static str {
        "spans_by_length"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let change =
            |node| rewrite_typed(node, &compared)?.transform_data(|node| Ok(Transformed::yes(places::compared(node)?)));
        Ok(plan.transform_up_with_subqueries(change)?.data)
    }
}

/// The expression with its own operands by their length, where it compares intervals.
fn compared(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match &mut expr {
        Expr::BinaryExpr(binary) if is_comparison(binary.op) => {
            by_length(schema, vec![&mut *binary.left, &mut *binary.right]);
        }
        Expr::Between(between) => by_length(schema, vec![&mut *between.expr, &mut *between.low, &mut *between.high]),
        Expr::InList(list) => by_length(schema, list.list.iter_mut().chain([&mut *list.expr]).collect()),
        Expr::Case(case) => {
            if let Some(operand) = &mut case.expr {
                let whens = case.when_then_expr.iter_mut().map(|(when, _)| &mut **when);
                by_length(schema, whens.chain([&mut **operand]).collect());
            }
        }
        Expr::InSubquery(list) => places::subquery(&mut list.expr, &mut list.subquery, schema)?,
        Expr::SetComparison(set) => places::subquery(&mut set.expr, &mut set.subquery, schema)?,
        Expr::ScalarFunction(function) => {
            if let Some(changed) = chosen(function, schema)? {
                return Ok(Transformed::yes(changed));
            }
        }
        Expr::AggregateFunction(function) => aggregated(function, schema)?,
        Expr::WindowFunction(function) => windowed(function, schema)?,
        _ => return Ok(Transformed::no(expr)),
    }
    Ok(Transformed::yes(expr))
}

fn is_comparison(operator: Operator) -> bool {
    operator.supports_propagation() || matches!(operator, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
}

/// True for a type that is compared member by member.
fn is_interval(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(_))
}

fn is_interval_expr(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|data_type| is_interval(&data_type))
}

/// Makes lengths of the expressions, unless they are all differences of times of one unit.
fn by_length(schema: &DFSchema, exprs: Vec<&mut Expr>) {
    let types: Vec<_> = exprs.iter().map(|expr| expr.get_type(schema).unwrap_or(DataType::Null)).collect();
    let is_duration = |data_type: &DataType| matches!(data_type, DataType::Duration(_));
    let Some(first) = types.iter().find(|data_type| is_interval(data_type) || is_duration(data_type)) else { return };
    if is_duration(first) && types.iter().all(|data_type| data_type == first || data_type.is_null()) {
        return;
    }
    for (expr, data_type) in exprs.into_iter().zip(types) {
        if is_interval(&data_type) || is_duration(&data_type) {
            *expr = length(std::mem::take(expr));
        }
    }
}

/// What functions that compare their arguments make of intervals; `None` for any other function.
fn chosen(function: &mut ScalarFunction, schema: &DFSchema) -> Result<Option<Expr>> {
    let has_interval = |args: &[Expr]| args.iter().any(|arg| is_interval_expr(arg, schema));
    match function.func.name() {
        "nullif" if has_interval(&function.args) && function.args.len() == 2 => {
            let value = function.args[0].clone();
            let (mut left, mut right) = (value.clone(), function.args[1].clone());
            by_length(schema, vec![&mut left, &mut right]);
            let none = ScalarValue::try_from(value.get_type(schema)?)?;
            when(left.eq(right), Expr::Literal(none, None)).otherwise(value).map(Some)
        }
        name @ ("greatest" | "least") if has_interval(&function.args) => {
            let name = name.to_owned();
            function.args.iter_mut().for_each(as_duration);
            if has_interval(&function.args) {
                return plan_err!(
                    "{name} takes no intervals but such as INTERVAL '5 days', of days and times; compare with CASE instead"
                );
            }
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// Makes a difference of times of a literal interval without months.
fn as_duration(expr: &mut Expr) {
    if let Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) = expr
        && interval.months == 0
        && interval.nanoseconds % 1_000 == 0
    {
        let micros = i64::from(interval.days) * 86_400_000_000 + interval.nanoseconds / 1_000;
        *expr = Expr::Literal(ScalarValue::DurationMicrosecond(Some(micros)), None);
    }
}

fn aggregated(function: &mut AggregateFunction, schema: &DFSchema) -> Result<()> {
    let params = &mut function.params;
    sorted(&mut params.order_by, schema);
    let Some(value) = params.args.first_mut().filter(|value| is_interval_expr(value, schema)) else { return Ok(()) };
    match function.func.name() {
        name @ ("min" | "max") => {
            let order = Sort::new(length(value.clone()), name == "min", false);
            (params.distinct, params.order_by) = (false, vec![order]);
            function.func = first_value_udaf();
        }
        "count" if params.distinct => *value = length(std::mem::take(value)),
        name if params.distinct => return refused(&format!("{name}(DISTINCT …)")),
        _ => {}
    }
    Ok(())
}

fn windowed(function: &mut WindowFunction, schema: &DFSchema) -> Result<()> {
    let name = function.fun.name().to_owned();
    let params = &mut function.params;
    sorted(&mut params.order_by, schema);
    for part in &mut params.partition_by {
        if is_interval_expr(part, schema) {
            *part = length(std::mem::take(part));
        }
    }
    let compares = params.distinct || matches!(name.as_str(), "min" | "max");
    match compares && params.args.iter().any(|value| is_interval_expr(value, schema)) {
        true => refused(&format!("{name} … OVER")),
        false => Ok(()),
    }
}

fn sorted(order: &mut [Sort], schema: &DFSchema) {
    for sort in order {
        if is_interval_expr(&sort.expr, schema) {
            sort.expr = length(std::mem::take(&mut sort.expr));
        }
    }
}

/// The error of a place where intervals would be compared member by member.
fn refused<T>(place: &str) -> Result<T> {
    plan_err!(
        "{place} takes no interval, since equal ones may be written differently; use extract(epoch FROM …) of it instead"
    )
}

//! Times in microseconds, which hold all years that are stored.
//!
//! Owns: that `TIMESTAMP` in SQL, the current time, texts and dates that meet times, and times in another zone have
//! microseconds, and the functions of such times (`functions`), also in sets of rows (`sets`), and times of day moved by
//! intervals (`of_day`).
//! Does not own: other casts and coercions (DataFusion); `timestamp(9)` and `to_timestamp`, which have nanoseconds.
//!
//! Why it is needed, for DataFusion 54.1. It gives all of these nanoseconds, which end in 1677 and in 2262. One row with the
//! time 9999-12-31 would make an error of the query.

mod bins;
pub(super) mod functions;
pub(super) mod of_day;
pub(super) mod parts;
mod sets;

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Cast, TryCast};
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, cast};
use datafusion::optimizer::AnalyzerRule;
use datafusion::sql::sqlparser::ast::{self, TimezoneInfo};

use super::rewriting::rewrite_typed;

const ZONE: &str = "UTC";
/// Functions of a time, which would make nanoseconds of a date.
const FUNCTIONS: [&str; 2] = ["date_trunc", "date_bin"];
/// Functions that return one of their arguments, or compare them.
const CHOOSING: [&str; 6] = ["coalesce", "nvl", "ifnull", "nullif", "greatest", "least"];

/// The types `TIMESTAMP` and `TIMESTAMP WITH TIME ZONE`.
#[derive(Debug)]
pub(super) struct Microseconds;

impl TypePlanner for Microseconds {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>> {
        let zone = match sql_type {
            ast::DataType::Timestamp(None, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => Some(ZONE.into()),
            ast::DataType::Timestamp(None, _) | ast::DataType::Datetime(None) => None,
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(Field::new("", DataType::Timestamp(TimeUnit::Microsecond, zone), true))))
    }
}

/// The rule; it belongs before the coercion of types.
#[derive(Debug)]
pub(super) struct TimesInMicroseconds;

impl AnalyzerRule for TimesInMicroseconds {
    fn name(&self) -> &'static str {
        "times_in_microseconds"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let in_microseconds = |expr, schema: &DFSchema| in_microseconds(expr, schema).map(Transformed::yes);
        let change = |node| {
            rewrite_typed(node, &in_microseconds)?.transform_data(|node| sets::alike(node).map(Transformed::yes))
        };
        Ok(plan.transform_up_with_subqueries(change)?.data)
    }
}

/// The expression with its own operands, or itself, in microseconds.
fn in_microseconds(mut expr: Expr, schema: &DFSchema) -> Result<Expr> {
    match &mut expr {
        Expr::ScalarFunction(function) if matches!(function.func.name(), "now" | "current_timestamp") => {
            return Ok(cast(expr, DataType::Timestamp(TimeUnit::Microsecond, Some(ZONE.into()))));
        }
        // Only a zone in SQL is planned so: that of a type is UTC.
        Expr::Cast(Cast { expr: operand, field }) | Expr::TryCast(TryCast { expr: operand, field }) => {
            if let DataType::Timestamp(TimeUnit::Nanosecond, Some(zone)) = field.data_type()
                && operand.get_type(schema).is_ok_and(|operand| !is_in_nanoseconds(&operand))
            {
                let in_zone = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::clone(zone)));
                *field = Arc::new(field.as_ref().clone().with_data_type(in_zone));
            }
        }
        Expr::BinaryExpr(binary) if is_comparison(binary.op) => {
            alike(schema, vec![&mut *binary.left, &mut *binary.right])?;
        }
        Expr::Between(between) => {
            alike(schema, vec![&mut *between.expr, &mut *between.low, &mut *between.high])?;
        }
        Expr::InList(list) => alike(schema, list.list.iter_mut().chain([&mut *list.expr]).collect())?,
        Expr::ScalarFunction(function) if CHOOSING.contains(&function.func.name()) => {
            alike(schema, function.args.iter_mut().collect())?;
        }
        Expr::ScalarFunction(function) if FUNCTIONS.contains(&function.func.name()) => {
            for argument in &mut function.args {
                if matches!(argument.get_type(schema), Ok(DataType::Date32)) {
                    *argument = cast(std::mem::take(argument), DataType::Timestamp(TimeUnit::Microsecond, None));
                }
            }
        }
        Expr::ScalarFunction(function) if function.func.name() == "make_array" => {
            dates_alike(schema, function.args.iter_mut().collect());
        }
        Expr::Case(case) => {
            let (mut compared, mut results) = (Vec::new(), Vec::new());
            for (when, then) in &mut case.when_then_expr {
                compared.push(&mut **when);
                results.push(&mut **then);
            }
            if let Some(operand) = case.expr.as_deref_mut() {
                compared.push(operand);
                alike(schema, compared)?;
            }
            results.extend(case.else_expr.as_deref_mut());
            dates_alike(schema, results);
        }
        Expr::InSubquery(list) => sets::subquery(&mut list.expr, &mut list.subquery, schema)?,
        Expr::SetComparison(set) => sets::subquery(&mut set.expr, &mut set.subquery, schema)?,
        _ => {}
    }
    Ok(expr)
}

fn is_comparison(operator: Operator) -> bool {
    operator.supports_propagation() || matches!(operator, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
}

fn is_in_nanoseconds(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(TimeUnit::Nanosecond, _))
}

/// The type of a time in microseconds beside others; `None` where there is no time, or one with nanoseconds.
fn time_among<'t>(types: impl Iterator<Item = &'t DataType>) -> Option<DataType> {
    let mut wanted = None;
    for data_type in types {
        match data_type {
            DataType::Timestamp(TimeUnit::Nanosecond, _) => return None,
            DataType::Timestamp(_, zone) => {
                wanted.get_or_insert_with(|| DataType::Timestamp(TimeUnit::Microsecond, zone.clone()));
            }
            _ => {}
        }
    }
    wanted
}

/// The type of dates that meet times; `None` where no date meets one.
fn meeting<'t>(types: impl Iterator<Item = &'t DataType> + Clone) -> Option<DataType> {
    if types.clone().any(|data_type| *data_type == DataType::Date32) { time_among(types) } else { None }
}

/// Makes times of the dates and texts that are compared with times, none of which has nanoseconds.
///
/// # Errors
/// When a time is compared with a number, which DataFusion takes for days since 1970.
fn alike(schema: &DFSchema, exprs: Vec<&mut Expr>) -> Result<()> {
    let types: Vec<_> = exprs.iter().filter_map(|expr| expr.get_type(schema).ok()).collect();
    let has_number = types.iter().any(DataType::is_numeric);
    if let Some(time) = types.iter().find(|data_type| is_time(data_type)).filter(|_| has_number) {
        return plan_err!(
            "a {} is compared with a number; write it in quotes, as DATE '2024-02-29'",
            if matches!(time, DataType::Date32 | DataType::Date64) { "date" } else { "time" }
        );
    }
    as_times(schema, exprs, |data_type| *data_type == DataType::Date32 || data_type.is_string());
    Ok(())
}

fn is_time(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_)
    )
}

/// Makes times of the dates that are put beside times, none of which has nanoseconds.
fn dates_alike(schema: &DFSchema, exprs: Vec<&mut Expr>) {
    as_times(schema, exprs, |data_type| *data_type == DataType::Date32);
}

fn as_times(schema: &DFSchema, exprs: Vec<&mut Expr>, is_cast: fn(&DataType) -> bool) {
    let types: Vec<_> = exprs.iter().map(|expr| expr.get_type(schema).unwrap_or(DataType::Null)).collect();
    let Some(wanted) = time_among(types.iter()) else { return };
    for (expr, data_type) in exprs.into_iter().zip(types) {
        if is_cast(&data_type) {
            *expr = cast(std::mem::take(expr), wanted.clone());
        }
    }
}

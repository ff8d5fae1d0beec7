//! Window frames by RANGE with an offset.
//!
//! Owns: that rows without a value of the order are a part of their own, as the standard says of such frames; refusing an offset
//! that does not fit the order: a bare number for times and dates, more digits than a decimal has, and any for other spans; and a
//! default of `lag` and `lead` that the column cannot have.
//! Does not own: other frames, and what is computed over them (DataFusion).
//!
//! Why it is needed, for DataFusion 54.1. Nulls come into frames of values beside them, and values into those of nulls. A bare
//! number is an interval of so many months beside a time, and is rounded beside a decimal.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{DFSchema, ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Window, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition,
};
use datafusion::optimizer::AnalyzerRule;

/// Window functions that look at their frame; aggregates all do.
const FRAMED: [&str; 3] = ["first_value", "last_value", "nth_value"];

/// The rule; it belongs before the coercion of types.
#[derive(Debug)]
pub(super) struct FramesOfValues;

impl AnalyzerRule for FramesOfValues {
    fn name(&self) -> &'static str {
        "frames_of_values"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Window(window) => divided(window),
            other => Ok(Transformed::no(other)),
        })
        .data()
    }
}

/// The window with nulls apart where frames need it. Functions with other parts are a window of their own.
fn divided(window: Window) -> Result<Transformed<LogicalPlan>> {
    let schema = window.input.schema();
    let mut apart = Vec::new();
    for expr in &window.window_expr {
        if let Some(function) = function_of(expr) {
            check(&function.params, schema)?;
            check_default(function, schema)?;
            apart.extend(with_nulls_apart(function, schema)?.map(|changed| (expr, changed)));
        }
    }
    if apart.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Window(window)));
    }
    let others: Vec<Expr> =
        window.window_expr.iter().filter(|expr| apart.iter().all(|(changed, _)| changed != expr)).cloned().collect();
    let apart: Vec<Expr> =
        apart.iter().map(|(expr, changed)| changed.clone().alias(expr.schema_name().to_string())).collect();
    let mut plan = LogicalPlanBuilder::from(window.input.as_ref().clone());
    if !others.is_empty() {
        plan = plan.window(others)?;
    }
    let columns = window.schema.columns().into_iter().map(Expr::Column);
    plan.window(apart)?.project(columns)?.build().map(Transformed::yes)
}

fn function_of(expr: &Expr) -> Option<&WindowFunction> {
    match expr {
        Expr::Alias(alias) => function_of(&alias.expr),
        Expr::WindowFunction(function) => Some(function),
        _ => None,
    }
}

/// The function with nulls of the order as parts of their own; `None` where its frame has no need of them.
fn with_nulls_apart(function: &WindowFunction, schema: &DFSchema) -> Result<Option<Expr>> {
    let params = &function.params;
    let (frame, [order]) = (&params.window_frame, params.order_by.as_slice()) else { return Ok(None) };
    let is_framed = match &function.fun {
        WindowFunctionDefinition::AggregateUDF(_) => true,
        WindowFunctionDefinition::WindowUDF(function) => FRAMED.contains(&function.name()),
    };
    let is_bounded = !is_unbounded(&frame.start_bound) && !is_unbounded(&frame.end_bound);
    if !is_framed || !is_bounded || offsets(params).next().is_none() || !order.expr.nullable(schema)? {
        return Ok(None);
    }
    let mut apart = function.clone();
    apart.params.partition_by.push(order.expr.clone().is_null());
    Ok(Some(Expr::WindowFunction(Box::new(apart))))
}

fn is_unbounded(bound: &WindowFrameBound) -> bool {
    matches!(bound, WindowFrameBound::Preceding(offset) | WindowFrameBound::Following(offset) if offset.is_null())
}

/// The offsets of a frame by RANGE, as they were written.
fn offsets(params: &WindowFunctionParams) -> impl Iterator<Item = &ScalarValue> {
    let frame = &params.window_frame;
    let bounds = [&frame.start_bound, &frame.end_bound].into_iter().filter(|_| frame.units == WindowFrameUnits::Range);
    bounds.filter_map(|bound| match bound {
        WindowFrameBound::Preceding(offset) | WindowFrameBound::Following(offset) if !offset.is_null() => Some(offset),
        _ => None,
    })
}

/// # Errors
/// When an offset of the frame is none for the order.
fn check(params: &WindowFunctionParams, schema: &DFSchema) -> Result<()> {
    let [order] = params.order_by.as_slice() else { return Ok(()) };
    let ordered = order.expr.get_type(schema)?;
    for offset in offsets(params).filter_map(|offset| offset.try_as_str().flatten()) {
        let is_number = offset.trim().parse::<f64>().is_ok();
        match &ordered {
            DataType::Interval(_) | DataType::Duration(_) => {
                return plan_err!(
                    "RANGE with an offset takes no order by intervals; order by extract(epoch FROM …) instead"
                );
            }
            time if time.is_temporal() && is_number => {
                return plan_err!(
                    "RANGE {offset} has no unit for an order of type {time}; write INTERVAL '{offset} days' or the like"
                );
            }
            DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale)
                if digits_behind(offset) > i32::from(*scale) =>
            {
                return plan_err!(
                    "RANGE {offset} has more digits behind the point than the order, of type {ordered}; cast the order"
                );
            }
            _ => {}
        }
    }
    Ok(())
}

/// # Errors
/// When the default of `lag` or `lead` is no value of the column, which would be altered.
fn check_default(function: &WindowFunction, schema: &DFSchema) -> Result<()> {
    let WindowFunctionDefinition::WindowUDF(of) = &function.fun else { return Ok(()) };
    let ("lag" | "lead", [column, _, default]) = (of.name(), function.params.args.as_slice()) else { return Ok(()) };
    let value = match default {
        Expr::Literal(value, _) => value.clone(),
        Expr::Negative(inner) => match inner.as_ref() {
            Expr::Literal(value, _) => value.arithmetic_negate()?,
            _ => return Ok(()),
        },
        _ => return Ok(()),
    };
    let (wanted, given) = (column.get_type(schema)?, value.data_type());
    if value.is_null() || !given.is_numeric() || !wanted.is_numeric() {
        return Ok(());
    }
    let is_kept = value.cast_to(&wanted).and_then(|cast| cast.cast_to(&given)).is_ok_and(|back| back == value);
    if is_kept {
        return Ok(());
    }
    plan_err!("{value} is no {wanted}, which the column of {} is; cast the column to a type that has both", of.name())
}

/// Digits behind the point that are not zero at the end.
fn digits_behind(number: &str) -> i32 {
    let number = number.trim().to_ascii_lowercase();
    let (number, exponent) = number.split_once('e').unwrap_or((&number, "0"));
    let behind = number.split_once('.').map_or("", |(_, behind)| behind).trim_end_matches('0');
    let exponent = exponent.parse().unwrap_or(0);
    i32::try_from(behind.len()).unwrap_or(i32::MAX).saturating_sub(exponent)
}

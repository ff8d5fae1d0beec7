//! Makes one type of floats, decimals and integers that meet, so that nothing is rounded that need not be.
//!
//! Owns: where floats and decimals meet: in comparisons, lists, branches, functions that choose an argument, joins, unions and
//! `+`, `-`, `*`. A literal there is a decimal with its digits; any other float makes floats of the decimals. A literal that is
//! compared with an integer is a decimal too.
//! Does not own: the digits of literals (`literals`), types that are decimals and integers alone (DataFusion's coercion).
//!
//! Why it is needed. DataFusion 54.1 makes a decimal of 30 digits, 15 of them after the point, of a float and a decimal. The
//! query then fails at an infinity, at NaN and at every float beyond 1e15, and small floats are rounded: 1e-20 equals 0. In
//! arithmetic it makes a double of both, so that `amount + 0.1` is not the decimal 1.2; and an integer beyond 2^53 that is
//! compared with a literal is rounded.

mod arithmetic;
pub(super) mod literals;

use std::sync::Arc;

use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ExprSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::{
    Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, Union, cast,
};
use datafusion::optimizer::AnalyzerRule;

use self::arithmetic::computable;
use self::literals::{decimal_of, double_of};
use super::rewriting::rewrite_typed;

/// Functions that return one of their arguments, or compare them.
const CHOOSING: [&str; 7] = ["coalesce", "nvl", "ifnull", "nullif", "greatest", "least", "make_array"];
/// The rule; it belongs before the coercion of types.
#[derive(Debug)]
pub(super) struct MixedNumbers;

impl AnalyzerRule for MixedNumbers {
    fn name(&self) -> &'static str {
        "mixed_numbers"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(compared)?.data)
    }
}

fn compared(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let change = |expr, schema: &DFSchema| Ok(Transformed::yes(compared_expr(expr, schema)?));
    rewrite_typed(node, &change)?.transform_data(|node| {
        Ok(match node {
            LogicalPlan::Join(join) => Transformed::yes(LogicalPlan::Join(compared_keys(join))),
            LogicalPlan::Union(union) => Transformed::yes(compared_inputs(union)?),
            other => Transformed::no(other),
        })
    })
}

/// The expression with its own operands made alike.
fn compared_expr(mut expr: Expr, schema: &dyn ExprSchema) -> Result<Expr> {
    match &mut expr {
        Expr::BinaryExpr(binary) if is_comparison(binary.op) => {
            comparable(schema, vec![&mut *binary.left, &mut *binary.right]);
        }
        Expr::BinaryExpr(binary) => computable(schema, binary),
        Expr::Between(between) => {
            comparable(schema, vec![&mut *between.expr, &mut *between.low, &mut *between.high]);
        }
        Expr::InList(list) => comparable(schema, list.list.iter_mut().chain([&mut *list.expr]).collect()),
        Expr::Case(case) => {
            let (mut compared, mut results) = (Vec::new(), Vec::new());
            for (when, then) in &mut case.when_then_expr {
                compared.push(&mut **when);
                results.push(&mut **then);
            }
            if let Some(expr) = &mut case.expr {
                compared.push(expr);
                comparable(schema, compared);
            }
            results.extend(case.else_expr.as_deref_mut());
            alike(schema, results);
        }
        Expr::ScalarFunction(function) if CHOOSING.contains(&function.func.name()) => {
            alike(schema, function.args.iter_mut().collect());
        }
        Expr::InSubquery(list) => compared_subquery(&mut list.expr, &mut list.subquery, schema)?,
        Expr::SetComparison(set) => compared_subquery(&mut set.expr, &mut set.subquery, schema)?,
        _ => {}
    }
    Ok(expr)
}

fn is_comparison(operator: Operator) -> bool {
    operator.supports_propagation() || matches!(operator, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
}

/// Makes floats of the decimals, if one of the expressions is a float but no literal of a decimal; else decimals of such
/// literals, if one is a decimal.
fn alike(schema: &dyn ExprSchema, exprs: Vec<&mut Expr>) {
    let types: Vec<_> = exprs.iter().map(|expr| expr.get_type(schema).ok()).collect();
    let has_float = exprs.iter().zip(&types).any(|(expr, data_type)| is_float(data_type) && decimal_of(expr).is_none());
    let has_decimal = types.iter().any(is_decimal);
    for (expr, data_type) in exprs.into_iter().zip(types) {
        if has_float && is_decimal(&data_type) {
            *expr = as_float(std::mem::take(expr));
        } else if !has_float
            && has_decimal
            && let Some(decimal) = decimal_of(expr)
        {
            *expr = Expr::Literal(decimal, None);
        }
    }
}

/// The same for expressions that are compared: literals are decimals beside integers too, and the decimals have so many digits
/// that each holds the others.
fn comparable(schema: &dyn ExprSchema, mut exprs: Vec<&mut Expr>) {
    let types: Vec<_> = exprs.iter().map(|expr| expr.get_type(schema).ok()).collect();
    let is_exact = |data_type: &Option<DataType>| data_type.as_ref().is_some_and(|known| digits(known).is_some());
    let mut literals = exprs.iter().zip(&types).filter(|(_, data_type)| is_float(data_type));
    let all_literal = literals.all(|(expr, _)| decimal_of(expr).is_some());
    if !all_literal || !types.iter().any(is_exact) {
        return alike(schema, exprs);
    }
    let (mut before, mut behind, mut has_decimal) = (0, 0, false);
    for (expr, data_type) in exprs.iter_mut().zip(&types) {
        let decimal = if is_float(data_type) { decimal_of(expr) } else { None };
        let known = decimal.as_ref().map(ScalarValue::data_type).or_else(|| data_type.clone());
        if let Some((whole, scale)) = known.as_ref().and_then(digits) {
            (before, behind) = (before.max(whole), behind.max(scale));
            has_decimal |= is_decimal(&known);
        }
        if let Some(decimal) = decimal {
            **expr = Expr::Literal(decimal, None);
        }
    }
    let needed = before.saturating_add(behind);
    let (Ok(precision), Ok(scale)) = (u8::try_from(needed), i8::try_from(behind)) else { return };
    if has_decimal && precision > DECIMAL128_MAX_PRECISION && precision <= DECIMAL256_MAX_PRECISION {
        for (expr, _) in
            exprs.into_iter().zip(types).filter(|(_, data_type)| is_exact(data_type) || is_float(data_type))
        {
            *expr = cast(std::mem::take(expr), DataType::Decimal256(precision, scale));
        }
    }
}

/// Digits before and after the point that values of an exact type may have.
fn digits(data_type: &DataType) -> Option<(i16, i16)> {
    match data_type {
        DataType::Int8 | DataType::UInt8 => Some((3, 0)),
        DataType::Int16 | DataType::UInt16 => Some((5, 0)),
        DataType::Int32 | DataType::UInt32 => Some((10, 0)),
        DataType::Int64 | DataType::UInt64 => Some((20, 0)),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            Some((i16::from(*precision) - i16::from(*scale), i16::from(*scale).max(0)))
        }
        _ => None,
    }
}

fn compared_subquery(expr: &mut Expr, subquery: &mut Subquery, schema: &dyn ExprSchema) -> Result<()> {
    let listed = Some(subquery.subquery.schema().field(0).data_type().clone());
    let compared = expr.get_type(schema).ok();
    if is_decimal(&compared) && is_float(&listed) {
        *expr = as_float(std::mem::take(expr));
    }
    if is_float(&compared) && is_decimal(&listed) {
        match decimal_of(expr) {
            Some(decimal) => *expr = Expr::Literal(decimal, None),
            None => subquery.subquery = Arc::new(with_floats(&subquery.subquery, &[true])?),
        }
    }
    Ok(())
}

fn compared_keys(mut join: Join) -> Join {
    for (left, right) in &mut join.on {
        let types = (left.get_type(join.left.schema()).ok(), right.get_type(join.right.schema()).ok());
        if is_decimal(&types.0) && is_float(&types.1) {
            *left = as_float(std::mem::take(left));
        } else if is_float(&types.0) && is_decimal(&types.1) {
            *right = as_float(std::mem::take(right));
        }
    }
    join
}

fn compared_inputs(union: Union) -> Result<LogicalPlan> {
    // The union's own type is that of before its inputs were changed.
    let has = |column: usize, is_wanted: fn(&Option<DataType>) -> bool| {
        let schemas = union.inputs.iter().map(|input| input.schema()).chain([&union.schema]);
        let mut types = schemas.map(|schema| schema.fields().get(column));
        types.any(|field| is_wanted(&field.map(|field| field.data_type().clone())))
    };
    let mixed: Vec<bool> =
        (0..union.schema.fields().len()).map(|column| has(column, is_float) && has(column, is_decimal)).collect();
    if !mixed.contains(&true) {
        return Ok(LogicalPlan::Union(union));
    }
    let inputs = union.inputs.iter().map(|input| with_floats(input, &mixed).map(Arc::new));
    Ok(LogicalPlan::Union(Union::try_new_with_loose_types(inputs.collect::<Result<_>>()?)?))
}

/// The plan with the decimals among the marked columns as floats, under their names.
fn with_floats(plan: &LogicalPlan, is_marked: &[bool]) -> Result<LogicalPlan> {
    let columns = plan.schema().columns().into_iter().zip(plan.schema().fields()).zip(is_marked);
    let columns = columns.map(|((column, field), is_marked)| match *is_marked && field.data_type().is_decimal() {
        true => as_float(Expr::Column(column.clone())).alias_qualified(column.relation, column.name),
        false => Expr::Column(column),
    });
    LogicalPlanBuilder::from(plan.clone()).project(columns)?.build()
}

fn as_float(expr: Expr) -> Expr {
    double_of(&expr).unwrap_or_else(|| cast(expr, DataType::Float64))
}

fn is_float(data_type: &Option<DataType>) -> bool {
    data_type.as_ref().is_some_and(DataType::is_floating)
}

fn is_decimal(data_type: &Option<DataType>) -> bool {
    data_type.as_ref().is_some_and(DataType::is_decimal)
}

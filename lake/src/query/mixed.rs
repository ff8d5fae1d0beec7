//! Compares floats with decimals as floats.
//!
//! Owns: the casts of decimals to float64 where a float and a decimal meet: in comparisons, lists, branches, functions that
//! choose an argument, joins and unions.
//! Does not own: arithmetic, in which DataFusion makes a float of both; other types that meet (DataFusion's coercion).
//!
//! Why it is needed. DataFusion 54.1 makes a decimal of 30 digits, 15 of them after the point, of both sides. The query then
//! fails at an infinity, at NaN and at every float beyond 1e15, and small floats are rounded: 1e-20 equals 0. A literal that
//! such a decimal holds exactly stays one, so that `amount = 0.1` finds the decimal 0.1 and prunes by it.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ExprSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::{
    Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, Union, cast,
};
use datafusion::optimizer::AnalyzerRule;

use super::rewriting::rewrite_typed;

/// Functions that return one of their arguments, or compare them.
const CHOOSING: [&str; 7] = ["coalesce", "nvl", "ifnull", "nullif", "greatest", "least", "make_array"];
/// Digits after the point, and the first magnitude that is too large, of the decimals that DataFusion compares floats as.
const LITERAL_DIGITS: usize = 15;
const LITERAL_END: f64 = 1e15;

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

/// The expression with the decimals among its own operands as floats, where a float is among them.
fn compared_expr(mut expr: Expr, schema: &dyn ExprSchema) -> Result<Expr> {
    match &mut expr {
        Expr::BinaryExpr(binary) if is_comparison(binary.op) => {
            alike(schema, vec![&mut *binary.left, &mut *binary.right]);
        }
        Expr::Between(between) => {
            alike(schema, vec![&mut *between.expr, &mut *between.low, &mut *between.high]);
        }
        Expr::InList(list) => alike(schema, list.list.iter_mut().chain([&mut *list.expr]).collect()),
        Expr::Case(case) => {
            let (mut compared, mut results) = (Vec::new(), Vec::new());
            for (when, then) in &mut case.when_then_expr {
                compared.push(&mut **when);
                results.push(&mut **then);
            }
            if let Some(expr) = &mut case.expr {
                compared.push(expr);
                alike(schema, compared);
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

/// Casts the decimals to floats, if one of the expressions is a float that no decimal holds for certain.
fn alike(schema: &dyn ExprSchema, exprs: Vec<&mut Expr>) {
    let types: Vec<_> = exprs.iter().map(|expr| expr.get_type(schema).ok()).collect();
    let has_float = exprs.iter().zip(&types).any(|(expr, data_type)| is_float(data_type) && !fits_decimal(expr));
    if !has_float {
        return;
    }
    for (expr, data_type) in exprs.into_iter().zip(types) {
        if is_decimal(&data_type) {
            *expr = as_float(std::mem::take(expr));
        }
    }
}

fn compared_subquery(expr: &mut Expr, subquery: &mut Subquery, schema: &dyn ExprSchema) -> Result<()> {
    let listed = Some(subquery.subquery.schema().field(0).data_type().clone());
    let compared = expr.get_type(schema).ok();
    if is_decimal(&compared) && is_float(&listed) {
        *expr = as_float(std::mem::take(expr));
    }
    if is_float(&compared) && !fits_decimal(expr) && is_decimal(&listed) {
        subquery.subquery = Arc::new(with_floats(&subquery.subquery, &[true])?);
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
    cast(expr, DataType::Float64)
}

fn is_float(data_type: &Option<DataType>) -> bool {
    data_type.as_ref().is_some_and(DataType::is_floating)
}

fn is_decimal(data_type: &Option<DataType>) -> bool {
    data_type.as_ref().is_some_and(DataType::is_decimal)
}

/// True for a literal whose shortest digits are those of a decimal as DataFusion makes it.
fn fits_decimal(expr: &Expr) -> bool {
    match expr {
        Expr::Negative(operand) => fits_decimal(operand),
        Expr::Literal(ScalarValue::Float64(Some(value)), _) => {
            let digits = value.to_string();
            let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            value.abs() < LITERAL_END && decimals <= LITERAL_DIGITS
        }
        Expr::Literal(ScalarValue::Float64(None), _) => true,
        _ => false,
    }
}

//! What SQL means where DataFusion leaves it open.
//!
//! Owns: `->` and `->>` on JSON text, `extract` and `substring` as our functions, times of day plus and minus intervals, that a placeholder
//! which is added to a time is an interval, and members of objects
//! found without regard to case: the member that is spelled so, else the only one that differs in case alone.
//! Does not own: looking into JSON (`json`), parts of times (`times`), names of columns and tables (`names`).

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit};
use datafusion::common::{Column, DFSchema, ScalarValue, TableReference};
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::names::is_alike;
use super::times::of_day;
use super::times::parts::date_part;
use super::{binary, json};

#[derive(Debug)]
pub(super) struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let gives_text = match expr.op {
            BinaryOperator::Arrow => false,
            BinaryOperator::LongArrow => true,
            BinaryOperator::Plus | BinaryOperator::Minus => {
                let expr = with_interval(expr, schema);
                let is_minus = expr.op == BinaryOperator::Minus;
                let time = of_day::moved(&expr.left, &expr.right, is_minus, schema);
                return Ok(time.map_or_else(|| PlannerResult::Original(expr), PlannerResult::Planned));
            }
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let function = ScalarFunction::new_udf(json::operator(gives_text), vec![expr.left, expr.right]);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(function)))
    }

    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        let function = ScalarFunction::new_udf(Arc::new(date_part()), args);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(function)))
    }

    fn plan_substring(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        let function = ScalarFunction::new_udf(Arc::new(binary::substr()), args);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(function)))
    }

    fn plan_compound_identifier(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        members: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let mut expr = Expr::Column(Column::from((qualifier, field)));
        let mut data_type = Some(field.data_type());
        for member in members {
            let found = data_type.and_then(|data_type| find_member(data_type, member));
            expr = get_field(expr, found.map_or(member, Field::name).as_str());
            data_type = found.map(Field::data_type);
        }
        Ok(PlannerResult::Planned(expr))
    }

    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        if let GetFieldAccess::NamedStructField { name } = &access.field_access
            && let Some(Some(typed)) = name.try_as_str()
            && let Some(member) = find_member(&access.expr.get_type(schema)?, typed)
            && member.name() != typed
        {
            let name = ScalarValue::from(member.name().as_str());
            return Ok(PlannerResult::Planned(get_field(access.expr, name)));
        }
        Ok(PlannerResult::Original(access))
    }
}

/// What is added to a time is an interval, where it is a placeholder: DataFusion would take it for another time.
fn with_interval(mut expr: RawBinaryExpr, schema: &DFSchema) -> RawBinaryExpr {
    let is_time = |expr: &Expr| match expr.get_type(schema) {
        Ok(data_type) => {
            matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Time32(_) | DataType::Time64(_))
        }
        Err(_) => false,
    };
    let open = match (&mut expr.left, &mut expr.right) {
        (Expr::Placeholder(open), time) | (time, Expr::Placeholder(open)) if is_time(time) => open,
        _ => return expr,
    };
    if expr.op == BinaryOperator::Plus && open.field.is_none() {
        open.field = Some(Arc::new(Field::new("", DataType::Interval(IntervalUnit::MonthDayNano), true)));
    }
    expr
}

/// The member that is meant; `None` where several differ in case alone, or the type has no members.
fn find_member<'t>(data_type: &'t DataType, typed: &str) -> Option<&'t Field> {
    let DataType::Struct(members) = data_type else { return None };
    if let Some(exact) = members.iter().find(|member| member.name() == typed) {
        return Some(exact);
    }
    let mut alike = members.iter().filter(|member| is_alike(member.name(), typed));
    match (alike.next(), alike.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

//! Dates that meet times in sets of rows.
//!
//! Owns: that UNION, INTERSECT, EXCEPT, VALUES, keys of joins and IN a subquery make times in microseconds of dates.
//! Does not own: expressions in which dates meet times (`times`).

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{
    Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder, Subquery, Union, Values, cast,
};

use super::{is_in_nanoseconds, meeting};

/// The node with the dates among its own rows and keys as times, where they meet times.
pub(super) fn alike(node: LogicalPlan) -> Result<LogicalPlan> {
    Ok(match node {
        LogicalPlan::Union(union) => LogicalPlan::Union(inputs(union)?),
        LogicalPlan::Values(values) => LogicalPlan::Values(rows(values)?),
        LogicalPlan::Join(join) => LogicalPlan::Join(keys(join)?),
        other => other,
    })
}

fn inputs(union: Union) -> Result<Union> {
    let of_column = |column: usize| {
        let types = union.inputs.iter().filter_map(|input| input.schema().fields().get(column));
        meeting(types.map(|field| field.data_type()))
    };
    let wanted: Vec<_> = (0..union.schema.fields().len()).map(of_column).collect();
    if wanted.iter().all(Option::is_none) {
        return Ok(union);
    }
    let inputs = union.inputs.iter().map(|input| with_times(input, &wanted).map(Arc::new));
    Union::try_new_with_loose_types(inputs.collect::<Result<_>>()?)
}

/// The plan with its dates in the types that are wanted of its columns, under their names.
fn with_times(plan: &LogicalPlan, wanted: &[Option<DataType>]) -> Result<LogicalPlan> {
    let columns = plan.schema().columns().into_iter().zip(plan.schema().fields()).zip(wanted);
    let columns = columns.map(|((column, field), wanted)| match (field.data_type(), wanted) {
        (DataType::Date32, Some(wanted)) => {
            cast(Expr::Column(column.clone()), wanted.clone()).alias_qualified(column.relation, column.name)
        }
        _ => Expr::Column(column),
    });
    LogicalPlanBuilder::from(plan.clone()).project(columns)?.build()
}

/// The rows without the casts to nanoseconds that they were planned with.
fn rows(mut values: Values) -> Result<Values> {
    let mut fields = Vec::new();
    for (column, field) in values.schema.fields().iter().enumerate() {
        let wanted = if is_in_nanoseconds(field.data_type()) { type_of_cells(&values, column)? } else { None };
        fields.push(match &wanted {
            Some(wanted) => Arc::new(Field::new(field.name(), wanted.clone(), field.is_nullable())),
            None => Arc::clone(field),
        });
        let Some(wanted) = wanted else { continue };
        for row in &mut values.values {
            row[column] = match std::mem::take(&mut row[column]) {
                Expr::Cast(Cast { expr, .. }) => cast(*expr, wanted.clone()),
                _ => Expr::Literal(ScalarValue::try_from(&wanted)?, None),
            };
        }
    }
    values.schema = Arc::new(DFSchema::from_unqualified_fields(fields.into(), values.schema.metadata().clone())?);
    Ok(values)
}

/// The type in which the cells of a column meet; `None` where one has nanoseconds by itself.
fn type_of_cells(values: &Values, column: usize) -> Result<Option<DataType>> {
    let mut types = Vec::new();
    for row in &values.values {
        match &row[column] {
            Expr::Literal(value, _) if value.is_null() => {}
            Expr::Cast(Cast { expr, .. }) => types.push(expr.get_type(&DFSchema::empty())?),
            _ => return Ok(None),
        }
    }
    let is_known = |known: &DataType| matches!(known, DataType::Date32 | DataType::Timestamp(TimeUnit::Microsecond, _));
    Ok(if types.iter().all(is_known) { meeting(types.iter()) } else { None })
}

fn keys(mut join: Join) -> Result<Join> {
    for (left, right) in &mut join.on {
        let types = [left.get_type(join.left.schema())?, right.get_type(join.right.schema())?];
        let Some(wanted) = meeting(types.iter()) else { continue };
        for (key, data_type) in [left, right].into_iter().zip(types) {
            if data_type == DataType::Date32 {
                *key = cast(std::mem::take(key), wanted.clone());
            }
        }
    }
    Ok(join)
}

/// IN a subquery, or a comparison with its rows.
pub(super) fn subquery(expr: &mut Expr, subquery: &mut Subquery, schema: &DFSchema) -> Result<()> {
    let listed = subquery.subquery.schema().field(0).data_type().clone();
    let Ok(compared) = expr.get_type(schema) else { return Ok(()) };
    let Some(wanted) = meeting([&listed, &compared].into_iter()) else { return Ok(()) };
    if compared == DataType::Date32 {
        *expr = cast(std::mem::take(expr), wanted);
    } else {
        subquery.subquery = Arc::new(with_times(&subquery.subquery, &[Some(wanted)])?);
    }
    Ok(())
}

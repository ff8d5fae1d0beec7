//! Subqueries that are values, and have no row.
//!
//! Owns: that such a value may be null whatever its column is, unless there is always a row; that it has no metadata of its column.
//! Does not own: the third value of IN (`membership`), references to the row around (`correlated`).
//!
//! Why it is needed, for DataFusion 54.1: the value of `(SELECT _offset FROM t WHERE false)` is said to be never null, as the column
//! is. Then `IS NULL` is false, `coalesce` gives no default, and the null is an error. Metadata are lost when plans are made, and missed
//! by groups.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Subquery, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use super::membership::is_one_row;
use super::rewriting::rewrite_typed;

/// The rule; it belongs before the coercion of types, and behind rules that make subqueries.
#[derive(Debug)]
pub(super) struct NullWithoutRow;

impl AnalyzerRule for NullWithoutRow {
    fn name(&self) -> &'static str {
        "null_without_row"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let change = |expr, _: &_| match expr {
            Expr::ScalarSubquery(subquery) if needs_change(&subquery) => {
                Ok(Transformed::yes(Expr::ScalarSubquery(nullable(subquery)?)))
            }
            other => Ok(Transformed::no(other)),
        };
        Ok(plan.transform_up_with_subqueries(|node| rewrite_typed(node, &change))?.data)
    }
}

fn needs_change(subquery: &Subquery) -> bool {
    let column = subquery.subquery.schema().field(0);
    let has_metadata = !column.metadata().is_empty() && subquery.outer_ref_columns.is_empty();
    has_metadata || !column.is_nullable() && !has_row(&subquery.subquery)
}

/// True where there is a row in any case.
fn has_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        LogicalPlan::Values(values) => !values.values.is_empty(),
        LogicalPlan::Projection(projection) => has_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_row(&alias.input),
        other => is_one_row(other),
    }
}

/// The same rows under the same name, in a column that may be null.
fn nullable(subquery: Subquery) -> Result<Subquery> {
    let columns = subquery.subquery.schema().columns().into_iter().map(|column| {
        // Nothing but this one name is known of the subquery outside.
        let name = column.name.clone();
        let signature = Signature::any(1, Volatility::Volatile);
        let function = Arc::new(ScalarUDF::new_from_impl(MayBeNull { signature }));
        Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![Expr::Column(column)])).alias(name)
    });
    let plan = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone()).project(columns)?.build()?;
    Ok(Subquery { subquery: Arc::new(plan), ..subquery })
}

/// Gives its operand. It says that it is volatile, so that it is there when the rows are read.
#[derive(Debug, PartialEq, Eq, Hash)]
struct MayBeNull {
    signature: Signature,
}

impl ScalarUDFImpl for MayBeNull {
    fn name(&self) -> &'static str {
        "may_be_null"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), args.arg_fields[0].data_type().clone(), true)))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(args.args.swap_remove(0))
    }
}

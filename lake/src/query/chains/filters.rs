//! Long chains of AND in the filters of physical plans.
//!
//! Owns: making them flat, in filters and in scans. DataFusion puts the predicates together anew when it pushes them down,
//! as deep as they are long. Does not own: pushing them (`pushdown`), chains in logical plans (`chains`).
//!
//! Why it is needed, for DataFusion 54.1. For each batch, `BinaryExpr::evaluate` asks for the type of its result, and so of
//! every node below it: the time for a batch grows with the square of a chain's depth.
//!
//! A scan's predicate chooses files, row groups and pages by their statistics, in which no row can give an error: it
//! becomes a tree of little depth. A filter's operands stay in their order, each behind those before it.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::datasource::physical_plan::{FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::BinaryExpr;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};

use super::OPERANDS_MIN;
use super::in_turn::InTurn;

/// Makes the chains of filters and scans flat: one of the last rules, since others look into chains that they know.
#[derive(Debug)]
pub(in crate::query) struct FlattenFilters;

impl PhysicalOptimizerRule for FlattenFilters {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(flattened).data()
    }

    fn name(&self) -> &str {
        "flatten_filters"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn flattened(node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    if let Some(filter) = node.downcast_ref::<FilterExec>()
        && let Some(operands) = operands(filter.predicate())
    {
        let in_turn = Arc::new(InTurn::new(operands));
        let filter = FilterExecBuilder::from(filter).with_predicate(in_turn).build()?;
        return Ok(Transformed::yes(Arc::new(filter)));
    }
    let scan = node.downcast_ref::<DataSourceExec>();
    if let Some((config, source)) = scan.and_then(DataSourceExec::downcast_to_file_source::<ParquetSource>)
        && let Some(operands) = source.filter().as_ref().and_then(operands)
    {
        let mut config = config.clone();
        config.file_source = Arc::new(source.with_predicate(joined(&operands)));
        return Ok(Transformed::yes(DataSourceExec::from_data_source(config)));
    }
    Ok(Transformed::no(node))
}

/// The operands of a deep chain, in order.
fn operands(predicate: &Arc<dyn PhysicalExpr>) -> Option<Vec<Arc<dyn PhysicalExpr>>> {
    (depth(predicate) >= OPERANDS_MIN).then(|| split_conjunction(predicate).into_iter().cloned().collect())
}

/// The number of ANDs one in the left side of the other: DataFusion's chains grow to the left.
fn depth(predicate: &Arc<dyn PhysicalExpr>) -> usize {
    std::iter::successors(Some(predicate), |expr| left(expr)).count()
}

fn left(expr: &Arc<dyn PhysicalExpr>) -> Option<&Arc<dyn PhysicalExpr>> {
    let and = expr.downcast_ref::<BinaryExpr>().filter(|expr| *expr.op() == Operator::And);
    and.map(BinaryExpr::left)
}

/// The operands in their order, in a tree whose halves are alike.
fn joined(operands: &[Arc<dyn PhysicalExpr>]) -> Arc<dyn PhysicalExpr> {
    match operands {
        [one] => Arc::clone(one),
        some => {
            let (left, right) = some.split_at(some.len() / 2);
            Arc::new(BinaryExpr::new(joined(left), Operator::And, joined(right)))
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Array, BooleanArray, Int64Array, RecordBatch};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_expr::conjunction;
    use datafusion::physical_expr::expressions::{col, lit};

    use super::*;
    use crate::query::STACK_BYTES;

    fn batch() -> RecordBatch {
        let [n, m] = [("n", true), ("m", false)].map(|(name, nullable)| Field::new(name, DataType::Int64, nullable));
        let numbers = Int64Array::from_iter((0..200).map(|n| (n % 7 != 3).then_some(n)));
        let all = Int64Array::from_iter_values(0..200);
        RecordBatch::try_new(Arc::new(Schema::new(vec![n, m])), vec![Arc::new(numbers), Arc::new(all)])
            .expect("a batch")
    }

    fn compared(op: Operator, number: i64) -> Arc<dyn PhysicalExpr> {
        compared_in("n", op, number)
    }

    fn compared_in(column: &str, op: Operator, number: i64) -> Arc<dyn PhysicalExpr> {
        Arc::new(BinaryExpr::new(col(column, &batch().schema()).expect("there"), op, lit(number)))
    }

    /// `100 / n >= 0`, which fails for a zero.
    fn divided() -> Arc<dyn PhysicalExpr> {
        let quotient = BinaryExpr::new(lit(100_i64), Operator::Divide, col("n", &batch().schema()).expect("there"));
        Arc::new(BinaryExpr::new(Arc::new(quotient), Operator::GtEq, lit(0_i64)))
    }

    fn rows(expr: &Arc<dyn PhysicalExpr>) -> Result<BooleanArray, String> {
        let value =
            expr.evaluate(&batch()).and_then(|value| value.into_array(200)).map_err(|error| error.to_string())?;
        Ok(value.as_any().downcast_ref::<BooleanArray>().expect("truth values").clone())
    }

    #[test]
    fn a_deep_chain_keeps_its_operands_in_order_and_becomes_flat() {
        let flattens = |count: i64, most: usize| {
            let all: Vec<_> = (0..count).map(|number| compared(Operator::NotEq, number)).collect();
            let deep = conjunction(all.iter().cloned());
            assert_eq!(depth(&deep), all.len());
            let flat = joined(&operands(&deep).expect("it is deep"));
            assert!(depth(&flat) <= most, "{count}");
            assert_eq!(split_conjunction(&flat), all.iter().collect::<Vec<_>>());
        };
        let on_a_deep_stack = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            for (count, most) in [(16, 5), (1_000, 11), (10_000, 15)] {
                flattens(count, most);
            }
        });
        on_a_deep_stack.expect("a thread").join().expect("each chain becomes flat");
        let short = conjunction((0..15).map(|number| compared(Operator::NotEq, number)));
        assert!(operands(&short).is_none(), "short chains stay as they are");
    }

    #[test]
    fn operands_in_turn_have_the_values_and_the_errors_of_the_chain() {
        let differ = |range: std::ops::Range<i64>| range.map(|number| compared(Operator::NotEq, number)).collect();
        let [few, not_zero] =
            [(Operator::Lt, 20), (Operator::NotEq, 0)].map(|(op, number)| compared_in("m", op, number));
        let ever = |number| compared_in("m", Operator::NotEq, number);
        let cases: [(Vec<Arc<dyn PhysicalExpr>>, bool); 5] = [
            (differ(0..40), true),
            ([differ(0..20), vec![compared(Operator::Gt, 500)], differ(20..40)].concat(), true),
            // Few rows are left before the division, and none of them is zero: an operand without nulls keeps the others out.
            ([vec![few, not_zero], (300..320).map(ever).collect(), vec![divided()]].concat(), true),
            ([differ(1..20), vec![divided()]].concat(), false),
            ([vec![lit(true)], differ(0..20), vec![lit(false)]].concat(), true),
        ];
        for (operands, is_value) in cases {
            let deep = conjunction(operands.iter().cloned());
            let flat: Arc<dyn PhysicalExpr> = Arc::new(InTurn::new(operands));
            assert_eq!(flat.to_string(), deep.to_string());
            let (deep, flat) = (rows(&deep), rows(&flat));
            assert_eq!((&flat, flat.is_ok()), (&deep, is_value));
        }
    }
}

//! Bounds what the expressions of a query make of little: `repeat('x', 2000000000)` is short, and its result is not.
//!
//! Owns: which expressions are replaced: every function whose result may be far larger than its operands and `||` by
//! functions that know the size before they make the result, functions whose work grows faster than their operands by ones
//! that know the work, large literals by functions that know how often a batch repeats them; the batches that `unnest` and
//! joins get; refusing types whose every value is large.
//! Does not own: those functions (`function`, `repeated`) and batches (`unnest`, `pairs`), the sizes (`growth`, `series`) and
//! the work (`work`), memory that operators take (DataFusion's pool).
//!
//! It runs before constants are folded, so that none is computed unbounded, and again on the final plan, in which
//! DataFusion may have put its own functions, and literals that it computed.

mod function;
mod growth;
mod pairs;
mod repeated;
mod series;
mod size;
mod unnest;
mod work;

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

use self::function::Bounded;
pub(super) use self::pairs::PauseJoins;
use self::repeated::{Concatenation, Repeated};
pub(super) use self::unnest::BoundUnnest;
pub(super) use self::work::TOO_MUCH;
use super::rewriting::rewrite;

/// The part of a batch's memory that one literal may take: a statement has several, and their copies live together.
const LITERAL_PART: usize = 8;
/// Literals below this size are never looked at: a batch of the usual number of rows repeats them in 8 MiB.
const LITERAL_BYTES_MIN: usize = 1024;
/// Largest value of a type of fixed size: every row has one, also where it is null.
const FIXED_BYTES_MAX: u64 = 1 << 20;
/// The start of the reason of an error that says which result is too large.
pub(super) const TOO_LARGE: &str = "the result of ";

/// The sizes that are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bounds {
    /// Bytes of one result, for all rows of a batch.
    result_bytes: usize,
    /// Bytes of a literal that a batch may repeat unseen.
    literal_bytes: usize,
}

impl Bounds {
    /// The bounds where `partitions` work at once on batches of `batch_rows` rows, in a budget of bytes.
    pub(super) fn new(budget: usize, partitions: usize, batch_rows: usize) -> Self {
        // Offsets in a column of text have 31 bits.
        let result_bytes = (budget / partitions.max(1)).min(i32::MAX as usize);
        let literal_bytes = (result_bytes / LITERAL_PART / batch_rows.max(1)).max(LITERAL_BYTES_MIN);
        Self { result_bytes, literal_bytes }
    }

    /// The error for a result of at least `bytes` bytes.
    fn exceeded(self, name: &str, bytes: u64) -> DataFusionError {
        DataFusionError::ResourcesExhausted(format!(
            "{TOO_LARGE}{name} has {bytes} bytes or more, of which {} are allowed at once",
            self.result_bytes
        ))
    }
}

/// The rule before constants are folded.
#[derive(Debug)]
pub(super) struct BoundSizes(pub(super) Bounds);

impl AnalyzerRule for BoundSizes {
    fn name(&self) -> &str {
        "bound_sizes"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite(plan, &|expr| bounded(expr, self.0))
    }
}

/// The final plan, with its functions and its large literals bounded.
pub(super) fn bound_finally(plan: LogicalPlan, bounds: Bounds) -> Result<LogicalPlan> {
    rewrite(plan, &|expr| match expr {
        Expr::Literal(value, metadata) if value.size() > bounds.literal_bytes => {
            let repeated = Arc::new(ScalarUDF::new_from_impl(Repeated::new(bounds)));
            let literal = Expr::Literal(value, metadata);
            let call = ScalarFunction::new_udf(repeated, vec![literal]);
            Ok(Transformed::new(Expr::ScalarFunction(call), true, TreeNodeRecursion::Jump))
        }
        other => bounded(other, bounds),
    })
}

fn bounded(expr: Expr, bounds: Bounds) -> Result<Transformed<Expr>> {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) => Ok(match Bounded::of(&func, bounds) {
            Some(bounded) => Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(bounded, args))),
            None => Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args })),
        }),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => {
            let function = Arc::new(ScalarUDF::new_from_impl(Concatenation::new(bounds)));
            let call = ScalarFunction::new_udf(function, vec![*left, *right]);
            Ok(Transformed::yes(Expr::ScalarFunction(call)))
        }
        Expr::Cast(Cast { ref field, .. }) | Expr::TryCast(TryCast { ref field, .. }) => {
            check_type(field.data_type())?;
            Ok(Transformed::no(expr))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Refuses a type of which each value takes much memory.
///
/// # Errors
/// Names the type and the limit.
fn check_type(data_type: &DataType) -> Result<()> {
    let bytes = size::fixed_bytes(data_type);
    if bytes <= FIXED_BYTES_MAX {
        return Ok(());
    }
    Err(DataFusionError::Plan(format!(
        "every value of type {data_type} takes {bytes} bytes; the limit is {FIXED_BYTES_MAX}, since the \
         memory of a query (MEMORY_BUDGET_BYTES, or QUERY_MEMORY_BYTES of `serve` and `up`) must hold one for each row of a \
         batch; use a list, whose values have sizes of their own"
    )))
}

#[cfg(test)]
mod tests;

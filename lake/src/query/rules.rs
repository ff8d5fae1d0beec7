//! Keeps rules of DataFusion's optimizer from plans that they would change for the worse.
//!
//! Owns: the rules that are left out, for all plans or for some. Does not own: rules of the product (`checked`, `mixed`),
//! filters in physical plans (`pushdown`).
//!
//! Why it is needed, for DataFusion 54.1. `eliminate_cross_join` puts a chain of inner joins together anew with what the
//! outermost of them says of nulls: in `a JOIN b ON a.x IS NOT DISTINCT FROM b.x JOIN c ON a.y = c.y` the first join
//! loses the rows whose `x` is null. `eliminate_group_by_constant` makes a projection whose columns share a name of
//! `GROUP BY CAST(t AS DATE), t`, when it is known that only one value of `t` is left.

use std::sync::Arc;

use datafusion::common::NullEquality;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::optimizer::Optimizer;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// DataFusion's rules for logical plans, without those that do harm.
pub(super) fn rules() -> Vec<Rule> {
    Optimizer::new().rules.into_iter().filter_map(limited).collect()
}

fn limited(rule: Rule) -> Option<Rule> {
    match rule.name() {
        "eliminate_cross_join" => Some(Arc::new(UnlessNullsMatch { rule })),
        "eliminate_group_by_constant" => None,
        _ => Some(rule),
    }
}

/// Applies a rule to plans none of whose joins matches nulls.
#[derive(Debug)]
struct UnlessNullsMatch {
    rule: Rule,
}

impl OptimizerRule for UnlessNullsMatch {
    fn name(&self) -> &str {
        self.rule.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.rule.apply_order()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let matches_nulls = plan.exists(|node| {
            Ok(matches!(node, LogicalPlan::Join(join) if join.null_equality == NullEquality::NullEqualsNull))
        })?;
        if matches_nulls { Ok(Transformed::no(plan)) } else { self.rule.rewrite(plan, config) }
    }
}

//! Keeps filters and projections from being pushed where DataFusion loses track of them.
//!
//! Owns: the plan nodes through which no filter or no projection passes. Does not own: pushing them (DataFusion), and how a
//! filter reaches the scan below it (`provider`).
//!
//! Why it is needed, for DataFusion 54.1. A join that marks rows (`> ALL (SELECT …)`, `EXISTS` below OR) takes the mark for the
//! first column of its right side when a projection is pushed through it. Two nodes let a wrong filter through:
//! one with several columns of a name, as below `a LEFT JOIN b WHERE a.k = 1` when both tables have `k`: filters are
//! handed on by name, and the first column of the name is taken, be it of the other table;
//! and a join that needs the nulls of a side (INTERSECT, IS NOT DISTINCT FROM, NOT IN): the bounds of one side's keys are a
//! filter for the other side, and leave out its nulls.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::{JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::{ExecutionPlan, with_new_children_if_necessary};

use super::sanity::CheckPlan;

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// DataFusion's rules, of which those that push filters or projections are limited, and the last look is ours.
pub(super) fn rules() -> Vec<Rule> {
    PhysicalOptimizer::new().rules.into_iter().map(limited).collect()
}

fn limited(rule: Rule) -> Rule {
    match rule.name() {
        name if name.starts_with("FilterPushdown") => Arc::new(LimitedPushdown { rule, may_pass: may_filter_pass }),
        "ProjectionPushdown" => Arc::new(LimitedPushdown { rule, may_pass: may_projection_pass }),
        "SanityCheckPlan" => Arc::new(CheckPlan),
        _ => rule,
    }
}

/// Applies a rule to the largest parts of a plan through all of which what it pushes may pass.
#[derive(Debug)]
struct LimitedPushdown {
    rule: Rule,
    may_pass: fn(&Arc<dyn ExecutionPlan>) -> bool,
}

impl LimitedPushdown {
    /// True when this node and all nodes below it may be passed.
    fn may_pass_all(&self, plan: &Arc<dyn ExecutionPlan>) -> bool {
        (self.may_pass)(plan) && plan.children().into_iter().all(|child| self.may_pass_all(child))
    }
}

impl PhysicalOptimizerRule for LimitedPushdown {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        if self.may_pass_all(&plan) {
            return self.rule.optimize(plan, config);
        }
        let children = plan.children().into_iter().map(|child| self.optimize(Arc::clone(child), config));
        let children = children.collect::<Result<Vec<_>>>()?;
        with_new_children_if_necessary(plan, children)
    }

    fn name(&self) -> &str {
        self.rule.name()
    }

    fn schema_check(&self) -> bool {
        self.rule.schema_check()
    }
}

fn may_projection_pass(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let hash = plan.downcast_ref::<HashJoinExec>().map(|join| *join.join_type());
    let nested = plan.downcast_ref::<NestedLoopJoinExec>().map(|join| *join.join_type());
    let merge = plan.downcast_ref::<SortMergeJoinExec>().map(|join| join.join_type());
    !matches!(hash.or(nested).or(merge), Some(JoinType::LeftMark | JoinType::RightMark))
}

fn may_filter_pass(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let schema = plan.schema();
    let mut names = HashSet::new();
    let is_unambiguous = schema.fields().iter().all(|field| names.insert(field.name().as_str()));
    let needs_nulls = plan.downcast_ref::<HashJoinExec>().is_some_and(|join| {
        // `NOT IN` gives no row at all once the other side has a null.
        join.null_equality() == NullEquality::NullEqualsNull || join.null_aware
    });
    is_unambiguous && !needs_nulls
}

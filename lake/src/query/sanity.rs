//! The last look at a physical plan.
//!
//! Owns: that an order is taken for what a node says of it, where it is the very order that is needed.
//! Does not own: all other checks of plans (DataFusion).
//!
//! Why it is needed: DataFusion 54.1 asks each expression of an order for the range of its values. `abs`, `sqrt`, `ln`, AND and others
//! fail where an operand does not know its own, and the order is then none: `ORDER BY abs(x - 1)` over two objects was refused.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_expr::LexRequirement;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::sanity_checker::check_plan_sanity;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

/// The rule, in the place of DataFusion's of the same name.
#[derive(Debug)]
pub(super) struct CheckPlan;

impl PhysicalOptimizerRule for CheckPlan {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        check(&plan, config)?;
        Ok(plan)
    }

    fn name(&self) -> &'static str {
        "SanityCheckPlan"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn check(plan: &Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<()> {
    for child in plan.children() {
        check(child, config)?;
    }
    check_plan_sanity(plan, &config.optimizer).or_else(|error| if is_as_required(plan)? { Ok(()) } else { Err(error) })
}

/// True when each child is distributed as required, and has the required order by its own word.
fn is_as_required(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let required = plan.required_input_ordering().into_iter().zip(plan.required_input_distribution());
    for (child, (order, distribution)) in plan.children().into_iter().zip(required) {
        let properties = child.equivalence_properties();
        if let Some(order) = order.map(|order| order.into_single())
            && !has_order(child, &order)
            && !properties.ordering_satisfy_requirement(order)?
        {
            return Ok(false);
        }
        if !child.output_partitioning().satisfaction(&distribution, properties, true).is_satisfied() {
            return Ok(false);
        }
    }
    Ok(!plan.boundedness().is_unbounded())
}

fn has_order(plan: &Arc<dyn ExecutionPlan>, required: &LexRequirement) -> bool {
    let Some(order) = plan.output_ordering() else { return false };
    let mut pairs = order.iter().zip(required.iter());
    order.len() >= required.len()
        && pairs
            .all(|(has, needs)| has.expr.eq(&needs.expr) && needs.options.is_none_or(|options| options == has.options))
}

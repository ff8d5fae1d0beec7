//! The columns that joins with USING, and natural ones, make of two.
//!
//! Owns: their values: of a right join the right one, of a full join the one that there is. Their place is that of the left
//! one. `a.k` and `b.k` stay what they are beside the merged `k`.
//! Does not own: finding these joins and names in statements (`marks`), all else of joins (DataFusion).
//!
//! Why it is needed, for DataFusion 54.1: an unqualified name is the column of the left table, and `*` that of the table
//! whose name comes first in the alphabet, also where the join made it null. With three tables the name is refused.
//!
//! How it works: each such join becomes a nested one under an alias of ours, whose plan has a column for each merged one. It
//! ends with a join that is never carried out: it says that all these columns are one, so that DataFusion takes the first.

mod marks;

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{Column, DFSchema, JoinConstraint, JoinType, NullEquality, TableReference};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::expr_rewriter::normalize_col;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{self, TableFactor};

use self::marks::merging;
pub(super) use self::marks::{mark, qualify};

/// Begins the names of the relations of merged columns: a name that no statement has.
const MERGED: &str = " merged ";

/// Plans the joins that were marked.
#[derive(Debug)]
pub(super) struct MergingJoins;

impl RelationPlanner for MergingJoins {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        match relation {
            TableFactor::NestedJoin { mut table_with_joins, alias: Some(alias) }
                if alias.name.value.starts_with(MERGED) =>
            {
                let Some(join) = table_with_joins.joins.pop() else {
                    return Err(DataFusionError::Internal("a marked join joins nothing".to_owned()));
                };
                let left = context.plan(TableFactor::NestedJoin { table_with_joins, alias: None })?;
                let plan = merged(left, join, TableReference::bare(alias.name.value), context)?;
                Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
            }
            other => Ok(RelationPlanning::Original(Box::new(other))),
        }
    }
}

fn merged(
    left: LogicalPlan,
    join: ast::Join,
    relation: TableReference,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let Some((join_type, constraint)) = merging(&join) else {
        return Err(DataFusionError::Internal("a marked join merges nothing".to_owned()));
    };
    let constraint = constraint.clone();
    let right = context.plan(join.relation)?;
    let names = names(constraint, (left.schema(), right.schema()), context)?;
    if names.is_empty() {
        return LogicalPlanBuilder::from(left).join_on(right, join_type, [])?.build();
    }
    let mut keys = Vec::new();
    for name in &names {
        let key = Expr::Column(Column::from_name(name));
        keys.push((normalize_col(key.clone(), &left)?, normalize_col(key, &right)?));
    }
    let using = names.iter().map(Column::from_name).collect();
    let joined = LogicalPlanBuilder::from(left).join_using(right, join_type, using)?.build()?;
    let mut columns = Vec::new();
    for column in joined.schema().columns() {
        let column = Expr::Column(column);
        if let Some(place) = keys.iter().position(|(left, _)| *left == column) {
            let (left, right) = keys[place].clone();
            let value = match join_type {
                JoinType::Right => right,
                JoinType::Full => coalesce(vec![left, right]),
                _ => left,
            };
            columns.push(value.alias_qualified(Some(relation.clone()), names[place].as_str()));
        }
        // A merged column that is merged again is of no use but in the new one.
        let is_merged_again = is_merged(&column) && keys.iter().any(|(left, right)| [left, right].contains(&&column));
        if !is_merged_again {
            columns.push(column);
        }
    }
    let plan = LogicalPlanBuilder::from(joined).project(columns)?.build()?;
    said_to_be_one(plan, &relation, &names)
}

/// The names of the merged columns, each once.
fn names(
    constraint: ast::JoinConstraint,
    (left, right): (&DFSchema, &DFSchema),
    context: &dyn RelationPlannerContext,
) -> Result<Vec<String>> {
    let names: Vec<String> = match constraint {
        ast::JoinConstraint::Using(names) => {
            let ident = |name: ast::ObjectName| match <[_; 1]>::try_from(name.0) {
                Ok([ast::ObjectNamePart::Identifier(ident)]) => Ok(context.normalize_ident(ident)),
                _ => Err(DataFusionError::Plan("USING takes names of columns without a table".to_owned())),
            };
            names.into_iter().map(ident).collect::<Result<_>>()?
        }
        _ => {
            let known: BTreeSet<&String> = left.fields().iter().map(|field| field.name()).collect();
            right.fields().iter().map(|field| field.name()).filter(|name| known.contains(name)).cloned().collect()
        }
    };
    let mut taken = BTreeSet::new();
    Ok(names.into_iter().filter(|name| taken.insert(name.clone())).collect())
}

fn is_merged(column: &Expr) -> bool {
    let relation = column.try_as_col().and_then(|column| column.relation.as_ref());
    relation.is_some_and(|relation| relation.table().starts_with(MERGED))
}

/// The plan, below a join that says which of its columns are one.
fn said_to_be_one(plan: LogicalPlan, relation: &TableReference, names: &[String]) -> Result<LogicalPlan> {
    let merged = |name: &String| Column::new(Some(relation.clone()), name);
    let columns = plan.schema().columns();
    let others = |name: &String| {
        let merged = merged(name);
        let others = columns.iter().filter(|column| column.name == merged.name && **column != merged);
        others.map(|other| (Expr::Column(merged.clone()), Expr::Column(other.clone()))).collect::<Vec<_>>()
    };
    Ok(LogicalPlan::Join(Join {
        on: names.iter().flat_map(others).collect(),
        schema: Arc::clone(plan.schema()),
        left: Arc::new(plan),
        right: Arc::new(LogicalPlanBuilder::empty(false).build()?),
        filter: None,
        join_type: JoinType::Inner,
        join_constraint: JoinConstraint::Using,
        null_equality: NullEquality::NullEqualsNothing,
        null_aware: false,
    }))
}

/// The plan without the joins that were there for the sake of names.
pub(super) fn unmarked(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_down_with_subqueries(|node| {
        let mut node = Transformed::no(node);
        while let LogicalPlan::Join(join) = &node.data
            && join.on.first().is_some_and(|(merged, _)| is_merged(merged))
            && matches!(join.right.as_ref(), LogicalPlan::EmptyRelation(_))
        {
            node = Transformed::yes(join.left.as_ref().clone());
        }
        Ok(node)
    })
    .data()
}

//! Names of the columns that a query gives back.
//!
//! Owns: that no two have the same name: the second `id` is `id_1`. DataFusion refuses equal names where they come from
//! one table, and lets them pass where they come from two; programs that read JSON by name would lose one either way.
//! Does not own: planning, and the form of the output (`format`).

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::common::{Column, SchemaError};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr as LogicalExpr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, Ident, Select, SelectItem, SetExpr, VisitorMut};

use super::names::visit;

/// Ends the alias of a repeated column while it is planned: no name that a user types ends so.
const REPEATED: char = '\u{1}';

/// True when planning failed because a list of columns names one twice.
pub(super) fn is_repetition(error: &DataFusionError) -> bool {
    match error {
        DataFusionError::Plan(text) => text.contains("require unique expression names"),
        // A subquery among the columns has a name without a table, as `k`, beside `t.k`.
        DataFusionError::SchemaError(error, _) => {
            matches!(error.as_ref(), SchemaError::AmbiguousReference { field } if field.relation.is_some())
        }
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => is_repetition(inner),
        _ => false,
    }
}

/// Gives every repeated column of the statement an alias of its own, and after that every expression that has none: DataFusion
/// gives one name to `k` and `CAST(k AS VARCHAR)`. False when there was nothing left to do.
pub(super) fn set_apart(statement: &mut Statement) -> bool {
    [false, true].into_iter().any(|is_thorough| {
        let mut aliases = Aliases { is_thorough, given: 0 };
        let _ = visit(statement, &mut aliases);
        aliases.given > 0
    })
}

struct Aliases {
    /// True when expressions are named whose text is not repeated.
    is_thorough: bool,
    given: usize,
}

impl VisitorMut for Aliases {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let is_wildcard =
            |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
        let has_wildcard = select.projection.iter().any(is_wildcard);
        let mut names = HashSet::new();
        for item in &mut select.projection {
            let Some(name) = name_of(item) else { continue };
            // A wildcard may have any column that is named without an alias.
            let is_in_wildcard = has_wildcard
                && matches!(
                    item,
                    SelectItem::UnnamedExpr(Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Subquery(_))
                );
            let is_unnamed = self.is_thorough && matches!(item, SelectItem::UnnamedExpr(expr) if !is_column(expr));
            if names.insert(name.clone()) && !is_in_wildcard && !is_unnamed {
                continue;
            }
            let mut value = name;
            value.push(REPEATED);
            while !names.insert(value.clone()) {
                value.push(REPEATED);
            }
            let alias = Ident::with_quote('"', value);
            match item {
                SelectItem::UnnamedExpr(expr) => *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias },
                SelectItem::ExprWithAlias { alias: old, .. } => *old = alias,
                _ => continue,
            }
            self.given += 1;
        }
        ControlFlow::Continue(())
    }
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

/// The name that an item is known by; for an expression without an alias, its text.
fn name_of(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(ident.value.clone()),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(idents)) => idents.last().map(|ident| ident.value.clone()),
        SelectItem::UnnamedExpr(expr) => Some(named_within(expr).unwrap_or_else(|| expr.to_string())),
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()).filter(|name| !name.ends_with(REPEATED)),
        _ => None,
    }
}

/// The name that the only column of a subquery has.
fn named_within(expr: &Expr) -> Option<String> {
    let Expr::Subquery(query) = expr else { return None };
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    match select.projection.first()? {
        SelectItem::UnnamedExpr(column) if !is_column(column) => None,
        item => name_of(item),
    }
}

/// The plan, whose columns have names of their own.
///
/// # Errors
/// None that a valid plan can have.
pub(super) fn labelled(plan: LogicalPlan) -> Result<LogicalPlan> {
    let columns = plan.schema().columns();
    let labels = labels(columns.iter().map(|column| column.name.trim_end_matches(REPEATED)));
    if columns.iter().zip(&labels).all(|(column, label)| column.name == *label) {
        return Ok(plan);
    }
    let aliased = columns.into_iter().zip(labels).map(|(column, label)| named(column, label));
    LogicalPlanBuilder::from(plan).project(aliased.collect::<Vec<_>>())?.build()
}

fn named(column: Column, label: String) -> LogicalExpr {
    if column.name == label { LogicalExpr::Column(column) } else { LogicalExpr::Column(column).alias(label) }
}

/// The names, where one that was there before has the first number behind it that makes a new name.
fn labels<'n>(names: impl Iterator<Item = &'n str> + Clone) -> Vec<String> {
    let all: HashSet<&str> = names.clone().collect();
    let mut taken = HashSet::new();
    names
        .map(|name| {
            let numbered = (1..).map(|number| format!("{name}_{number}"));
            let is_free = |label: &String| !taken.contains(label) && (label == name || !all.contains(label.as_str()));
            let label = std::iter::once(name.to_owned()).chain(numbered).find(is_free);
            let label = label.expect("there are more numbers than columns");
            taken.insert(label.clone());
            label
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_name_is_numbered_past_those_that_exist() {
        let labels = |names: &[&str]| labels(names.iter().copied());
        assert_eq!(labels(&["id", "n", "id", "id"]), ["id", "n", "id_1", "id_2"]);
        assert_eq!(labels(&["id", "id", "id_1"]), ["id", "id_2", "id_1"]);
        assert_eq!(labels(&["a", "A"]), ["a", "A"]);
    }
}

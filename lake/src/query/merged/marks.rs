//! The joins of a statement that merge columns, and the names of these.
//!
//! Owns: the alias by which the planner knows such a join, and names that mean a merged column.
//! Does not own: the plans of these joins (`merged`), and names without regard to case (`names`).

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::common::{Diagnostic, JoinType, SchemaError, Span};
use datafusion::error::DataFusionError;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    self, Ident, JoinOperator, Query, Select, TableAlias, TableFactor, TableWithJoins, VisitMut, VisitorMut,
};

use super::MERGED;
use crate::query::derived;
use crate::query::names::visit;

/// Gives every join that merges columns an alias, by which the planner knows it.
pub(in crate::query) fn mark(statement: &mut Statement) {
    let _ = visit(statement, &mut Marker { joins: 0 });
}

/// Qualifies a name that planning found to be of several columns, where a merged one is among them: the condition of WHERE
/// is planned without regard to USING. False when the name is another.
pub(in crate::query) fn qualify(statement: &mut Statement, error: &DataFusionError) -> bool {
    let Some(found) = ambiguous(error) else { return false };
    let relations = found.notes.iter().filter_map(|note| note.message.split_once(MERGED)?.1.split_once('.'));
    let relations: Vec<_> = relations.collect();
    let (Some(span), [(number, _)]) = (found.span, relations.as_slice()) else { return false };
    let mut qualifier = Qualifier { span, relation: format!("{MERGED}{number}"), is_found: false };
    let _ = visit(statement, &mut qualifier);
    qualifier.is_found
}

fn ambiguous(error: &DataFusionError) -> Option<&Diagnostic> {
    match error {
        DataFusionError::Diagnostic(found, inner) => {
            let is_ambiguous = |error: &SchemaError| matches!(error, SchemaError::AmbiguousReference { .. });
            let is_it = matches!(inner.as_ref(), DataFusionError::SchemaError(error, _) if is_ambiguous(error));
            if is_it { Some(found) } else { ambiguous(inner) }
        }
        DataFusionError::Context(_, inner) => ambiguous(inner),
        DataFusionError::Collection(errors) => errors.iter().find_map(ambiguous),
        _ => None,
    }
}

/// Qualifies the name at a place.
struct Qualifier {
    span: Span,
    relation: String,
    is_found: bool,
}

impl VisitorMut for Qualifier {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        if let ast::Expr::Identifier(ident) = expr
            && Span::try_from_sqlparser_span(ident.span) == Some(self.span)
        {
            *expr = qualified(&self.relation, ident);
            self.is_found = true;
        }
        ControlFlow::Continue(())
    }
}

/// Qualifies merged names in the expressions of one SELECT. In a subquery DataFusion would take a name of several columns
/// for that of a table around it.
struct Names {
    /// The relation of each.
    names: HashMap<String, String>,
    /// Subqueries around the place, in which the names may be others.
    depth: usize,
}

impl VisitorMut for Names {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        if let ast::Expr::Identifier(ident) = expr
            && self.depth == 0
            && let Some(relation) = self.names.get(&ident.value)
        {
            *expr = qualified(relation, ident);
        }
        ControlFlow::Continue(())
    }
}

fn qualified(relation: &str, name: &Ident) -> ast::Expr {
    ast::Expr::CompoundIdentifier(vec![Ident::with_quote('"', relation), name.clone()])
}

struct Marker {
    joins: usize,
}

impl Marker {
    /// The table with its joins marked. Adds each merged name that is in the statement, with the relation of the column.
    fn marked(&mut self, table: TableWithJoins, names: &mut HashMap<String, String>) -> TableWithJoins {
        let mut marked = TableWithJoins { relation: table.relation, joins: Vec::new() };
        for join in table.joins {
            let merged = merging(&join).map(|(_, constraint)| using(constraint));
            marked.joins.push(join);
            if let Some(merged) = merged {
                self.joins += 1;
                let relation = format!("{MERGED}{}", self.joins);
                names.extend(merged.into_iter().map(|name| (name, relation.clone())));
                let name = Ident::with_quote('"', relation);
                let alias = TableAlias { explicit: true, name, columns: Vec::new(), at: None };
                let relation = TableFactor::NestedJoin { table_with_joins: Box::new(marked), alias: Some(alias) };
                marked = TableWithJoins { relation, joins: Vec::new() };
            }
        }
        marked
    }
}

impl VisitorMut for Marker {
    type Break = ();

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut names = HashMap::new();
        for table in std::mem::take(&mut select.from) {
            select.from.push(self.marked(table, &mut names));
        }
        if names.is_empty() || select.from.len() > 1 {
            return ControlFlow::Continue(());
        }
        let mut writer = Names { names, depth: 0 };
        select.projection.visit(&mut writer)?;
        select.selection.visit(&mut writer)?;
        select.group_by.visit(&mut writer)?;
        select.having.visit(&mut writer)
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::NestedJoin { table_with_joins, alias } = factor else { return ControlFlow::Continue(()) };
        let is_merging = table_with_joins.joins.iter().any(|join| merging(join).is_some());
        **table_with_joins = self.marked(table_with_joins.as_ref().clone(), &mut HashMap::new());
        // Under an alias the tables have no names of their own, and there is one column for each merged one.
        if let Some(alias) = alias.take_if(|_| is_merging) {
            let relation = TableFactor::NestedJoin { table_with_joins: table_with_joins.clone(), alias: None };
            *factor = derived::table(derived::all_of(relation), alias);
        }
        ControlFlow::Continue(())
    }
}

/// The kind of a join that merges columns, and those.
pub(super) fn merging(join: &ast::Join) -> Option<(JoinType, &ast::JoinConstraint)> {
    let (join_type, constraint) = match &join.join_operator {
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (JoinType::Inner, constraint),
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (JoinType::Left, constraint),
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => (JoinType::Right, constraint),
        JoinOperator::FullOuter(constraint) => (JoinType::Full, constraint),
        _ => return None,
    };
    let is_lateral = match &join.relation {
        TableFactor::Derived { lateral, .. } | TableFactor::Function { lateral, .. } => *lateral,
        TableFactor::UNNEST { .. } => true,
        _ => false,
    };
    let is_merging = matches!(constraint, ast::JoinConstraint::Using(_) | ast::JoinConstraint::Natural);
    (is_merging && !is_lateral).then_some((join_type, constraint))
}

/// The names that a constraint says.
fn using(constraint: &ast::JoinConstraint) -> Vec<String> {
    let ast::JoinConstraint::Using(names) = constraint else { return Vec::new() };
    names.iter().filter_map(|name| Some(name.0.first()?.as_ident()?.value.clone())).collect()
}

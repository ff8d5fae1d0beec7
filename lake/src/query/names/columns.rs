//! Names of columns, found without regard to case.
//!
//! Owns: what an unknown column in a plan's error means: the only column in reach that differs in case alone, which is
//! then written into the statement; else an error that says which columns there are.
//! Does not own: the scopes of names: planning itself says what is unknown and what is in reach, so it is done again
//! after each name that was found.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::common::{Column, SchemaError, Span, TableReference};
use datafusion::error::DataFusionError;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, ExcludeSelectItem, Expr, Ident, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Select,
    SelectItem, TableFactor, VisitorMut,
};

use super::{is_alike, set, table_name, tables_of, visit};
use crate::duckdb::identifier;
use crate::query::QueryError;
use crate::query::schemas::QueryCatalog;

/// Columns that an error lists at most.
const LISTED_MAX: usize = 40;

/// Writes the name that is meant into the statement, where planning failed for an unknown column.
///
/// # Errors
/// [`QueryError::UnknownColumn`] and [`QueryError::AmbiguousName`] where no name is certain; any other error is returned as
/// it is.
pub(in crate::query) fn find_column(
    statement: &mut Statement,
    error: DataFusionError,
    catalog: &QueryCatalog,
) -> Result<(), QueryError> {
    let Some((unknown, in_reach)) = unknown_column(&error) else { return Err(error.into()) };
    let typed = parts(unknown);
    let mut meant = candidates(&typed, in_reach);
    if meant.is_empty() {
        // An error in a subquery does not name the columns around it, nor one in GROUP BY the names of the output.
        meant = candidates(&typed, &surroundings(statement, catalog));
    }
    let replacement = match meant.as_slice() {
        [] => return Err(unknown_error(&typed, in_reach)),
        [only] => only,
        several => {
            let candidates = several.iter().map(|names| dotted(names)).collect();
            return Err(QueryError::AmbiguousName { name: typed.join("."), candidates });
        }
    };
    let relations = in_reach.iter().filter_map(|column| column.relation.as_ref());
    let reached: HashSet<String> = relations.map(|relation| relation.table().to_lowercase()).collect();
    let span = unknown.spans().first();
    let mut writer = Writer { typed: &typed, replacement, span, reached, scopes: Vec::new(), written: 0 };
    let _ = visit(statement, &mut writer);
    if writer.written == 0 && writer.span.take().is_some() {
        let _ = visit(statement, &mut writer);
    }
    if writer.written == 0 {
        // The name was quoted, so its case counts.
        return Err(unknown_error(&typed, in_reach));
    }
    Ok(())
}

fn unknown_column(error: &DataFusionError) -> Option<(&Column, &[Column])> {
    match error {
        DataFusionError::SchemaError(error, _) => match error.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => Some((field, valid_fields)),
            _ => None,
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => unknown_column(inner),
        DataFusionError::Collection(errors) => errors.iter().find_map(unknown_column),
        _ => None,
    }
}

/// The identifiers of a column's name.
fn parts(column: &Column) -> Vec<String> {
    let mut parts = column.relation.as_ref().map(|relation| relation.to_vec()).unwrap_or_default();
    parts.push(column.name.clone());
    parts
}

/// What the first identifiers of `typed` may mean: a column with or without its table; the rest are members.
fn candidates(typed: &[String], columns: &[Column]) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    for column in columns {
        let names = parts(column);
        for taken in 1..=names.len().min(typed.len()) {
            let name = &names[names.len() - taken..];
            let is_meant = name.iter().zip(typed).all(|(name, typed)| is_alike(name, typed));
            // A name that is spelled like the column has another fault than its case.
            if is_meant && name != &typed[..taken] && !found.iter().any(|known| known == name) {
                found.push(name.to_vec());
            }
        }
    }
    found
}

/// Columns of all topics that the statement names, and all names that it gives itself.
fn surroundings(statement: &mut Statement, catalog: &QueryCatalog) -> Vec<Column> {
    let mut collector = Collector { catalog, columns: Vec::new() };
    let _ = visit(statement, &mut collector);
    collector.columns
}

struct Collector<'c> {
    catalog: &'c QueryCatalog,
    columns: Vec<Column>,
}

impl VisitorMut for Collector<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<()> {
        if let (Some(qualifier), TableFactor::Table { name, .. }) = (table_name(table), &*table) {
            let topic = name.0.last().and_then(ObjectNamePart::as_ident).map_or("", |ident| ident.value.as_str());
            let names = self.catalog.columns_of(topic);
            self.columns.extend(
                names.into_iter().map(|name| Column::new(Some(TableReference::bare(qualifier.as_str())), name)),
            );
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                self.columns.push(Column::new_unqualified(alias.value.clone()));
            }
        }
        ControlFlow::Continue(())
    }
}

/// Writes a name into the statement where it was typed.
struct Writer<'w> {
    typed: &'w [String],
    /// In place of as many identifiers.
    replacement: &'w [String],
    /// The place that is meant; where it is not known, all in the scopes from which the tables are reached.
    span: Option<Span>,
    /// The tables that planning searched, in lower case.
    reached: HashSet<String>,
    /// For each SELECT around the place, true if it reads one of these tables.
    scopes: Vec<bool>,
    written: usize,
}

impl Writer<'_> {
    fn write(&mut self, idents: &mut [&mut Ident]) {
        let is_typed = idents.len() == self.typed.len()
            && idents.iter().zip(self.typed).all(|(ident, typed)| ident.value == *typed)
            && idents.first().is_some_and(|ident| self.is_meant(ident));
        let mut pairs = idents.iter().zip(self.replacement);
        if is_typed && pairs.all(|(ident, name)| ident.quote_style.is_none() || ident.value == *name) {
            idents.iter_mut().zip(self.replacement).for_each(|(ident, name)| set(ident, name));
            self.written += 1;
        }
    }

    fn write_name(&mut self, name: &mut ObjectName) {
        if let [ObjectNamePart::Identifier(ident)] = name.0.as_mut_slice() {
            self.write(&mut [ident]);
        }
    }

    fn is_meant(&self, ident: &Ident) -> bool {
        let (Some(meant), Some(place)) = (self.span, Span::try_from_sqlparser_span(ident.span)) else {
            return self.scopes.last().copied().unwrap_or(true);
        };
        let at = |span: &Span| (span.start.line, span.start.column);
        at(&meant) <= at(&place) && at(&place) <= (meant.end.line, meant.end.column)
    }
}

impl VisitorMut for Writer<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => self.write(&mut [ident]),
            Expr::CompoundIdentifier(idents) => self.write(&mut idents.iter_mut().collect::<Vec<_>>()),
            // `t.column['member']`: the table's name is the root, the column's the first access.
            Expr::CompoundFieldAccess { root, access_chain } => {
                let mut idents = Vec::new();
                if let Expr::Identifier(ident) = root.as_mut() {
                    idents.push(ident);
                    idents.extend(access_chain.iter_mut().map_while(|access| match access {
                        AccessExpr::Dot(Expr::Identifier(ident)) => Some(ident),
                        _ => None,
                    }));
                }
                idents.truncate(self.typed.len());
                self.write(&mut idents);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut tables = select.from.iter().flat_map(tables_of);
        let reads = self.reached.is_empty() || tables.any(|table| self.reached.contains(&table.to_lowercase()));
        self.scopes.push(reads);
        for join in select.from.iter_mut().flat_map(|table| &mut table.joins) {
            if let Some(JoinConstraint::Using(columns)) = constraint(&mut join.join_operator) {
                columns.iter_mut().for_each(|column| self.write_name(column));
            }
        }
        for item in &mut select.projection {
            let (SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options)) = item else { continue };
            if let Some(except) = &mut options.opt_except {
                let further = except.additional_elements.iter_mut();
                std::iter::once(&mut except.first_element).chain(further).for_each(|ident| self.write(&mut [ident]));
            }
            match &mut options.opt_exclude {
                Some(ExcludeSelectItem::Single(column)) => self.write_name(column),
                Some(ExcludeSelectItem::Multiple(columns)) => {
                    columns.iter_mut().for_each(|column| self.write_name(column));
                }
                None => {}
            }
        }
        ControlFlow::Continue(())
    }
}

fn constraint(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)
        | JoinOperator::Semi(constraint)
        | JoinOperator::LeftSemi(constraint)
        | JoinOperator::RightSemi(constraint)
        | JoinOperator::Anti(constraint)
        | JoinOperator::LeftAnti(constraint)
        | JoinOperator::RightAnti(constraint) => Some(constraint),
        _ => None,
    }
}

fn dotted(names: &[String]) -> String {
    names.iter().map(|name| identifier(name)).collect::<Vec<_>>().join(".")
}

fn unknown_error(typed: &[String], in_reach: &[Column]) -> QueryError {
    let mut columns: Vec<String> = in_reach.iter().map(|column| identifier(&column.name)).collect();
    columns.dedup();
    let more = columns.len().saturating_sub(LISTED_MAX);
    columns.truncate(LISTED_MAX);
    if more > 0 {
        columns.push(format!("{more} more"));
    }
    QueryError::UnknownColumn { column: typed.join("."), columns }
}

//! Names in a statement, found without regard to case.
//!
//! Owns: the names of tables, of common table expressions and of windows: an unquoted name is that of the one which is
//! spelled so, else of the only one that differs in case alone. What was found is quoted, so that it is final.
//! Does not own: names of columns, which depend on the plan (`names::columns`), members of objects (`operators`).

pub(super) mod columns;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, SelectItemQualifiedWildcardKind,
    Subscript, TableFactor, TableWithJoins, Value, VisitMut, VisitorMut, WindowType,
};

use super::schemas::QueryCatalog;
use super::system::SystemTable;
use super::{CATALOG, INFORMATION_SCHEMA, QUARANTINE_SCHEMA, QueryError, SYSTEM_SCHEMA, TOPICS_SCHEMA};
use crate::duckdb::identifier;

const SCHEMAS: [&str; 4] = [TOPICS_SCHEMA, QUARANTINE_SCHEMA, SYSTEM_SCHEMA, INFORMATION_SCHEMA];
/// Those of DataFusion.
pub(super) const INFORMATION_TABLES: [&str; 7] =
    ["tables", "views", "columns", "df_settings", "schemata", "routines", "parameters"];

/// Finds the tables and windows that the statement names. What is not found stays as it is.
///
/// # Errors
/// [`QueryError::AmbiguousName`] when several tables differ in case alone and none is spelled like the name.
pub(super) fn find_tables(statement: &mut Statement, catalog: &QueryCatalog) -> Result<(), QueryError> {
    match visit(statement, &mut Tables { catalog, expressions: Vec::new() }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Names of all tables as they are typed, and of their columns.
pub(super) fn typed(catalog: &QueryCatalog) -> Vec<String> {
    let topics = catalog.topic_names();
    let columns = topics.iter().flat_map(|topic| catalog.columns_of(topic)).map(|name| identifier_if_needed(&name));
    let tables = topics.iter().map(|topic| identifier_if_needed(topic));
    let quarantines = topics.iter().map(|topic| format!("{QUARANTINE_SCHEMA}.{}", identifier_if_needed(topic)));
    let system = SystemTable::ALL.iter().map(|table| format!("{SYSTEM_SCHEMA}.{}", table.name()));
    let names: BTreeSet<String> = columns.chain(tables).chain(quarantines).chain(system).collect();
    names.into_iter().collect()
}

/// A plain word as it is, any other name in quotes.
pub(super) fn identifier_if_needed(name: &str) -> String {
    let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let begins_plainly = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if begins_plainly && is_plain(name) { name.to_owned() } else { identifier(name) }
}

/// Visits what DataFusion's parser took from a statement; statements that only it has are refused anyway.
pub(super) fn visit<V: VisitorMut>(statement: &mut Statement, visitor: &mut V) -> ControlFlow<V::Break> {
    match statement {
        Statement::Statement(inner) => inner.visit(visitor),
        Statement::Explain(explain) => visit(&mut explain.statement, visitor),
        _ => ControlFlow::Continue(()),
    }
}

/// True when both are the same but for case.
pub(super) fn is_alike(left: &str, right: &str) -> bool {
    left == right || left.to_lowercase() == right.to_lowercase()
}

/// Sets the identifier to a name, for good.
pub(super) fn set(ident: &mut Ident, name: &str) {
    name.clone_into(&mut ident.value);
    ident.quote_style = Some('"');
}

/// The name that is meant by an unquoted one, if one is.
fn find<'n>(
    typed: &str,
    names: impl IntoIterator<Item = &'n str, IntoIter: Clone>,
) -> Result<Option<&'n str>, QueryError> {
    let names = names.into_iter();
    if let Some(exact) = names.clone().find(|name| *name == typed) {
        return Ok(Some(exact));
    }
    let alike: Vec<&str> = names.filter(|name| is_alike(name, typed)).collect();
    match alike.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        several => Err(QueryError::AmbiguousName {
            name: typed.to_owned(),
            candidates: several.iter().map(|name| identifier(name)).collect(),
        }),
    }
}

struct Tables<'c> {
    catalog: &'c QueryCatalog,
    /// Names of the common table expressions that can be seen, innermost last.
    expressions: Vec<Ident>,
}

impl Tables<'_> {
    fn find_relation(&self, relation: &mut ObjectName) -> Result<(), QueryError> {
        let mut parts: Vec<&mut Ident> = relation.0.iter_mut().filter_map(ident).collect();
        match parts.as_mut_slice() {
            [table] => {
                let is_unquoted = table.quote_style.is_none();
                let expression = self.expressions.iter().rev().find(|name| is_alike(&name.value, &table.value));
                match expression.filter(|name| is_unquoted || name.value == table.value) {
                    Some(name) => set(table, &name.value),
                    None => self.find_table(TOPICS_SCHEMA, table)?,
                }
            }
            [schema, table] | [_, schema, table] => {
                find_part(schema, SCHEMAS)?;
                let schema = schema.value.clone();
                self.find_table(&schema, table)?;
            }
            _ => {}
        }
        if let [catalog, _, _] = parts.as_mut_slice() {
            find_part(catalog, [CATALOG])?;
        }
        Ok(())
    }

    fn find_table(&self, schema: &str, table: &mut Ident) -> Result<(), QueryError> {
        match schema {
            TOPICS_SCHEMA | QUARANTINE_SCHEMA => {
                let topics = self.catalog.topic_names();
                find_part(table, topics.iter().map(String::as_str))
            }
            SYSTEM_SCHEMA => find_part(table, SystemTable::ALL.map(SystemTable::name)),
            INFORMATION_SCHEMA => find_part(table, INFORMATION_TABLES),
            _ => Ok(()),
        }
    }
}

fn ident(part: &mut ObjectNamePart) -> Option<&mut Ident> {
    match part {
        ObjectNamePart::Identifier(ident) => Some(ident),
        ObjectNamePart::Function(_) => None,
    }
}

/// Sets a part of a table's name, unless it is quoted.
fn find_part<'n>(
    part: &mut Ident,
    names: impl IntoIterator<Item = &'n str, IntoIter: Clone>,
) -> Result<(), QueryError> {
    if part.quote_style.is_none()
        && let Some(name) = find(&part.value, names)?
    {
        set(part, name);
    }
    Ok(())
}

impl VisitorMut for Tables<'_> {
    type Break = QueryError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        let Some(with) = &mut query.with else { return ControlFlow::Continue(()) };
        for expression in &mut with.cte_tables {
            if !with.recursive {
                // It does not see itself. The second visit, with the rest of the query, finds its names quoted.
                expression.visit(self)?;
            }
            self.expressions.push(expression.alias.name.clone());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        let defined = query.with.as_ref().map_or(0, |with| with.cte_tables.len());
        self.expressions.truncate(self.expressions.len() - defined);
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<Self::Break> {
        match self.find_relation(relation) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        select.named_window.iter_mut().for_each(|window| fold(&mut window.0));
        let tables: Vec<String> = select.from.iter().flat_map(tables_of).collect();
        for item in &mut select.projection {
            let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) = item else {
                continue;
            };
            if let [ObjectNamePart::Identifier(table)] = name.0.as_mut_slice()
                && let Err(error) = find_part(table, tables.iter().map(String::as_str))
            {
                return ControlFlow::Break(error);
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        match expr {
            Expr::Function(function) => {
                if let Some(WindowType::NamedWindow(name)) = &mut function.over {
                    fold(name);
                }
            }
            Expr::CompoundFieldAccess { root, access_chain } => as_subscripts(root, access_chain),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Writes `.member` as `['member']`, which is all that DataFusion plans, except in a name as `table.column`.
fn as_subscripts(root: &Expr, chain: &mut [AccessExpr]) {
    let is_dot = |access: &&AccessExpr| matches!(access, AccessExpr::Dot(_));
    let in_name = if matches!(root, Expr::Identifier(_)) { chain.iter().take_while(is_dot).count() } else { 0 };
    for access in &mut chain[in_name..] {
        if let AccessExpr::Dot(Expr::Identifier(member)) = access {
            let index = Expr::Value(Value::SingleQuotedString(member.value.clone()).with_empty_span());
            *access = AccessExpr::Subscript(Subscript::Index { index });
        }
    }
}

/// Windows have no names in the output: lower case is as good as any.
fn fold(name: &mut Ident) {
    if name.quote_style.is_none() {
        name.value = name.value.to_lowercase();
    }
}

/// Names by which columns of these tables are qualified.
fn tables_of(from: &TableWithJoins) -> Vec<String> {
    let joined = from.joins.iter().map(|join| &join.relation);
    std::iter::once(&from.relation).chain(joined).filter_map(table_name).collect()
}

/// The name by which columns of this table are qualified.
pub(super) fn table_name(table: &TableFactor) -> Option<String> {
    let (TableFactor::Table { alias, .. } | TableFactor::Derived { alias, .. }) = table else { return None };
    match (alias, table) {
        (Some(alias), _) => Some(alias.name.value.clone()),
        (None, TableFactor::Table { name, .. }) => name.0.last()?.as_ident().map(|ident| ident.value.clone()),
        _ => None,
    }
}

//! The plan of a statement over the names of tables.
//!
//! Owns: the changes of a statement before it is planned, in their order; mending names until the statement can be planned, the refusal of tables that there are not, and of statements that do
//! not read, before they are planned.
//! Does not own: the rows of the tables (`binding`), finding names (`names`).

use std::ops::ControlFlow;

use datafusion::catalog::CatalogProvider;
use datafusion::common::ResolvedTableReference;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, VisitMut, VisitorMut};

use super::schemas::QueryCatalog;
use super::{
    CATALOG, INFORMATION_SCHEMA, QueryError, TOPICS_SCHEMA, casts, clauses, comparisons, derived, intervals, json,
    labels, merged, mixed, names, positions, precedence, shown, windows,
};
use crate::duckdb::identifier;

/// The plan of a statement whose tables exist. Planning is what knows the scopes of names, so it says which ones are to be
/// mended: each failure mends one, until there is none.
pub(super) async fn planned(
    state: &SessionState,
    mut statement: Statement,
    tables: &QueryCatalog,
) -> Result<LogicalPlan, QueryError> {
    let is_query = matches!(&statement, Statement::Statement(inner) if matches!(**inner, ast::Statement::Query(_)));
    let mut casts_are_apart = false;
    loop {
        let mut marked = statement.clone();
        merged::mark(&mut marked);
        match state.statement_to_plan(marked).await {
            Ok(plan) if is_query => return Ok(labels::labelled(merged::unmarked(plan)?)?),
            Ok(plan) => return Ok(merged::unmarked(plan)?),
            Err(error) if labels::is_repetition(&error) && labels::set_apart(&mut statement) => {}
            Err(error) if !casts_are_apart && casts::may_be_to_blame(&error) && casts::set_apart(&mut statement) => {
                labels::set_apart(&mut statement);
                casts_are_apart = true;
            }
            Err(error) if positions::write_out(&mut statement, &error) => {}
            Err(error) if merged::qualify(&mut statement, &error) => {}
            Err(error) => names::columns::find_column(&mut statement, error, tables)?,
        }
    }
}

/// Writes the statement as DataFusion understands it.
///
/// # Errors
/// When it has what is not carried out.
pub(super) fn write_out(statement: &mut Statement, state: &SessionState) -> Result<(), QueryError> {
    json::binding::tighten(statement);
    mixed::literals::keep_digits(statement);
    precedence::bind(statement);
    clauses::check(statement, state)?;
    windows::write_out(statement)?;
    comparisons::write_out(statement)?;
    intervals::as_casts(statement);
    shown::of_one_table(statement)?;
    derived::name_recursive_columns(statement);
    Ok(())
}

/// Refuses a statement that does something else than read, whatever its tables and values are.
pub(super) fn check_reads(statement: &mut Statement) -> Result<(), QueryError> {
    let found = match statement {
        Statement::Explain(explain) => return check_reads(&mut explain.statement),
        Statement::Statement(inner) => match inner.visit(&mut Reading) {
            ControlFlow::Break(found) => found,
            ControlFlow::Continue(()) => return Ok(()),
        },
        Statement::Reset(_) => return Ok(()),
        Statement::CreateExternalTable(_) => "CREATE".to_owned(),
        Statement::CopyTo(_) => "COPY".to_owned(),
    };
    Err(QueryError::NotReading(found))
}

/// Breaks at the first statement that does something else than read, with its first word: a query may have one within.
struct Reading;

impl VisitorMut for Reading {
    type Break = String;

    fn pre_visit_statement(&mut self, statement: &mut ast::Statement) -> ControlFlow<String> {
        match statement {
            ast::Statement::Query(_) | ast::Statement::Explain { .. } | ast::Statement::ExplainTable { .. } => {}
            // Which settings can be set is said where they are.
            ast::Statement::Set(_) | ast::Statement::Reset(_) => {}
            other => match other.to_string().split_whitespace().next() {
                None | Some("SHOW") => {}
                Some(word) => return ControlFlow::Break(word.to_owned()),
            },
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<String> {
        match select.into {
            Some(_) => ControlFlow::Break("SELECT INTO".to_owned()),
            None => ControlFlow::Continue(()),
        }
    }
}

/// Refuses a table that there is not.
pub(super) fn check_exists(tables: &QueryCatalog, table: &ResolvedTableReference) -> Result<(), QueryError> {
    let (catalog, schema, name) = (table.catalog.as_ref(), table.schema.as_ref(), table.table.as_ref());
    let known = match tables.schema(schema) {
        _ if catalog != CATALOG => None,
        _ if schema == INFORMATION_SCHEMA => Some(names::INFORMATION_TABLES.map(str::to_owned).to_vec()),
        Some(found) if found.table_exist(name) => return Ok(()),
        Some(found) => Some(found.table_names()),
        None => None,
    };
    let is_quoted = |name: &str| name.chars().any(char::is_uppercase);
    let quoted = |name: &str| if is_quoted(name) { identifier(name) } else { names::identifier_if_needed(name) };
    match known {
        Some(known) if schema == INFORMATION_SCHEMA && known.iter().any(|known| known == name) => Ok(()),
        Some(tables) => {
            let table = match schema {
                TOPICS_SCHEMA => identifier(name),
                _ => format!("{}.{}", quoted(schema), quoted(name)),
            };
            Err(QueryError::UnknownTable { table, schema: schema.to_owned(), tables })
        }
        None => {
            let schema = match catalog {
                CATALOG => quoted(schema),
                _ => format!("{}.{}", quoted(catalog), quoted(schema)),
            };
            let mut schemas = tables.schema_names();
            schemas.push(INFORMATION_SCHEMA.to_owned());
            Err(QueryError::UnknownSchema { schema, schemas })
        }
    }
}

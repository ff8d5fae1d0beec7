//! The plan of a statement over the names of tables.
//!
//! Owns: mending names until the statement can be planned, and the refusal of tables that there are not.
//! Does not own: the rows of the tables (`binding`), finding names (`names`).

use datafusion::catalog::CatalogProvider;
use datafusion::common::ResolvedTableReference;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;

use super::schemas::QueryCatalog;
use super::{CATALOG, INFORMATION_SCHEMA, QueryError, TOPICS_SCHEMA, labels, merged, names};

/// The plan of a statement whose tables exist. Planning is what knows the scopes of names, so it says which ones are to be
/// mended: each failure mends one, until there is none.
pub(super) async fn planned(
    state: &SessionState,
    mut statement: Statement,
    tables: &QueryCatalog,
) -> Result<LogicalPlan, QueryError> {
    let is_query = matches!(&statement, Statement::Statement(inner) if matches!(**inner, ast::Statement::Query(_)));
    loop {
        let mut marked = statement.clone();
        merged::mark(&mut marked);
        match state.statement_to_plan(marked).await {
            Ok(plan) if is_query => return Ok(labels::labelled(merged::unmarked(plan)?)?),
            Ok(plan) => return Ok(merged::unmarked(plan)?),
            Err(error) if labels::is_repetition(&error) && labels::set_apart(&mut statement) => {}
            Err(error) if merged::qualify(&mut statement, &error) => {}
            Err(error) => names::columns::find_column(&mut statement, error, tables)?,
        }
    }
}

/// Refuses a table that there is not.
pub(super) fn check_exists(tables: &QueryCatalog, table: &ResolvedTableReference) -> Result<(), QueryError> {
    let known = match table.catalog.as_ref() == CATALOG {
        true if table.schema.as_ref() == INFORMATION_SCHEMA => true,
        true => tables.schema(&table.schema).is_some_and(|schema| schema.table_exist(&table.table)),
        false => false,
    };
    if known {
        return Ok(());
    }
    let name = match table.schema.as_ref() == TOPICS_SCHEMA && table.catalog.as_ref() == CATALOG {
        true => format!("{:?}", table.table),
        false => table.to_string(),
    };
    Err(QueryError::UnknownTable { table: name, topics: tables.topic_names() })
}

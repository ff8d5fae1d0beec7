//! Statements about PostgreSQL's own tables and functions.
//!
//! Owns: telling them from those about topics, which mean the same at every door; their text for the engine, and its
//! errors in the names that clients know.
//! Does not own: the tables and functions (`tables`).

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, Ident, ObjectName, ObjectNamePart, Query, Statement, TableFactor, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use pgwire::error::PgWireResult;

use super::information::INFORMATION;
use crate::error::QueryFailure;

const SERIES: &str = "generate_series";

/// Words without the beginning `pg_` that only statements about PostgreSQL have.
const WORDS: [&str; 8] = [
    "current_catalog",
    "current_schema",
    "current_user",
    "information_schema",
    "regclass",
    "regnamespace",
    "regtype",
    "session_user",
];

/// True if a statement names tables, types or functions of PostgreSQL.
pub(super) fn are_of_postgres(tokens: &[&Token]) -> bool {
    tokens.iter().any(|token| match token {
        Token::Word(word) => {
            let word = word.value.to_lowercase();
            word.starts_with("pg_") || WORDS.contains(&word.as_str())
        }
        _ => false,
    })
}

/// The text of such a statement for the engine.
///
/// # Errors
/// It is no SQL, or several statements.
pub(super) fn for_engine(text: &str) -> PgWireResult<String> {
    let statements = PostgresCompatibilityParser::new().parse(text);
    let mut statements = statements.map_err(|error| QueryFailure::invalid(error.to_string()))?;
    match statements.as_mut_slice() {
        [one] => {
            // Nothing is broken off.
            let _: ControlFlow<()> = one.visit(&mut ForEngine);
            Ok(one.to_string())
        }
        several => Err(QueryFailure::invalid(format!("one statement is expected, not {}", several.len())).into()),
    }
}

/// An error of the engine in the names that its client knows.
pub(super) fn for_client(error: &str) -> String {
    error.replace(INFORMATION, "information_schema")
}

/// Finds `information_schema` as PostgreSQL has it, where the engine has its own, and `generate_series` among tables, where the
/// engine has it among functions.
struct ForEngine;

impl VisitorMut for ForEngine {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        if let [.., schema, _] = relation.0.as_mut_slice()
            && schema.as_ident().is_some_and(is_information)
        {
            *schema = ObjectNamePart::Identifier(Ident::new(INFORMATION));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: Some(arguments), alias, .. } = factor
            && name.0.last().and_then(ObjectNamePart::as_ident).is_some_and(|name| name.value == SERIES)
            && let Some(subquery) = series(&arguments.args)
        {
            *factor = TableFactor::Derived { lateral: false, subquery, alias: alias.take(), sample: None };
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expr
            && let [schema, _, _] = parts.as_slice()
            && is_information(schema)
        {
            parts.remove(0);
        }
        ControlFlow::Continue(())
    }
}

/// Its numbers as rows.
fn series(arguments: &[FunctionArg]) -> Option<Box<Query>> {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let text = format!("SELECT unnest({SERIES}({})) AS {SERIES}", arguments.join(", "));
    let mut parsed = Parser::parse_sql(&PostgreSqlDialect {}, &text).ok()?;
    match parsed.pop() {
        Some(Statement::Query(query)) => Some(query),
        _ => None,
    }
}

fn is_information(name: &Ident) -> bool {
    name.value.eq_ignore_ascii_case("information_schema")
}

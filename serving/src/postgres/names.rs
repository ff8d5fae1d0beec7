//! Statements about PostgreSQL's own tables and functions.
//!
//! Owns: telling them from those about topics, which mean the same at every door; and their text for the engine.
//! Does not own: the tables and functions (`tables`).

use datafusion::sql::sqlparser::tokenizer::Token;
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use pgwire::error::PgWireResult;

use crate::error::QueryFailure;

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
    let statements = statements.map_err(|error| QueryFailure::invalid(error.to_string()))?;
    match statements.as_slice() {
        [one] => Ok(one.to_string()),
        several => Err(QueryFailure::invalid(format!("one statement is expected, not {}", several.len())).into()),
    }
}

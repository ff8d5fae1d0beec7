//! The failure to plan a query.
//!
//! Owns: its kinds and texts. Does not own: failures of running one (DataFusion), unreadable objects (`object`).

use catalog::CatalogError;
use datafusion::error::DataFusionError;

use super::statements::TOKENS_MAX;
use super::{QUARANTINE_SCHEMA, TOPICS_SCHEMA};

/// A failure to plan a query.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The statement does something else than read.
    #[error("only SELECT, SHOW, DESCRIBE and EXPLAIN are allowed here, not {0}")]
    NotReading(String),
    /// The query names a table that does not exist.
    #[error("no table {table}; {}", known_tables(schema, tables))]
    UnknownTable {
        /// The table as it was typed.
        table: String,
        /// Its schema.
        schema: String,
        /// Every table of this schema.
        tables: Vec<String>,
    },
    /// The query names a schema that does not exist.
    #[error("no schema {schema}; schemas are {}", schemas.join(", "))]
    UnknownSchema {
        /// The schema as it was typed.
        schema: String,
        /// Every schema.
        schemas: Vec<String>,
    },
    /// The query names a column that does not exist.
    #[error("no column {column}; {}", known_columns(columns))]
    UnknownColumn {
        /// The column as it was typed.
        column: String,
        /// The columns in its place, quoted.
        columns: Vec<String>,
    },
    /// An unquoted name fits several that differ in case alone.
    #[error("{name} may be {}; quote the one that is meant", candidates.join(" or "))]
    AmbiguousName {
        /// The name as it was typed.
        name: String,
        /// What it may be, quoted.
        candidates: Vec<String>,
    },
    /// The values for placeholders do not fit the statement.
    #[error("{0}")]
    Parameter(String),
    /// The statement has too many words, numbers and signs.
    #[error("the statement has {0} words, numbers and signs; allowed are {TOKENS_MAX}: send values as parameters")]
    TooLarge(usize),
    /// The store's URL cannot name a store.
    #[error("store URL {url} is not usable: {reason}")]
    Store {
        /// The URL without password.
        url: String,
        /// The defect of the URL.
        reason: String,
    },
    /// The catalog could not be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The query is not valid, or cannot be carried out.
    #[error(transparent)]
    Query(#[from] DataFusionError),
}

fn known_tables(schema: &str, tables: &[String]) -> String {
    match schema {
        TOPICS_SCHEMA | QUARANTINE_SCHEMA => known_topics(tables),
        _ => {
            let mut sorted: Vec<&str> = tables.iter().map(String::as_str).collect();
            sorted.sort_unstable();
            format!("tables of {schema} are {}", sorted.join(", "))
        }
    }
}

fn known_topics(topics: &[String]) -> String {
    if topics.is_empty() {
        return "there are no topics yet".to_owned();
    }
    let quoted: Vec<_> = topics.iter().map(|topic| crate::duckdb::identifier(topic)).collect();
    format!("topics are {} (quote names that are not plain words)", quoted.join(", "))
}

fn known_columns(columns: &[String]) -> String {
    match columns {
        [] => "there are no columns here (text is written in 'single quotes')".to_owned(),
        some => format!("columns are {} (text is written in 'single quotes')", some.join(", ")),
    }
}

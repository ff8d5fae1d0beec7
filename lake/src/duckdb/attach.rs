//! Attaching the catalog in DuckDB, by its extension `ducklake`.
//!
//! Owns: the statements. Does not own: the views in the catalog that the extension reads (crate `catalog`).

use std::path::PathBuf;

use super::{DuckDbLocation, access, literal};

/// The catalog as DuckDB reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DuckDbCatalog {
    /// A file of SQLite.
    Sqlite {
        /// The absolute path.
        path: PathBuf,
    },
    /// A database of PostgreSQL.
    Postgres {
        /// Words of libpq such as `host` and `dbname` with their values; no password is among them.
        words: Vec<(&'static str, String)>,
        /// The schema of the views.
        schema: String,
    },
}

/// Statements after which every topic is a table, and its quarantine a table of the schema `quarantine`: always the
/// segments that are committed at the time of a query.
pub fn attach_sql(catalog: &DuckDbCatalog, location: &DuckDbLocation) -> String {
    let attach = match catalog {
        DuckDbCatalog::Sqlite { path } => {
            format!("ATTACH {} AS lake (READ_ONLY);\n", literal(&format!("ducklake:sqlite:{}", path.display())))
        }
        DuckDbCatalog::Postgres { words, schema } => {
            let words: Vec<String> = words.iter().map(|(word, value)| format!("{word}={}", quoted(value))).collect();
            format!(
                "-- The password: from PGPASSWORD or ~/.pgpass, as with psql.\n\
                 ATTACH {} AS lake (READ_ONLY, METADATA_SCHEMA {});\n",
                literal(&format!("ducklake:postgres:{}", words.join(" "))),
                literal(schema)
            )
        }
    };
    format!("{}{attach}USE lake;\n", access::sql(location))
}

/// A value of libpq, in quotes where it needs them.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_quotes_stay_one_value() {
        let local = DuckDbLocation::Local { root: PathBuf::from("/data") };
        let sqlite = DuckDbCatalog::Sqlite { path: PathBuf::from("/it's/catalog.db") };
        let sql = attach_sql(&sqlite, &local);
        assert_eq!(sql, "ATTACH 'ducklake:sqlite:/it''s/catalog.db' AS lake (READ_ONLY);\nUSE lake;\n");
        let words = vec![("host", "db.example".to_owned()), ("dbname", "a b'c".to_owned())];
        let sql = attach_sql(&DuckDbCatalog::Postgres { words, schema: "lake".to_owned() }, &local);
        let place = r"'ducklake:postgres:host=db.example dbname=''a b\''c'''";
        let attach = format!("ATTACH {place} AS lake (READ_ONLY, METADATA_SCHEMA 'lake');");
        assert_eq!(sql.lines().nth(1), Some(attach.as_str()));
    }
}

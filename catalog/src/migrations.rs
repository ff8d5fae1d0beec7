//! The migrations of both databases, compiled into the crate.
//!
//! Owns: their list. Does not own: their SQL (`migrations/`), and when they run (`sqlite`, `postgres`).
//!
//! The list stands here, and not in a macro of sqlx: its macros bring both drivers, with a second copy of the SQLite
//! library, into every build.

use std::borrow::Cow;
use std::sync::LazyLock;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// The migrations of a directory, each the text of its file.
macro_rules! migrations {
    ($directory:literal: $($number:literal $description:literal $file:literal),+ $(,)?) => {
        LazyLock::new(|| {
            let migrations = vec![$(
                migration($number, $description, include_str!(concat!("../migrations/", $directory, "/", $file))),
            )+];
            Migrator::with_migrations(migrations)
        })
    };
}

/// The schema in SQLite.
pub(crate) static SQLITE: LazyLock<Migrator> = migrations! {
    "sqlite":
    1 "initial schema" "001_initial_schema.sql",
    2 "add indexes" "002_add_indexes.sql",
    3 "ownership and history" "003_ownership_and_history.sql",
    4 "retired epochs" "004_retired_epochs.sql",
    5 "objects" "005_objects.sql",
    6 "tokens" "006_tokens.sql",
    7 "agents" "007_agents.sql",
    8 "tables for readers" "008_tables_for_readers.sql",
    9 "iceberg" "009_iceberg.sql",
    10 "gap kind" "010_gap_kind.sql",
    11 "consumers" "011_consumers.sql",
    12 "one row of statistics" "012_one_row_of_statistics.sql",
};

/// The schema in PostgreSQL.
pub(crate) static POSTGRES: LazyLock<Migrator> = migrations! {
    "postgres":
    1 "initial schema" "001_initial_schema.sql",
    2 "add indexes" "002_add_indexes.sql",
    3 "ownership and history" "003_ownership_and_history.sql",
    4 "retired epochs" "004_retired_epochs.sql",
    5 "objects" "005_objects.sql",
    6 "tokens" "006_tokens.sql",
    7 "agents" "007_agents.sql",
    8 "tables for readers" "008_tables_for_readers.sql",
    9 "iceberg" "009_iceberg.sql",
    10 "gap kind" "010_gap_kind.sql",
    11 "consumers" "011_consumers.sql",
    12 "one row of statistics" "012_one_row_of_statistics.sql",
};

fn migration(version: i64, description: &'static str, sql: &'static str) -> Migration {
    let is_without_transaction = false;
    let description = Cow::Borrowed(description);
    Migration::new(version, description, MigrationType::Simple, sql.into_sql_str(), is_without_transaction)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name and text of each file, in order.
    fn files(directory: &str) -> Vec<(String, String)> {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(directory);
        let entries = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry"));
        let mut files: Vec<_> = entries
            .map(|entry| {
                let text = std::fs::read_to_string(entry.path()).expect("text");
                (entry.file_name().into_string().expect("UTF-8"), text)
            })
            .collect();
        files.sort();
        files
    }

    #[test]
    fn each_file_is_a_migration_of_its_number_and_name() {
        for (directory, migrator) in [("sqlite", &SQLITE), ("postgres", &POSTGRES)] {
            let listed: Vec<_> = migrator
                .iter()
                .map(|migration| {
                    let name = format!("{:03}_{}.sql", migration.version, migration.description.replace(' ', "_"));
                    (name, migration.sql.as_str().to_owned())
                })
                .collect();
            assert_eq!(listed, files(directory), "{directory}");
        }
    }
}

//! A database with an older schema.
//!
//! Owns: making it by the first migrations, running SQL and reading texts. Does not own: opening it as a catalog.

use std::path::Path;

use sqlx::migrate::Migrator;
use sqlx::{PgPool, SqlitePool};
use tempfile::TempDir;

/// A database that no program has opened yet.
pub(crate) struct Database {
    url: String,
    _directory: Option<TempDir>,
}

impl Database {
    /// A file with the schema of that version.
    pub(crate) async fn sqlite(version: usize) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", directory.path().join("catalog.db").display());
        let pool = SqlitePool::connect(&format!("{url}?mode=rwc")).await.expect("opens");
        first_migrations("sqlite", version).await.run(&pool).await.expect("migrates");
        pool.close().await;
        Self { url, _directory: Some(directory) }
    }

    /// A database of PostgreSQL with the schema of that version.
    pub(crate) async fn postgres(version: usize) -> Self {
        let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
        let pool = PgPool::connect(&url).await.expect("connects");
        first_migrations("postgres", version).await.run(&pool).await.expect("migrates");
        pool.close().await;
        Self { url, _directory: None }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn run(&self, sql: &'static str) {
        if self.url.starts_with("postgres") {
            let pool = PgPool::connect(&self.url).await.expect("connects");
            sqlx::raw_sql(sql).execute(&pool).await.expect("runs");
            return pool.close().await;
        }
        let pool = SqlitePool::connect(&self.url).await.expect("connects");
        sqlx::raw_sql(sql).execute(&pool).await.expect("runs");
        pool.close().await;
    }

    /// The first column of each row.
    pub(crate) async fn texts(&self, sql: &'static str) -> Vec<String> {
        if self.url.starts_with("postgres") {
            let pool = PgPool::connect(&self.url).await.expect("connects");
            let rows = sqlx::query_scalar(sql).fetch_all(&pool).await.expect(sql);
            pool.close().await;
            return rows;
        }
        let pool = SqlitePool::connect(&self.url).await.expect("connects");
        let rows = sqlx::query_scalar(sql).fetch_all(&pool).await.expect(sql);
        pool.close().await;
        rows
    }
}

/// The migrations up to the version.
async fn first_migrations(database: &str, version: usize) -> Migrator {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(database);
    let some = tempfile::tempdir().expect("a directory");
    let files = std::fs::read_dir(all).expect("listed").map(|file| file.expect("listed").path());
    let is_older = |file: &Path| {
        let name = file.file_name().expect("a file").to_string_lossy();
        name[..3].parse::<usize>().expect("a number") <= version
    };
    for file in files.filter(|file| is_older(file)) {
        std::fs::copy(&file, some.path().join(file.file_name().expect("a file"))).expect("copied");
    }
    Migrator::new(some.path()).await.expect("read")
}

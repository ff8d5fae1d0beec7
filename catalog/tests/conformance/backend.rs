//! The catalogs that the suite runs against.
//!
//! Owns: opening them fresh, and looking into their tables behind the contract's back.
//! Does not own: installing PostgreSQL (the support crate says how).

use std::sync::Arc;

use catalog::{MetadataStore, PostgresMetadataStore, SqliteMetadataStore, connect};
use simulation::catalog::{Faults, Guards, ModelCatalog, Rates, Session, VirtualClock};
use tempfile::TempDir;

/// A fresh catalog; its file goes with it.
pub(crate) struct Backend {
    store: Arc<dyn MetadataStore>,
    url: String,
    _directory: Option<TempDir>,
}

impl Backend {
    pub(crate) async fn sqlite_file() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("new").join("catalog.db");
        let store = SqliteMetadataStore::new(&path).await.expect("opens");
        Self { store: Arc::new(store), url: format!("sqlite:{}", path.display()), _directory: Some(directory) }
    }

    pub(crate) async fn sqlite_memory() -> Self {
        Self { store: setup_test_store().await, url: "sqlite::memory:".to_owned(), _directory: None }
    }

    pub(crate) async fn postgres() -> Self {
        let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
        let store = PostgresMetadataStore::connect(&url).await.expect("opens");
        Self { store: Arc::new(store), url, _directory: None }
    }

    /// The model that simulations run on.
    pub(crate) async fn model() -> Self {
        let model = ModelCatalog::new(VirtualClock::shared(), Guards::default());
        Self { store: Arc::new(model), url: "model".to_owned(), _directory: None }
    }

    /// The model, seen by a writer whose calls take their time.
    pub(crate) async fn model_session() -> Self {
        let model = ModelCatalog::new(VirtualClock::shared(), Guards::default());
        let faults = Faults::new(1, Rates { network_ms: (0, 1), commit_ms: (0, 1), ..Rates::default() });
        let store = Arc::new(Session::new(&model, &faults, 1));
        Self { store, url: "model".to_owned(), _directory: None }
    }

    pub(crate) fn store(&self) -> &dyn MetadataStore {
        &*self.store
    }

    /// One that is not opened yet, and whose `store` is another.
    pub(crate) async fn at(url: String) -> Self {
        Self { store: setup_test_store().await, url, _directory: None }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The same database, opened once more. Not for the model, which nothing outlives.
    pub(crate) async fn open_again(&self) -> Arc<dyn MetadataStore> {
        connect(&self.url).await.expect("opens again")
    }

    /// The first column of each row, as text; for what the contract does not show. Not for the model: it has no SQL.
    pub(crate) async fn texts(&self, sql: &'static str) -> Vec<String> {
        if self.url.starts_with("postgres") {
            let pool = sqlx::PgPool::connect(&self.url).await.expect("connects");
            let rows = sqlx::query_scalar(sql).fetch_all(&pool).await.expect(sql);
            pool.close().await;
            return rows;
        }
        let pool = sqlx::SqlitePool::connect(&self.url).await.expect("connects");
        let rows = sqlx::query_scalar(sql).fetch_all(&pool).await.expect(sql);
        pool.close().await;
        rows
    }
}

/// A catalog in memory, for a test of anything that needs one.
pub(crate) async fn setup_test_store() -> Arc<dyn MetadataStore> {
    Arc::new(SqliteMetadataStore::new_in_memory().await.expect("opens"))
}

//! The catalogs under test.
//!
//! Owns: opening them fresh, and reading their tables without the contract.
//! Does not own: installing PostgreSQL (the support crate describes it).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use catalog::{MetadataStore, PostgresMetadataStore, SqliteMetadataStore, connect};
use simulation::catalog::{CatalogState, Faults, Guards, ModelCatalog, Rates, Session, VirtualClock};
use sqlx::{Connection, PgConnection, SqliteConnection};
use support::pgbouncer::PgBouncer;
use tempfile::TempDir;

/// A fresh catalog; its file is deleted with it.
pub(crate) struct Backend {
    store: Arc<dyn MetadataStore>,
    url: String,
    /// The model, for reading its tables.
    model: Option<ModelCatalog>,
    _directory: Option<TempDir>,
    _pooler: Option<PgBouncer>,
}

impl Backend {
    pub(crate) async fn sqlite_file() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("new").join("catalog.db");
        let store = SqliteMetadataStore::new(&path).await.expect("opens");
        Self {
            store: Arc::new(store),
            url: format!("sqlite:{}", path.display()),
            model: None,
            _directory: Some(directory),
            _pooler: None,
        }
    }

    pub(crate) async fn sqlite_memory() -> Self {
        Self {
            store: setup_test_store().await,
            url: "sqlite::memory:".to_owned(),
            model: None,
            _directory: None,
            _pooler: None,
        }
    }

    pub(crate) async fn postgres() -> Self {
        let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
        let store = PostgresMetadataStore::connect(&url).await.expect("opens");
        Self { store: Arc::new(store), url, model: None, _directory: None, _pooler: None }
    }

    /// PostgreSQL, whose pooler lends a session to each transaction.
    pub(crate) async fn postgres_behind_a_pooler() -> Self {
        let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
        let pooler = PgBouncer::before(&url, &["pool_mode = transaction"]).await.expect("a pooler");
        let store = PostgresMetadataStore::connect(pooler.url()).await.expect("opens");
        Self { store: Arc::new(store), url, model: None, _directory: None, _pooler: Some(pooler) }
    }

    /// The model that simulations use.
    pub(crate) async fn model() -> Self {
        let model = ModelCatalog::new(VirtualClock::shared(), Guards::default());
        let store = Arc::new(model.clone());
        Self { store, url: "model".to_owned(), model: Some(model), _directory: None, _pooler: None }
    }

    /// The model, through a session whose calls take time.
    pub(crate) async fn model_session() -> Self {
        let model = ModelCatalog::new(VirtualClock::shared(), Guards::default());
        let faults = Faults::new(1, Rates { network_ms: (0, 1), commit_ms: (0, 1), ..Rates::default() });
        let store = Arc::new(Session::new(&model, &faults, 1));
        Self { store, url: "model".to_owned(), model: Some(model), _directory: None, _pooler: None }
    }

    pub(crate) fn store(&self) -> &dyn MetadataStore {
        &*self.store
    }

    /// A backend at `url` that is not opened; its `store` is an unrelated catalog in memory.
    pub(crate) async fn at(url: String) -> Self {
        Self { store: setup_test_store().await, url, model: None, _directory: None, _pooler: None }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The same database, opened once more. Not for the model, which ends with its only handle.
    pub(crate) async fn open_again(&self) -> Arc<dyn MetadataStore> {
        connect(&self.url).await.expect("opens again")
    }

    /// The first column of each row, as text; for facts that the contract does not show. Not for the model: it has no
    /// SQL.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let mut inspection = self.inspect().await;
        let texts = inspection.texts(sql).await;
        inspection.close().await;
        texts
    }

    /// A connection without the contract.
    async fn inspect(&self) -> Inspection {
        if self.url.starts_with("postgres") {
            return Inspection::Postgres(PgConnection::connect(&self.url).await.expect("connects"));
        }
        Inspection::Sqlite(SqliteConnection::connect(&self.url).await.expect("connects"))
    }
}

/// A connection to a catalog's tables.
enum Inspection {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl Inspection {
    async fn texts(&mut self, sql: &str) -> Vec<String> {
        let query = sqlx::AssertSqlSafe(sql.to_owned());
        let rows = match self {
            Self::Postgres(connection) => sqlx::query_scalar(query).fetch_all(connection).await,
            Self::Sqlite(connection) => sqlx::query_scalar(query).fetch_all(connection).await,
        };
        rows.expect("a query of a test")
    }

    async fn execute(&mut self, sql: String) {
        let sql = sqlx::AssertSqlSafe(sql);
        match self {
            Self::Postgres(connection) => sqlx::query(sql).execute(connection).await.map(drop),
            Self::Sqlite(connection) => sqlx::query(sql).execute(connection).await.map(drop),
        }
        .expect("a statement of this file");
    }

    /// Waits until nothing is left of it, which a drop does not.
    async fn close(self) {
        match self {
            Self::Postgres(connection) => connection.close().await,
            Self::Sqlite(connection) => connection.close().await,
        }
        .expect("closes");
    }
}

/// Columns with times of the database's clock that a decision depends on, and the number of their units in a
/// millisecond.
const TIMES: &[(&str, &str, i64)] = &[
    ("agents", "heartbeat_at", 1),
    ("agents", "started_at", 1),
    ("ingesters", "heartbeat_at", 1),
    ("ingesters", "started_at", 1),
    ("consumer_members", "heartbeat_at", 1),
    ("consumer_members", "joined_at", 1),
    ("commits", "committed_at", 1),
    ("uploads", "created_at", 1),
    ("uploads", "doomed_at", 1),
    ("lake_snapshots", "time_us", 1_000),
    ("lake_head", "time_us", 1_000),
];

impl Backend {
    /// Lets this time pass in the catalog: every row becomes older by it.
    pub(crate) async fn age(&self, time: Duration) {
        let milliseconds = i64::try_from(time.as_millis()).expect("a short time");
        if let Some(model) = &self.model {
            return model.jump_clock(milliseconds);
        }
        let mut inspection = self.inspect().await;
        for (table, column, units) in TIMES {
            let passed = milliseconds * units;
            inspection.execute(format!("UPDATE {table} SET {column} = {column} - {passed}")).await;
        }
        inspection.close().await;
    }

    /// The number of rows of every table.
    pub(crate) async fn sizes(&self) -> BTreeMap<String, u64> {
        if let Some(model) = &self.model {
            return model.inspect(CatalogState::sizes);
        }
        let tables = if self.url.starts_with("postgres") {
            "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = current_schema()"
        } else {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        };
        let mut sizes = BTreeMap::new();
        let mut inspection = self.inspect().await;
        for table in inspection.texts(tables).await {
            let rows = inspection.texts(&format!("SELECT CAST(count(*) AS TEXT) FROM {table}")).await;
            sizes.insert(table, rows[0].parse().expect("a number"));
        }
        inspection.close().await;
        sizes
    }
}

/// A catalog in memory, for any test that needs one.
pub(crate) async fn setup_test_store() -> Arc<dyn MetadataStore> {
    Arc::new(SqliteMetadataStore::new_in_memory().await.expect("opens"))
}

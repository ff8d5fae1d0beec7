//! SQL over the objects that the catalog lists, with DataFusion.
//!
//! Owns: the query session: its tables, one catalog snapshot per topic and query, memory limits.
//! Does not own: the lists (the catalog's stores), writing, and the queue of messages that are not committed yet (`hot`
//! reads them through `crate::tail`).
//!
//! Tables: each topic under its own name (quote it where it is not a plain word), its quarantined records as
//! `quarantine."<topic>"`, and the catalog itself as `siltstone.topics`, `siltstone.partitions` and
//! `siltstone.segments`. Unquoted names are found without regard to case. Nothing is listed in the object store: an object that the catalog does not list is not read.

mod bounded;
mod chains;
mod checked;
mod contained;
mod error;
mod exact_average;
mod exact_store;
mod exact_sum;
mod extremes;
mod format;
mod frugal;
mod hot;
mod json;
mod labels;
mod layout;
mod mixed;
mod names;
mod object;
mod operators;
mod precedence;
mod provider;
mod pruning;
mod pushdown;
mod reader;
mod recorded;
mod rewriting;
mod rules;
mod schemas;
mod session;
mod settled;
mod settled_scan;
mod statistics;
mod system;

use std::fmt;
use std::sync::Arc;

use datafusion::catalog::MemoryCatalogProviderList;
use datafusion::catalog::{CatalogProvider, CatalogProviderList};
use datafusion::common::ResolvedTableReference;
use datafusion::dataframe::DataFrame;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use object_store::ObjectStore;
use tempfile::TempDir;
use url::Url;

use catalog::MetadataStore;

pub use contained::is_panic_contained;
pub use datafusion::execution::SendableRecordBatchStream as BatchStream;
pub use error::QueryError;
pub use format::{format_table, write_json_lines};
use hot::QueryTails;
pub use hot::{HotTail, HotTailMode, HotTailSettings, SessionSettings};
pub use object::{UnreadableSegment, unreadable_segment};
pub use provider::{SegmentCounts, segment_counts};
use schemas::QueryCatalog;

/// Name of DataFusion's catalog and, in it, of the schema of system tables.
const CATALOG: &str = "siltstone";
const TOPICS_SCHEMA: &str = "public";
const QUARANTINE_SCHEMA: &str = "quarantine";
const SYSTEM_SCHEMA: &str = "siltstone";
/// The reason for which a session sees no tails, unless it is given some.
const NO_QUEUE: &str = "this session was opened without a queue";
const INFORMATION_SCHEMA: &str = "information_schema";

/// The store that segments are read from.
#[derive(Clone)]
pub struct QueryStore {
    /// Names the store in plans; only scheme and authority are used, for example `s3://bucket` or `siltstone://data`.
    pub url: Url,
    /// The store; keys in the catalog are full keys in it.
    pub store: Arc<dyn ObjectStore>,
}

impl fmt::Debug for QueryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueryStore({})", common::secret::masked_url(self.url.as_str()))
    }
}

/// Limits and checks of a session.
#[derive(Clone, Copy, Debug)]
pub struct QueryOptions {
    /// Memory of all running queries together, in bytes; beyond it operators spill to temporary files, in the system's
    /// folder for them, or the query fails.
    pub memory_bytes_max: usize,
    /// Partitions that plans are made for: about the number of cores to use. 0 means all.
    pub parallelism: usize,
    /// Read each object whole and compare it with its checksum before any of it is used. Without it a changed byte may
    /// be an error, or another value: Parquet's pages carry no checksums of their own.
    pub verify: bool,
    /// Settings of the hot tail with which sessions begin.
    pub hot_tail: HotTailSettings,
}

impl Default for QueryOptions {
    fn default() -> Self {
        let hot_tail = HotTailSettings::default();
        Self { memory_bytes_max: 512 * 1024 * 1024, parallelism: 0, verify: false, hot_tail }
    }
}

/// Plans SQL over the topics of one catalog. Each query reads the state committed when it is planned.
pub struct QuerySession {
    catalog: Arc<dyn MetadataStore>,
    store_url: ObjectStoreUrl,
    store: Arc<dyn ObjectStore>,
    runtime: Arc<RuntimeEnv>,
    /// Functions, rules and settings; every query gets a copy with its own tables.
    template: SessionState,
    verify: bool,
    hot: HotTail,
    settings: SessionSettings,
    /// Holds the temporary files of queries, and takes them with it.
    _folder: Option<TempDir>,
}

impl fmt::Debug for QuerySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuerySession").field("store_url", &self.store_url).finish_non_exhaustive()
    }
}

impl QuerySession {
    /// A session with the default [`QueryOptions`].
    ///
    /// # Errors
    /// [`QueryError::Store`] when the URL cannot name a store.
    pub fn open(catalog: Arc<dyn MetadataStore>, store: QueryStore) -> Result<Self, QueryError> {
        Self::open_with(catalog, store, QueryOptions::default())
    }

    /// A session with these options.
    ///
    /// # Errors
    /// As [`QuerySession::open`].
    pub fn open_with(
        catalog: Arc<dyn MetadataStore>,
        store: QueryStore,
        options: QueryOptions,
    ) -> Result<Self, QueryError> {
        let store_url = store_url(&store.url)?;
        let folder = session::folder();
        let runtime = Arc::new(session::runtime(options, folder.as_ref())?);
        runtime.register_object_store(store_url.as_ref(), Arc::clone(&store.store));
        let template = session::template(options, Arc::clone(&runtime))?;
        let verify = options.verify;
        let (hot, settings) = (HotTail::unavailable(NO_QUEUE), SessionSettings::new(options.hot_tail));
        let store = store.store;
        Ok(Self { catalog, store_url, store, runtime, template, verify, hot, settings, _folder: folder })
    }

    /// The same session, whose tables end with the tails from `hot`.
    #[must_use]
    pub fn with_hot_tail(self, hot: HotTail) -> Self {
        Self { hot, ..self }
    }

    /// The settings of [`QuerySession::sql`].
    pub fn settings(&self) -> &SessionSettings {
        &self.settings
    }

    /// Plans one statement over a fresh snapshot of every topic it names. Only reading is allowed, and SET and RESET of
    /// the settings of the hot tail.
    ///
    /// # Errors
    /// [`QueryError::UnknownTable`] lists the topics that exist, [`QueryError::UnknownColumn`] the columns in reach; otherwise
    /// the catalog's or DataFusion's error.
    pub async fn sql(&self, sql: &str) -> Result<DataFrame, QueryError> {
        self.sql_with(sql, &self.settings).await
    }

    /// [`QuerySession::sql`] under the settings of one connection, or of one query.
    ///
    /// # Errors
    /// As [`QuerySession::sql`].
    pub async fn sql_with(&self, sql: &str, settings: &SessionSettings) -> Result<DataFrame, QueryError> {
        let tables = Arc::new(self.query_catalog(settings.hot_tail()).await?);
        let state = self.state_with(Arc::clone(&tables), settings.hot_tail())?;
        let dialect = state.config().options().sql_parser.dialect;
        let mut statement = state.sql_to_statement(sql, &dialect)?;
        json::binding::tighten(&mut statement);
        precedence::bind(&mut statement);
        names::find_tables(&mut statement, &tables)?;
        for reference in state.resolve_table_references(&statement)? {
            check_exists(&tables, &reference.resolve(CATALOG, TOPICS_SCHEMA))?;
        }
        let plan = chains::balance(planned(&state, statement, &tables).await?)?;
        if hot::is_set(&plan, settings)? {
            return Ok(DataFrame::new(state, LogicalPlanBuilder::empty(false).build()?));
        }
        let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        reading.verify_plan(&plan)?;
        Ok(SessionContext::new_with_state(state).execute_logical_plan(plan).await?)
    }

    async fn query_catalog(&self, hot_tail: HotTailSettings) -> Result<QueryCatalog, QueryError> {
        let topics = self.catalog.list_topics().await?;
        let readers = reader::NamedReaderFactory::new(
            Arc::clone(&self.store),
            self.runtime.cache_manager.get_file_metadata_cache(),
            self.verify,
        );
        let tails = QueryTails::new(self.hot.clone(), hot_tail);
        let (catalog, store_url) = (Arc::clone(&self.catalog), self.store_url.clone());
        Ok(QueryCatalog::new(catalog, topics, store_url, Arc::new(readers), tails))
    }

    fn state_with(&self, tables: Arc<QueryCatalog>, hot_tail: HotTailSettings) -> Result<SessionState, QueryError> {
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(CATALOG.to_owned(), tables as Arc<dyn CatalogProvider>);
        let builder = SessionStateBuilder::new_from_existing(self.template.clone());
        let mut state = builder.with_catalog_list(Arc::new(catalogs)).build();
        // SHOW finds them here.
        state.config_mut().options_mut().extensions.insert(hot_tail);
        Ok(state)
    }
}

/// The plan of a statement whose tables exist. Planning is what knows the scopes of names, so it says which ones are to be
/// mended: each failure mends one, until there is none.
async fn planned(
    state: &SessionState,
    mut statement: Statement,
    tables: &QueryCatalog,
) -> Result<LogicalPlan, QueryError> {
    let is_query = matches!(&statement, Statement::Statement(inner) if matches!(**inner, ast::Statement::Query(_)));
    loop {
        match state.statement_to_plan(statement.clone()).await {
            Ok(plan) if is_query => return Ok(labels::labelled(plan)?),
            Ok(plan) => return Ok(plan),
            Err(error) if labels::is_repetition(&error) && labels::set_apart(&mut statement) => {}
            Err(error) => names::columns::find_column(&mut statement, error, tables)?,
        }
    }
}

fn check_exists(tables: &QueryCatalog, table: &ResolvedTableReference) -> Result<(), QueryError> {
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

/// Scheme and authority of `url`, by which DataFusion finds stores.
fn store_url(url: &Url) -> Result<ObjectStoreUrl, QueryError> {
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    ObjectStoreUrl::parse(format!("{}://{authority}", url.scheme()))
        .map_err(|error| QueryError::Store { url: common::secret::masked_url(url.as_str()), reason: error.to_string() })
}

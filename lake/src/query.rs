//! SQL over the objects that the catalog lists, with DataFusion.
//!
//! Owns: the query session: planning a statement over one moment of the catalog, memory limits.
//! Does not own: the lists (the catalog's stores), writing, and the queue of messages that are not committed yet (`hot`
//! reads them through `crate::tail`).
//!
//! Tables: each topic under its own name (quote it where it is not a plain word), its quarantined records as
//! `quarantine."<topic>"`, and the catalog itself as `siltstone.topics`, `siltstone.segments` and the other system tables.
//! Unquoted names are found without regard to case. Nothing is listed in the object store: an object that the catalog
//! does not list is not read.

mod attached;
mod binding;
mod bounded;
mod chains;
mod checked;
mod contained;
mod counts;
mod error;
mod exact;
mod exact_average;
mod exact_store;
mod exact_sum;
mod extremes;
mod format;
mod frugal;
mod hot;
mod json;
mod known;
mod labels;
mod layout;
mod mixed;
mod named;
mod names;
mod object;
mod operators;
mod order;
mod parameters;
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

/// The version of DataFusion whose contexts [`Lake::register`] takes.
pub use datafusion;

pub use attached::Lake;
pub use contained::is_panic_contained;
pub use counts::{SegmentCounts, execute, rows_read, segment_counts};
pub use datafusion::execution::SendableRecordBatchStream as BatchStream;
pub use error::QueryError;
pub use format::{ParquetRows, format_expanded, format_table, write_csv, write_csv_header, write_json_lines};
use hot::QueryTails;
pub use hot::{HotTail, HotTailMode, HotTailSettings, SessionSettings};
use known::Known;
pub use object::{UnreadableSegment, unreadable_segment};
pub use parameters::Parameters;
use provider::Sources;
use reader::NamedReaderFactory;
use schemas::QueryCatalog;
pub use session::exact_context;

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

/// Plans SQL over the topics of one catalog. Each query reads the state committed when it is planned: one state, whatever
/// tables it names.
pub struct QuerySession {
    lake: Arc<Known>,
    /// Functions, rules and settings; every query gets a copy with its own tables.
    template: SessionState,
    hot: HotTail,
    settings: SessionSettings,
    /// Holds the temporary files of queries, and takes them with it.
    _folder: Option<TempDir>,
}

impl fmt::Debug for QuerySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuerySession").field("lake", &self.lake).finish_non_exhaustive()
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
        let folder = session::folder();
        let runtime = Arc::new(session::runtime(options, folder.as_ref())?);
        let lake = Arc::new(Known::new(sources(catalog, &store, &runtime, options.verify)?));
        let template = session::template(options, runtime)?;
        let (hot, settings) = (HotTail::unavailable(NO_QUEUE), SessionSettings::new(options.hot_tail));
        Ok(Self { lake, template, hot, settings, _folder: folder })
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

    /// Plans one statement over one moment of all tables that it names. Only reading is allowed, and SET and RESET of the
    /// settings of the hot tail.
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
        self.plan(sql, settings, None).await
    }

    /// The same with a value for each placeholder of the statement.
    ///
    /// # Errors
    /// [`QueryError::Parameter`] when a placeholder has no value, a value no placeholder, or a text is no value of the type
    /// that is needed in its place; otherwise as [`QuerySession::sql`].
    pub async fn sql_with_parameters(&self, sql: &str, parameters: &Parameters) -> Result<DataFrame, QueryError> {
        self.plan(sql, &self.settings, Some(parameters)).await
    }

    /// Names of tables as they are typed, and of their columns, for completion: topics, quarantines, system tables.
    ///
    /// # Errors
    /// The catalog's.
    pub async fn names(&self) -> Result<Vec<String>, QueryError> {
        let topics = self.lake.sources.catalog.list_topics().await?;
        Ok(names::typed(&QueryCatalog::of(Arc::clone(&self.lake), topics)))
    }

    async fn plan(
        &self,
        sql: &str,
        settings: &SessionSettings,
        parameters: Option<&Parameters>,
    ) -> Result<DataFrame, QueryError> {
        let topics = self.lake.sources.catalog.list_topics().await?;
        let tables = QueryCatalog::of(Arc::clone(&self.lake), topics);
        let state = self.state_with(&tables, settings.hot_tail());
        let dialect = state.config().options().sql_parser.dialect;
        let mut statement = state.sql_to_statement(sql, &dialect)?;
        json::binding::tighten(&mut statement);
        precedence::bind(&mut statement);
        names::find_tables(&mut statement, &tables)?;
        for reference in state.resolve_table_references(&statement)? {
            check_exists(&tables, &reference.resolve(CATALOG, TOPICS_SCHEMA))?;
        }
        let plan = planned(&state, statement, &tables).await?;
        let plan = match parameters {
            Some(values) => parameters::filled(plan, values)?,
            None => plan,
        };
        let plan = chains::balance(plan)?;
        if hot::is_set(&plan, settings)? {
            return Ok(DataFrame::new(state, LogicalPlanBuilder::empty(false).build()?));
        }
        let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        reading.verify_plan(&plan)?;
        let tails = QueryTails::new(self.hot.clone(), settings.hot_tail());
        let plan = binding::bound(plan, &tails).await?;
        Ok(SessionContext::new_with_state(state).execute_logical_plan(plan).await?)
    }

    fn state_with(&self, tables: &QueryCatalog, hot_tail: HotTailSettings) -> SessionState {
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(CATALOG.to_owned(), Arc::new(tables.clone()));
        let builder = SessionStateBuilder::new_from_existing(self.template.clone());
        let mut state = builder.with_catalog_list(Arc::new(catalogs)).build();
        // SHOW finds them here.
        state.config_mut().options_mut().extensions.insert(hot_tail);
        state
    }
}

/// The sources of tables that are read in this runtime.
fn sources(
    catalog: Arc<dyn MetadataStore>,
    store: &QueryStore,
    runtime: &RuntimeEnv,
    is_verifying: bool,
) -> Result<Sources, QueryError> {
    let store_url = store_url(&store.url)?;
    runtime.register_object_store(store_url.as_ref(), Arc::clone(&store.store));
    let footers = runtime.cache_manager.get_file_metadata_cache();
    let readers = Arc::new(NamedReaderFactory::new(Arc::clone(&store.store), footers, is_verifying));
    Ok(Sources { catalog, store_url, readers })
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

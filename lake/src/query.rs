//! SQL over the objects that the catalog lists, with DataFusion.
//!
//! Owns: the query session: its tables, one catalog snapshot per topic and query, memory limits.
//! Does not own: the lists (the catalog's stores), writing, and messages that are not committed yet.
//!
//! Tables: each topic under its own name (quote it where it is not a plain word), its quarantined records as
//! `quarantine."<topic>"`, and the catalog itself as `siltstone.topics`, `siltstone.partitions` and
//! `siltstone.segments`. Unquoted names are found without regard to case. Nothing is listed in the object store: an object that the catalog does not list is not read.

mod bounded;
mod chains;
mod checked;
mod contained;
mod exact_average;
mod exact_store;
mod exact_sum;
mod extremes;
mod format;
mod frugal;
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
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use object_store::ObjectStore;
use tempfile::TempDir;
use url::Url;

use catalog::CatalogError;
use catalog::MetadataStore;

pub use contained::is_panic_contained;
pub use datafusion::execution::SendableRecordBatchStream as BatchStream;
pub use format::{format_table, write_json_lines};
pub use object::{UnreadableSegment, unreadable_segment};
pub use provider::{SegmentCounts, segment_counts};
use schemas::QueryCatalog;

/// Name of DataFusion's catalog and, in it, of the schema of system tables.
const CATALOG: &str = "siltstone";
const TOPICS_SCHEMA: &str = "public";
const QUARANTINE_SCHEMA: &str = "quarantine";
const SYSTEM_SCHEMA: &str = "siltstone";
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
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self { memory_bytes_max: 512 * 1024 * 1024, parallelism: 0, verify: false }
    }
}

/// A failure to plan a query.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The query names a table that does not exist.
    #[error("no table {table}; {}", known_topics(topics))]
    UnknownTable {
        /// The table as resolved from the query.
        table: String,
        /// Every topic.
        topics: Vec<String>,
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

/// Plans SQL over the topics of one catalog. Each query reads the state committed when it is planned.
pub struct QuerySession {
    catalog: Arc<dyn MetadataStore>,
    store_url: ObjectStoreUrl,
    store: Arc<dyn ObjectStore>,
    runtime: Arc<RuntimeEnv>,
    /// Functions, rules and settings; every query gets a copy with its own tables.
    template: SessionState,
    verify: bool,
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
        Ok(Self { catalog, store_url, store: store.store, runtime, template, verify, _folder: folder })
    }

    /// Plans one statement over a fresh snapshot of every topic it names. Only reading is allowed.
    ///
    /// # Errors
    /// [`QueryError::UnknownTable`] lists the topics that exist, [`QueryError::UnknownColumn`] the columns in reach; otherwise
    /// the catalog's or DataFusion's error.
    pub async fn sql(&self, sql: &str) -> Result<DataFrame, QueryError> {
        let tables = Arc::new(self.query_catalog().await?);
        let state = self.state_with(Arc::clone(&tables))?;
        let dialect = state.config().options().sql_parser.dialect;
        let mut statement = state.sql_to_statement(sql, &dialect)?;
        json::binding::tighten(&mut statement);
        precedence::bind(&mut statement);
        names::find_tables(&mut statement, &tables)?;
        for reference in state.resolve_table_references(&statement)? {
            check_exists(&tables, &reference.resolve(CATALOG, TOPICS_SCHEMA))?;
        }
        let plan = chains::balance(planned(&state, statement, &tables).await?)?;
        let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        reading.verify_plan(&plan)?;
        Ok(SessionContext::new_with_state(state).execute_logical_plan(plan).await?)
    }

    async fn query_catalog(&self) -> Result<QueryCatalog, QueryError> {
        let topics = self.catalog.list_topics().await?;
        let readers = reader::NamedReaderFactory::new(
            Arc::clone(&self.store),
            self.runtime.cache_manager.get_file_metadata_cache(),
            self.verify,
        );
        Ok(QueryCatalog::new(Arc::clone(&self.catalog), topics, self.store_url.clone(), Arc::new(readers)))
    }

    fn state_with(&self, tables: Arc<QueryCatalog>) -> Result<SessionState, QueryError> {
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(CATALOG.to_owned(), tables as Arc<dyn CatalogProvider>);
        Ok(SessionStateBuilder::new_from_existing(self.template.clone()).with_catalog_list(Arc::new(catalogs)).build())
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

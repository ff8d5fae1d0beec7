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

mod absent;
mod arguments;
mod attached;
mod binary;
mod binding;
mod bounded;
mod casts;
mod chains;
mod checked;
mod clauses;
mod comparisons;
mod contained;
mod correlated;
mod counts;
mod derived;
mod error;
mod escapes;
mod exact;
mod exact_average;
mod exact_store;
mod exact_sum;
mod extremes;
mod format;
mod frames;
mod frugal;
mod home;
mod hot;
mod intervals;
mod json;
mod known;
mod labels;
mod layout;
mod listing;
mod lists;
mod membership;
mod merged;
mod mixed;
mod moving;
mod multisets;
mod named;
mod names;
mod object;
mod operators;
mod options;
mod order;
mod parameters;
mod percentile;
mod plain;
mod planning;
mod positions;
mod precedence;
mod provider;
mod pruning;
mod pushdown;
mod reader;
mod recorded;
mod regexes;
mod rewriting;
mod rules;
mod sanity;
mod schemas;
mod scope;
mod session;
mod settled;
mod settled_scan;
mod shown;
mod similar;
mod spans;
mod statements;
mod statistics;
mod store;
mod system;
mod times;
mod windows;

use std::fmt;
use std::sync::Arc;

use datafusion::catalog::{CatalogProviderList, MemoryCatalogProviderList};
use datafusion::dataframe::DataFrame;
use datafusion::execution::{SessionState, SessionStateBuilder, context::SQLOptions, runtime_env::RuntimeEnv};
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::prelude::SessionContext;
use tempfile::TempDir;

use catalog::MetadataStore;

/// The version of DataFusion whose contexts [`Lake::register`] takes.
pub use datafusion;

pub use attached::Lake;
pub use contained::is_panic_contained;
pub use counts::{SegmentCounts, execute, rows_read, segment_counts};
pub use datafusion::execution::SendableRecordBatchStream as BatchStream;
pub use error::QueryError;
pub use format::{
    ParquetRows, format_expanded, format_table, json_texts, write_csv, write_csv_header, write_json_lines,
};
pub use frugal::is_explained_limit;
use hot::QueryTails;
pub use hot::{HotTail, HotTailError, HotTailMode, HotTailSettings, SessionSettings, hot_tail_error};
use known::Known;
pub use listing::ListedTable;
pub use object::{UnreadableSegment, unreadable_segment};
pub use options::QueryOptions;
pub use parameters::{Parameters, fitted, parameter_types, plain_number};
use planning::{check_exists, check_reads, planned, write_out};
pub use regexes::invalid_pattern;
use schemas::QueryCatalog;
pub use scope::{Additions, Scope};
pub use session::exact_context;
pub use statements::{TOKENS_MAX, has_code, has_placeholder, split_statements, statements};
pub use store::QueryStore;
use store::sources;

/// Stack of a thread that plans or evaluates statements, in bytes: both recurse as deep as expressions. Only what is used
/// takes memory.
pub const STACK_BYTES: usize = 256 << 20;

/// Name of DataFusion's catalog and, in it, of the schema of system tables.
const CATALOG: &str = "siltstone";
const TOPICS_SCHEMA: &str = "public";
const QUARANTINE_SCHEMA: &str = "quarantine";
const SYSTEM_SCHEMA: &str = "siltstone";
/// The reason for which a session sees no tails, unless it is given some.
const NO_QUEUE: &str = "this session was opened without a queue";
const INFORMATION_SCHEMA: &str = "information_schema";

/// Plans SQL over the topics of one catalog. Each query reads the state committed when it is planned: one state, whatever
/// tables it names.
pub struct QuerySession {
    lake: Arc<Known>,
    runtime: Arc<RuntimeEnv>,
    /// The memory of each statement, where it has its own.
    memory_of_each: Option<usize>,
    /// Functions, rules and settings; every query gets a copy with its own tables.
    ///
    /// Behind `dyn`: that a `SessionState` may change threads takes the compiler two seconds to prove, for each future again.
    template: Box<dyn Fn() -> SessionState + Send + Sync>,
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
        let template = session::template(options, Arc::clone(&runtime))?;
        let memory_of_each = options.memory_of_each.then_some(options.memory_bytes_max);
        let (hot, settings) = (HotTail::unavailable(NO_QUEUE), SessionSettings::new(options.hot_tail));
        let template = Box::new(move || template.clone());
        Ok(Self { lake, runtime, memory_of_each, template, hot, settings, _folder: folder })
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
    /// [`QueryError::NotReading`] for any other, [`QueryError::UnknownTable`] lists the tables that exist,
    /// [`QueryError::UnknownColumn`] the columns in reach; otherwise the catalog's or DataFusion's error.
    pub async fn sql(&self, sql: &str) -> Result<DataFrame, QueryError> {
        self.sql_with(sql, &self.settings).await
    }

    /// [`QuerySession::sql`] under the settings of one connection, or of one query.
    ///
    /// # Errors
    /// As [`QuerySession::sql`].
    pub async fn sql_with(&self, sql: &str, settings: &SessionSettings) -> Result<DataFrame, QueryError> {
        self.sql_within(sql, settings, &Scope::default()).await
    }

    /// The same for a statement that sees no more than `scope`.
    ///
    /// # Errors
    /// As [`QuerySession::sql`]; a topic out of sight does not exist.
    pub async fn sql_within(
        &self,
        sql: &str,
        settings: &SessionSettings,
        scope: &Scope,
    ) -> Result<DataFrame, QueryError> {
        self.plan(sql, settings, scope, None).await
    }

    /// The same with a value for each placeholder of the statement.
    ///
    /// # Errors
    /// [`QueryError::Parameter`] when a placeholder has no value, a value no placeholder, or a text is no value of the type
    /// that is needed in its place; otherwise as [`QuerySession::sql`].
    pub async fn sql_with_parameters(&self, sql: &str, parameters: &Parameters) -> Result<DataFrame, QueryError> {
        self.plan(sql, &self.settings, &Scope::default(), Some(parameters)).await
    }

    /// Names of tables as they are typed, and of their columns, for completion: topics, quarantines, system tables.
    ///
    /// # Errors
    /// The catalog's.
    pub async fn names(&self) -> Result<Vec<String>, QueryError> {
        let scope = Scope::default();
        Ok(names::typed(&self.catalog_of(self.topics(&scope).await?, &scope)))
    }

    async fn plan(
        &self,
        sql: &str,
        settings: &SessionSettings,
        scope: &Scope,
        parameters: Option<&Parameters>,
    ) -> Result<DataFrame, QueryError> {
        statements::check_size(sql)?;
        // Files may begin with a byte order mark.
        let sql = sql.trim_start_matches('\u{feff}');
        statements::check_numbers(sql)?;
        let tables = self.catalog_of(self.topics(scope).await?, scope);
        let state = self.state_with(&tables, settings.hot_tail(), scope);
        let dialect = state.config().options().sql_parser.dialect;
        let mut statement = state.sql_to_statement(sql, &dialect)?;
        check_reads(&mut statement)?;
        write_out(&mut statement, &state)?;
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
        let plan = self.lake.sources.home.run(binding::bound(plan, &tails, scope)).await?;
        Ok(SessionContext::new_with_state(state).execute_logical_plan(plan).await?)
    }

    fn state_with(&self, tables: &QueryCatalog, hot_tail: HotTailSettings, scope: &Scope) -> SessionState {
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(CATALOG.to_owned(), Arc::new(tables.clone()));
        let mut builder = SessionStateBuilder::new_from_existing((self.template)());
        if let Some(bytes) = self.memory_of_each {
            builder = builder.with_runtime_env(Arc::new(session::with_own_memory(&self.runtime, bytes)));
        }
        let mut state = scope.extend(builder.with_catalog_list(Arc::new(catalogs))).build();
        // SHOW finds them here.
        state.config_mut().options_mut().extensions.insert(hot_tail);
        state
    }
}

//! The tables, functions and types of PostgreSQL that its clients ask for.
//!
//! Owns: `pg_catalog` over the tables that the caller may read, and functions beside it. Made once a connection, so that
//! the numbers of objects, which clients use in later statements, stay as they are.
//! Does not own: the contents of `pg_catalog` (datafusion-pg-catalog), what a caller may read (`executor`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::{FieldRef, SchemaRef};
use async_trait::async_trait;
use catalog::Caller;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::ScalarUDF;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast;
use datafusion_pg_catalog::pg_catalog::catalog_info::CatalogInfo;
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::pg_catalog::oid_type_planner::PgOidTypePlanner;
use datafusion_pg_catalog::pg_catalog::{PgCatalogSchemaProvider, PgCatalogStaticTables};
use lake::query::{Additions, ListedTable};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::functions::functions;
use super::information::{INFORMATION, Information};
use super::settings;
use crate::executor::{CATALOG, Client, Door, Executor};

const PG_CATALOG: &str = "pg_catalog";
const PG_SETTINGS: &str = "pg_settings";

/// The schemas that clients see.
pub(super) const SCHEMAS: [&str; 5] = ["public", "quarantine", "siltstone", PG_CATALOG, "information_schema"];

/// Time for which a list of tables is used: one statement asks for it many times.
const LIST_AGE_MAX: Duration = Duration::from_millis(500);

/// The additions of one connection.
pub(super) struct PostgresTables {
    schema: Arc<dyn SchemaProvider>,
    information: Arc<dyn SchemaProvider>,
    functions: Vec<Arc<ScalarUDF>>,
}

impl PostgresTables {
    pub(super) fn new(executor: &Arc<Executor>, caller: Caller, tables: Arc<PgCatalogStaticTables>) -> Result<Self> {
        let client = Client { door: Door::Postgres, caller, additions: None, settings: executor.settings() };
        let visible =
            Visible(Arc::new(VisibleTables { executor: Arc::clone(executor), client, list: Mutex::default() }));
        let information = Arc::new(Information(visible.clone()));
        let schema = Arc::new(PgCatalogSchemaProvider::try_new(visible, tables, EmptyContextProvider)?);
        Ok(Self { schema: Arc::new(WithSettings(schema)), information, functions: functions()? })
    }
}

impl fmt::Debug for PostgresTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresTables").finish_non_exhaustive()
    }
}

impl Additions for PostgresTables {
    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            PG_CATALOG => Some(Arc::clone(&self.schema)),
            INFORMATION => Some(Arc::clone(&self.information)),
            _ => None,
        }
    }

    fn extend(&self, mut builder: SessionStateBuilder) -> SessionStateBuilder {
        builder.scalar_functions().get_or_insert_default().extend(self.functions.iter().cloned());
        builder.with_type_planner(Arc::new(Types { times: lake::query::type_planner() }))
    }
}

/// PostgreSQL's names of types, beside those of every door.
#[derive(Debug)]
struct Types {
    times: Arc<dyn TypePlanner>,
}

impl TypePlanner for Types {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>, DataFusionError> {
        match PgOidTypePlanner.plan_type_field(sql_type)? {
            None => self.times.plan_type_field(sql_type),
            known => Ok(known),
        }
    }
}

/// `pg_catalog` with the settings that `SHOW` shows.
#[derive(Debug)]
struct WithSettings(Arc<dyn SchemaProvider>);

#[async_trait]
impl SchemaProvider for WithSettings {
    fn table_names(&self) -> Vec<String> {
        self.0.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        match name {
            PG_SETTINGS => Ok(Some(Arc::new(settings::table()?))),
            other => self.0.table(other).await,
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.0.table_exist(name)
    }
}

/// The tables of a caller, as `pg_catalog` asks for them.
#[derive(Clone)]
pub(super) struct Visible(Arc<VisibleTables>);

struct VisibleTables {
    executor: Arc<Executor>,
    client: Client,
    // Held across the look at the catalog, which it makes one for all who wait.
    list: Mutex<Option<(Instant, Arc<Vec<ListedTable>>)>>,
}

impl fmt::Debug for Visible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Visible")
    }
}

impl Visible {
    pub(super) async fn tables(&self) -> Result<Arc<Vec<ListedTable>>> {
        let mut list = self.0.list.lock().await;
        if let Some((read_at, tables)) = list.as_ref().filter(|(read_at, _)| read_at.elapsed() < LIST_AGE_MAX) {
            let _ = read_at;
            return Ok(Arc::clone(tables));
        }
        let tables = self.0.executor.tables(&self.0.client).await;
        let tables = Arc::new(tables.map_err(|failure| DataFusionError::External(Box::new(failure)))?);
        *list = Some((Instant::now(), Arc::clone(&tables)));
        Ok(tables)
    }

    async fn table(&self, catalog: &str, schema: &str, name: &str) -> Result<Option<ListedTable>> {
        let tables = self.tables().await?;
        let is_it = |table: &&ListedTable| table.schema == schema && table.name == name;
        Ok(tables.iter().find(is_it).filter(|_| catalog == CATALOG).cloned())
    }
}

#[async_trait]
impl CatalogInfo for Visible {
    async fn catalog_names(&self) -> Result<Vec<String>> {
        Ok(vec![CATALOG.to_owned()])
    }

    async fn schema_names(&self, catalog: &str) -> Result<Option<Vec<String>>> {
        Ok((catalog == CATALOG).then(|| SCHEMAS.map(str::to_owned).to_vec()))
    }

    async fn table_names(&self, catalog: &str, schema: &str) -> Result<Option<Vec<String>>> {
        let tables = self.tables().await?;
        let names = tables.iter().filter(|table| table.schema == schema).map(|table| table.name.clone()).collect();
        Ok((catalog == CATALOG).then_some(names))
    }

    async fn table_schema(&self, catalog: &str, schema: &str, name: &str) -> Result<Option<SchemaRef>> {
        Ok(self.table(catalog, schema, name).await?.map(|table| table.columns))
    }

    async fn table_type(&self, catalog: &str, schema: &str, name: &str) -> Result<Option<TableType>> {
        Ok(self.table(catalog, schema, name).await?.map(|_| TableType::Base))
    }
}

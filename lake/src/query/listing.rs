//! The list of tables that a statement may name, for clients that ask before they query.
//!
//! Owns: names and columns of all tables of a scope, and its topics. Reads no snapshot: columns follow from the topics alone.
//! Does not own: the tables themselves (`schemas`).

use std::sync::Arc;

use catalog::Topic;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::CatalogProvider;

use super::schemas::QueryCatalog;
use super::{QUARANTINE_SCHEMA, QueryError, QuerySession, SYSTEM_SCHEMA, Scope, TOPICS_SCHEMA};
use crate::schema::{quarantine_schema, table_schema};

/// A table that a statement may name.
#[derive(Clone, Debug)]
pub struct ListedTable {
    /// Its schema: `public`, `quarantine` or `siltstone`.
    pub schema: &'static str,
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: SchemaRef,
}

impl QuerySession {
    /// The tables that a statement within `scope` may name, by schema and name.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn tables(&self, scope: &Scope) -> Result<Vec<ListedTable>, QueryError> {
        let mut tables = Vec::new();
        for topic in self.topics(scope).await? {
            let name = topic.name.to_string();
            let columns = Arc::new(table_schema(&topic.config).as_ref().clone());
            tables.push(ListedTable { schema: TOPICS_SCHEMA, name: name.clone(), columns });
            tables.push(ListedTable { schema: QUARANTINE_SCHEMA, name, columns: quarantine_schema() });
        }
        // Without topics these tables have no rows, and the same columns.
        let empty = self.catalog_of(Vec::new(), scope);
        if let Some(system) = empty.schema(SYSTEM_SCHEMA) {
            for name in system.table_names() {
                if let Some(table) = system.table(&name).await? {
                    tables.push(ListedTable { schema: SYSTEM_SCHEMA, name, columns: table.schema() });
                }
            }
        }
        tables.sort_by(|a, b| (a.schema, &a.name).cmp(&(b.schema, &b.name)));
        Ok(tables)
    }

    /// The topics of a scope.
    pub(super) async fn topics(&self, scope: &Scope) -> Result<Vec<Topic>, QueryError> {
        let sources = &self.lake.sources;
        let mut topics = sources.home.run(sources.catalog.list_topics()).await?;
        topics.retain(|topic| scope.sees(&topic.name));
        Ok(topics)
    }

    /// The tables of these topics.
    pub(super) fn catalog_of(&self, topics: Vec<Topic>, scope: &Scope) -> QueryCatalog {
        QueryCatalog::of(Arc::clone(&self.lake), topics).within(scope.clone())
    }
}

//! The catalog of a lake, as DataFusion looks for tables in it.
//!
//! Owns: the names of schemas and tables, as of one list of topics or of the newest.
//! Does not own: tables (`named`), their rows (`binding`), and the contents of system tables (`system`).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::error::{DataFusionError, Result};

use super::known::Known;
use super::named::NamedTable;
use super::scope::Scope;
use super::system::SystemTable;
use super::{QUARANTINE_SCHEMA, SYSTEM_SCHEMA, TOPICS_SCHEMA};
use crate::schema::table_schema;
use catalog::{SegmentKind, Topic};

/// The tables of a lake by name.
#[derive(Clone, Debug)]
pub(super) struct QueryCatalog {
    shared: Arc<Shared>,
    /// Has schemas besides those of the lake.
    scope: Scope,
}

#[derive(Debug)]
struct Shared {
    lake: Arc<Known>,
    /// True when the topics are read again each time that a table is asked for.
    is_following: bool,
    /// A lock, because planning asks through shared references; never held across an await.
    listed: Mutex<Listed>,
}

#[derive(Debug, Default)]
struct Listed {
    topics: Arc<Vec<Topic>>,
    /// Tables of topics and of their quarantines, which are asked for again each time that a query is planned.
    tables: HashMap<(String, &'static str), Arc<NamedTable>>,
}

impl QueryCatalog {
    /// The tables of these topics.
    pub(super) fn of(lake: Arc<Known>, topics: Vec<Topic>) -> Self {
        Self::new(lake, topics, false)
    }

    /// The tables of the topics that there are when a table is asked for; these are the first.
    pub(super) fn following(lake: Arc<Known>, topics: Vec<Topic>) -> Self {
        Self::new(lake, topics, true)
    }

    fn new(lake: Arc<Known>, topics: Vec<Topic>, is_following: bool) -> Self {
        let listed = Mutex::new(Listed { topics: Arc::new(topics), tables: HashMap::new() });
        Self { shared: Arc::new(Shared { lake, is_following, listed }), scope: Scope::default() }
    }

    /// The same with the schemas that a scope adds.
    pub(super) fn within(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// Names of all topics.
    pub(super) fn topic_names(&self) -> Vec<String> {
        self.shared.topic_names()
    }

    /// Names of the columns of a topic; none when there is no such topic.
    pub(super) fn columns_of(&self, topic: &str) -> Vec<String> {
        let topics = Arc::clone(&self.shared.listed().topics);
        let topic = topics.iter().find(|known| known.name.as_str() == topic);
        let schema = topic.map(|topic| table_schema(&topic.config));
        schema.iter().flat_map(|schema| schema.fields()).map(|field| field.name().clone()).collect()
    }
}

impl Shared {
    fn listed(&self) -> MutexGuard<'_, Listed> {
        // Only map operations happen under the lock: a poisoned one is still whole.
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn topic_names(&self) -> Vec<String> {
        self.listed().topics.iter().map(|topic| topic.name.to_string()).collect()
    }

    async fn follow(&self) -> Result<()> {
        if !self.is_following {
            return Ok(());
        }
        let sources = &self.lake.sources;
        let topics = sources.home.run(sources.catalog.list_topics()).await;
        let topics = topics.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let mut listed = self.listed();
        if *listed.topics != topics {
            *listed = Listed { topics: Arc::new(topics), tables: HashMap::new() };
        }
        Ok(())
    }

    fn table(&self, name: &str, kind: SegmentKind) -> Option<Arc<NamedTable>> {
        let mut listed = self.listed();
        let topics = Arc::clone(&listed.topics);
        let topic = topics.iter().find(|topic| topic.name.as_str() == name)?;
        let table = listed.tables.entry((name.to_owned(), kind.as_str()));
        let made = || Arc::new(NamedTable::of_topic(Arc::clone(&self.lake), topic, kind));
        Some(Arc::clone(table.or_insert_with(made)))
    }
}

impl CatalogProvider for QueryCatalog {
    fn schema_names(&self) -> Vec<String> {
        [TOPICS_SCHEMA, QUARANTINE_SCHEMA, SYSTEM_SCHEMA].map(str::to_owned).to_vec()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let shared = Arc::clone(&self.shared);
        match name {
            TOPICS_SCHEMA => Some(Arc::new(TopicTables { shared, kind: SegmentKind::Data })),
            QUARANTINE_SCHEMA => Some(Arc::new(TopicTables { shared, kind: SegmentKind::Quarantine })),
            SYSTEM_SCHEMA => Some(Arc::new(SystemTables { shared })),
            _ => self.scope.schema(name),
        }
    }
}

/// One table per topic, of one kind of segment.
struct TopicTables {
    shared: Arc<Shared>,
    kind: SegmentKind,
}

impl fmt::Debug for TopicTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicTables({:?})", self.kind)
    }
}

#[async_trait]
impl SchemaProvider for TopicTables {
    fn table_names(&self) -> Vec<String> {
        self.shared.topic_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.shared.follow().await?;
        Ok(self.shared.table(name, self.kind).map(|table| table as _))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.shared.listed().topics.iter().any(|topic| topic.name.as_str() == name)
    }
}

/// The catalog's own rows.
#[derive(Debug)]
struct SystemTables {
    shared: Arc<Shared>,
}

#[async_trait]
impl SchemaProvider for SystemTables {
    fn table_names(&self) -> Vec<String> {
        SystemTable::ALL.map(|table| table.name().to_owned()).to_vec()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let lake = Arc::clone(&self.shared.lake);
        Ok(SystemTable::of(name).map(|table| Arc::new(NamedTable::of_system(lake, table)) as _))
    }

    fn table_exist(&self, name: &str) -> bool {
        SystemTable::of(name).is_some()
    }
}

//! The tables that one query sees.
//!
//! Owns: the snapshots of one query: each topic's is taken once, when the query first names it, and shared by its
//! table and its quarantine.
//! Does not own: scanning (`provider`) and the contents of system tables (`system`).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;

use super::hot::QueryTails;
use super::provider::{LakeTable, Sources};
use super::reader::NamedReaderFactory;
use super::{QUARANTINE_SCHEMA, SYSTEM_SCHEMA, TOPICS_SCHEMA, system};
use crate::schema::table_schema;
use catalog::CatalogError;
use catalog::MetadataStore;
use catalog::{SegmentKind, Topic, TopicSnapshot};

/// The tables of one query.
#[derive(Debug)]
pub(super) struct QueryCatalog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sources: Sources,
    topics: Vec<Topic>,
    /// A lock, because planning asks through shared references; never held across an await.
    snapshots: Mutex<HashMap<String, Arc<TopicSnapshot>>>,
    /// Tables of topics and of their quarantines, which are asked for again each time that the query is planned.
    tables: Mutex<HashMap<(String, &'static str), Arc<LakeTable>>>,
}

impl QueryCatalog {
    pub(super) fn new(
        catalog: Arc<dyn MetadataStore>,
        topics: Vec<Topic>,
        store_url: ObjectStoreUrl,
        readers: Arc<NamedReaderFactory>,
        tails: Arc<QueryTails>,
    ) -> Self {
        let snapshots = Mutex::default();
        let sources = Sources { catalog, store_url, readers, tails };
        let tables = Mutex::default();
        Self { shared: Arc::new(Shared { sources, topics, snapshots, tables }) }
    }

    /// Names of all topics.
    pub(super) fn topic_names(&self) -> Vec<String> {
        self.shared.topic_names()
    }

    /// Names of the columns of a topic; none when there is no such topic.
    pub(super) fn columns_of(&self, topic: &str) -> Vec<String> {
        let topic = self.shared.topics.iter().find(|known| known.name.as_str() == topic);
        let schema = topic.map(|topic| table_schema(&topic.config));
        schema.iter().flat_map(|schema| schema.fields()).map(|field| field.name().clone()).collect()
    }
}

impl Shared {
    fn topic_names(&self) -> Vec<String> {
        self.topics.iter().map(|topic| topic.name.to_string()).collect()
    }

    /// The query's snapshot of a topic; `None` when there is no such topic, or no longer.
    async fn snapshot(&self, name: &str) -> Result<Option<Arc<TopicSnapshot>>> {
        if let Some(taken) = self.taken().get(name) {
            return Ok(Some(Arc::clone(taken)));
        }
        let Some(topic) = self.topics.iter().find(|topic| topic.name.as_str() == name) else { return Ok(None) };
        match self.sources.catalog.snapshot(&topic.name).await {
            // The snapshot stored first wins, so that the query sees a single one.
            Ok(fresh) => Ok(Some(Arc::clone(self.taken().entry(name.to_owned()).or_insert_with(|| Arc::new(fresh))))),
            Err(CatalogError::TopicNotFound(_)) => Ok(None),
            Err(error) => Err(DataFusionError::External(Box::new(error))),
        }
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<TopicSnapshot>>> {
        // Only map operations happen under the lock: a poisoned one is still whole.
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn all_snapshots(&self) -> Result<Vec<Arc<TopicSnapshot>>> {
        let mut snapshots = Vec::with_capacity(self.topics.len());
        for topic in &self.topics {
            snapshots.extend(self.snapshot(topic.name.as_str()).await?);
        }
        Ok(snapshots)
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
            _ => None,
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
        let Some(snapshot) = self.shared.snapshot(name).await? else { return Ok(None) };
        // Only map operations happen under the lock: a poisoned one is still whole.
        let mut tables = self.shared.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let table = tables.entry((name.to_owned(), self.kind.as_str()));
        let made = || Arc::new(LakeTable::new(&snapshot, self.kind, self.shared.sources.clone()));
        Ok(Some(Arc::clone(table.or_insert_with(made)) as _))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.shared.topics.iter().any(|topic| topic.name.as_str() == name)
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
        system::TABLES.map(str::to_owned).to_vec()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let table = match name {
            system::TOPICS => system::topics(&self.shared.topics)?,
            system::PARTITIONS => system::partitions(&self.shared.all_snapshots().await?)?,
            system::SEGMENTS => system::segments(&self.shared.all_snapshots().await?)?,
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(table)))
    }

    fn table_exist(&self, name: &str) -> bool {
        system::TABLES.contains(&name)
    }
}

//! What is known of a catalog between two queries.
//!
//! Owns: the snapshots of topics that queries named, so that the next query reads only what changed since, within a bound;
//! the tables of one moment. Does not own: the comparison with the catalog (`catalog::ViewStore`), statistics (`recorded`).

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use datafusion::catalog::TableProvider;
use datafusion::error::{DataFusionError, Result};

use super::hot::QueryTails;
use super::layout::LakeObject;
use super::named::{NamedTable, TableName};
use super::provider::{LakeTable, Sources};
use super::recorded::RecordedColumns;
use super::scope::Scope;
use super::system::SystemTable;
use catalog::{SegmentKind, Tables, TopicSnapshot, View, ViewRequest, ViewedTopics};

/// Segments of snapshots that are kept for the next query, all topics together: about 500 bytes each.
const SEGMENTS_KEPT: usize = 500_000;

/// A lake, and the snapshots of it that queries have read.
pub(super) struct Known {
    pub(super) sources: Sources,
    /// A lock, because queries run side by side; never held across an await.
    kept: Mutex<Kept>,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("sources", &self.sources).finish_non_exhaustive()
    }
}

/// The topics that queries have read.
#[derive(Default)]
struct Kept {
    /// Number of the latest moment.
    moment: u64,
    /// The topics, each with the latest moment at which it was read.
    topics: HashMap<Tables, (u64, Arc<KnownTopic>)>,
}

/// A lake as of one transaction of its catalog.
pub(super) struct Moment {
    view: View,
    topics: Vec<Arc<KnownTopic>>,
    sources: Sources,
    tails: Arc<QueryTails>,
}

/// A topic at one moment.
#[derive(Debug)]
pub(super) struct KnownTopic {
    pub(super) snapshot: Arc<TopicSnapshot>,
    /// Statistics of its objects, which outlive the moment.
    pub(super) recorded: Arc<RecordedColumns>,
    data: OnceLock<Arc<[LakeObject]>>,
    quarantine: OnceLock<Arc<[LakeObject]>>,
}

impl KnownTopic {
    fn new(snapshot: Arc<TopicSnapshot>, recorded: Arc<RecordedColumns>) -> Self {
        Self { snapshot, recorded, data: OnceLock::new(), quarantine: OnceLock::new() }
    }

    /// Its live objects of a kind that have rows.
    pub(super) fn objects(&self, kind: SegmentKind) -> &Arc<[LakeObject]> {
        let place = match kind {
            SegmentKind::Data => &self.data,
            SegmentKind::Quarantine => &self.quarantine,
        };
        place.get_or_init(|| LakeObject::all(&self.snapshot, kind).into())
    }
}

impl Known {
    pub(super) fn new(sources: Sources) -> Self {
        Self { sources, kept: Mutex::default() }
    }

    /// The lake as of one transaction of its catalog, as far as these tables need it; topics end with these tails, and system
    /// tables have the rows that are in sight.
    ///
    /// # Errors
    /// Those of the catalog.
    pub(super) async fn moment(
        &self,
        names: &BTreeSet<TableName>,
        tails: Arc<QueryTails>,
        scope: &Scope,
    ) -> Result<Moment> {
        let view = self.view(names).await?;
        let topics = self.remember(&view);
        Ok(Moment { view: scope.of(view), topics, sources: self.sources.clone(), tails })
    }

    async fn view(&self, names: &BTreeSet<TableName>) -> Result<View> {
        let has = |table: SystemTable| names.contains(&TableName::System(table));
        let named = names.iter().filter_map(|name| match name {
            TableName::Topic(topic, _) => Some(topic.clone()),
            TableName::System(_) => None,
        });
        let topics = match has(SystemTable::Partitions) || has(SystemTable::Segments) {
            true => ViewedTopics::All,
            false => ViewedTopics::These(named.collect()),
        };
        let kept: Vec<_> = self.known().topics.values().map(|(_, known)| Arc::clone(&known.snapshot)).collect();
        let request = ViewRequest {
            known: kept.into_iter().filter(|known| topics.contains(&known.topic.name)).collect(),
            topics,
            list_topics: has(SystemTable::Topics),
            commits: has(SystemTable::Commits),
            gaps: has(SystemTable::Gaps),
            agents: has(SystemTable::Agents),
            uploads: has(SystemTable::Uploads),
            groups: has(SystemTable::ConsumerGroups),
            offsets: has(SystemTable::ConsumerOffsets),
        };
        self.sources.catalog.view(&request).await.map_err(|error| DataFusionError::External(Box::new(error)))
    }

    /// The topics of a view, which are kept for the next one.
    fn remember(&self, view: &View) -> Vec<Arc<KnownTopic>> {
        let mut kept = self.known();
        kept.moment += 1;
        let moment = kept.moment;
        let mut seen = Vec::with_capacity(view.snapshots.len());
        for snapshot in &view.snapshots {
            let topic = match kept.topics.get(&snapshot.tables) {
                Some((_, same)) if Arc::ptr_eq(&same.snapshot, snapshot) => Arc::clone(same),
                Some((_, other)) if !view.lost.contains(&snapshot.tables) => {
                    Arc::new(KnownTopic::new(Arc::clone(snapshot), Arc::clone(&other.recorded)))
                }
                _ => Arc::new(KnownTopic::new(Arc::clone(snapshot), Arc::default())),
            };
            seen.push(Arc::clone(&topic));
            kept.topics.insert(snapshot.tables, (moment, topic));
        }
        kept.forget();
        seen
    }

    fn known(&self) -> MutexGuard<'_, Kept> {
        // Only operations on the map happen under the lock: a poisoned one is still whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Drops the topics that were queried longest ago, down to the bound.
    fn forget(&mut self) {
        let size = |topic: &KnownTopic| topic.snapshot.segments.len();
        let mut segments: usize = self.topics.values().map(|(_, topic)| size(topic)).sum();
        if segments <= SEGMENTS_KEPT {
            return;
        }
        let mut oldest: Vec<_> =
            self.topics.iter().map(|(tables, (moment, topic))| (*moment, *tables, size(topic))).collect();
        oldest.sort_unstable_by_key(|(moment, ..)| *moment);
        for (_, tables, size) in oldest {
            if segments <= SEGMENTS_KEPT {
                break;
            }
            self.topics.remove(&tables);
            segments -= size;
        }
    }
}

impl Moment {
    /// The rows of a table that was named; `extremes` are the columns of which nothing but the least and greatest value is
    /// asked for.
    ///
    /// # Errors
    /// When its topic was deleted since.
    pub(super) fn table(&self, named: &NamedTable, extremes: Vec<String>) -> Result<Arc<dyn TableProvider>> {
        match &named.name {
            TableName::System(table) => Ok(Arc::new(table.rows(&self.view)?)),
            TableName::Topic(topic, kind) => {
                let known = self.topics.iter().find(|known| known.snapshot.topic.name == *topic);
                let deleted =
                    || DataFusionError::Plan(format!("topic {topic} was deleted while the statement was planned"));
                let known = Arc::clone(known.ok_or_else(deleted)?);
                let tail = self.tails.of(&known.snapshot);
                let table = LakeTable::new(known, (*kind, named.schema()), self.sources.clone(), tail);
                Ok(Arc::new(table.for_extremes(extremes)))
            }
        }
    }
}

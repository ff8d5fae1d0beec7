//! Topics as tables of Iceberg: publications, and what they keep from the janitor.
//!
//! Owns: these transactions. Does not own: the choice of due objects (`janitor`), the metadata itself (crate
//! `open_tables`).

use std::collections::BTreeSet;
use std::time::Duration;

use ::catalog::{
    CatalogError, ColumnStatistics, FileId, MetadataObject, ObjectInfo, Publication, PublishOutcome, PublishScope,
    PublishedFile, PublishedHead, PublishedTable, Result, SegmentKind, StateFile, TableId, TableState, Upload,
    UploadState, quarantine_columns, table_columns,
};
use common::TopicName;
use common::clock::utc_day;

use super::event::Change;
use super::limits;
use super::replace::is_pending;
use super::state::{CatalogState, ObjectName};

/// A row of `iceberg_heads`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadRow {
    /// The part that the contract shows.
    pub head: PublishedHead,
    /// Time of its publication.
    pub published_at: i64,
}

/// A row of `iceberg_published`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedRow {
    /// The table that has the object.
    pub table: TableId,
    /// The part that the contract shows.
    pub file: PublishedFile,
    /// The version whose newest snapshot has it no more.
    pub removed_version: Option<u64>,
}

/// A row of `iceberg_objects`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataRow {
    /// The table that it describes.
    pub table: TableId,
    /// The part that the contract shows.
    pub object: MetadataObject,
    /// The first version that needs it.
    pub version: u64,
    /// The first that needs it no more.
    pub removed_version: Option<u64>,
    /// Time of its publication.
    pub created_at: i64,
}

impl CatalogState {
    pub(crate) fn list_published(&self) -> Vec<PublishedTable> {
        let tables = self.tables.iter().flat_map(|(topic, tables)| {
            SegmentKind::ALL.map(|kind| self.published_table(topic, kind, tables.of(kind)))
        });
        tables.collect()
    }

    fn published_table(&self, topic: &TopicName, kind: SegmentKind, table: TableId) -> PublishedTable {
        let (row, of_topic) = (self.iceberg_heads.get(&table), &self.topics[topic]);
        let since = |time: i64| Duration::from_millis(u64::try_from(self.now_ms - time).unwrap_or_default());
        let changed_at = match row {
            None => Some(of_topic.created_at),
            Some(row) => {
                let is_altered = kind == SegmentKind::Data && row.head.schema_version != of_topic.schema_version;
                let is_moved = self.roots.get(&row.head.bucket).is_some_and(|root| *root != row.head.root);
                let columns = is_altered.then_some(of_topic.updated_at);
                let root = is_moved.then_some(row.published_at);
                let came = self.objects.range(FileId(row.head.next_file_id)..).map(|(_, of)| of);
                let came = came.filter(|of| of.table == table).map(|of| of.object.created_at).min();
                let went = self.retired.range(..FileId(row.head.next_file_id)).map(|(_, of)| of);
                let went = went.filter(|of| of.table == table && of.object.end_snapshot > row.head.lake_snapshot);
                let went = went.map(|of| of.object.retired_at).min();
                [columns, root, came, went].into_iter().flatten().min()
            }
        };
        PublishedTable {
            topic: topic.clone(),
            kind,
            metadata_location: row.map(|row| row.head.metadata_location.clone()),
            lake_snapshot: row.map(|row| row.head.lake_snapshot),
            behind: changed_at.map(since),
            age: row.map(|row| since(row.published_at)),
            has_expired: row.and_then(|row| row.head.expires_at).is_some_and(|at| at < self.now_ms),
        }
    }

    pub(crate) fn find_published(&self, topic: &TopicName, kind: SegmentKind) -> Option<PublishedHead> {
        Some(self.iceberg_heads.get(&self.table(topic, kind)?)?.head.clone())
    }

    pub(crate) fn metadata_objects(&self, topic: &TopicName, kind: SegmentKind) -> Vec<MetadataObject> {
        let table = self.table(topic, kind);
        let needed = self.iceberg_objects.values().filter(|row| Some(row.table) == table);
        let mut needed: Vec<_> =
            needed.filter(|row| row.removed_version.is_none()).map(|row| row.object.clone()).collect();
        needed.sort_by(|one, other| one.key.cmp(&other.key));
        needed
    }

    pub(crate) fn table_state(&self, topic: &TopicName, kind: SegmentKind, scope: PublishScope) -> Option<TableState> {
        let (table, of_topic) = (self.table(topic, kind)?, &self.topics[topic]);
        let head = self.iceberg_heads.get(&table).map(|row| row.head.clone());
        let columns = match kind {
            SegmentKind::Data => table_columns(&of_topic.config),
            SegmentKind::Quarantine => quarantine_columns(),
        };
        let ids: BTreeSet<i32> = columns.iter().map(|column| column.id).collect();
        let live = self.objects.values().filter(|row| row.table == table);
        let live: Vec<&ObjectInfo> = live.map(|row| &*row.object).collect();
        let files = match (&head, scope) {
            (Some(head), PublishScope::Changes) => self.changed_files(table, &live, head, &ids),
            _ => live.iter().map(|object| self.live_file(table, object, &ids)).collect(),
        };
        Some(TableState {
            table,
            uuid: format!("00000000-0000-4000-8000-{:012x}", table.0),
            lake_snapshot: self.head.snapshot_id,
            snapshot_time_us: self.head.time_us,
            next_file_id: self.head.next_file_id,
            schema_version: of_topic.schema_version,
            now_ms: self.now_ms,
            columns,
            roots: self.roots.iter().map(|(bucket, root)| (bucket.clone(), root.clone())).collect(),
            head,
            files,
        })
    }

    fn changed_files(
        &self,
        table: TableId,
        live: &[&ObjectInfo],
        head: &PublishedHead,
        ids: &BTreeSet<i32>,
    ) -> Vec<StateFile> {
        let is_gone = |file_id: &FileId| {
            let row = self.iceberg_published.get(file_id);
            row.is_some_and(|row| row.removed_version.is_none())
        };
        let gone = self.retired.iter().filter(|(file_id, row)| row.table == table && is_gone(file_id));
        let gone: Vec<&ObjectInfo> = gone.map(|(_, row)| &row.object.object).collect();
        let day = |object: &ObjectInfo| utc_day(object.min_timestamp_us);
        let is_new = |object: &ObjectInfo| object.file_id.0 >= head.next_file_id;
        let came = live.iter().copied().filter(|object| is_new(object));
        let days: BTreeSet<i64> = came.chain(gone.iter().copied()).map(day).collect();
        let wanted = live.iter().filter(|object| {
            is_new(object) || (days.contains(&day(object)) && self.iceberg_published.contains_key(&object.file_id))
        });
        let mut files: Vec<StateFile> = wanted.map(|object| self.live_file(table, object, ids)).collect();
        files.extend(gone.into_iter().map(|object| StateFile {
            object: object.clone(),
            statistics: Vec::new(),
            published: self.iceberg_published.get(&object.file_id).map(|row| row.file),
            is_live: false,
        }));
        files.sort_by_key(|file| file.object.file_id);
        files
    }

    fn live_file(&self, table: TableId, object: &ObjectInfo, ids: &BTreeSet<i32>) -> StateFile {
        let of = |id: &i32| self.statistics.get(&(table, *id, object.file_id)).cloned();
        let statistics: Vec<ColumnStatistics> =
            if object.level > 0 { ids.iter().filter_map(of).collect() } else { Vec::new() };
        let published = self.iceberg_published.get(&object.file_id).map(|row| row.file);
        StateFile { object: object.clone(), statistics, published, is_live: true }
    }

    pub(crate) fn publish(&mut self, publication: &Publication) -> Result<PublishOutcome> {
        check(publication)?;
        let table = publication.table;
        if self.table(&publication.topic, publication.kind) != Some(table) {
            return Ok(PublishOutcome::TableGone);
        }
        if self.guards.publish_history && !self.is_of_history(publication) {
            return Ok(PublishOutcome::StateLost);
        }
        let is_live = |file_id: &FileId| self.objects.get(file_id).is_some_and(|row| row.table == table);
        let distinct: BTreeSet<&FileId> = publication.added.iter().collect();
        let are_live = distinct.len() == publication.added.len() && distinct.into_iter().all(is_live);
        if self.guards.publish_live_check && !are_live {
            return Ok(PublishOutcome::ObjectGone);
        }
        for intent in publication.intents() {
            let upload = self.uploads.get(&ObjectName::new(&intent.bucket, &intent.key));
            if !upload.is_some_and(|upload| is_pending(upload, &intent)) {
                return Ok(PublishOutcome::IntentLost);
            }
        }
        let newest = self.iceberg_heads.get(&table).map(|row| &row.head.metadata_location);
        if self.guards.publish_compare && newest != publication.follows.as_ref() {
            return Ok(PublishOutcome::Overtaken);
        }
        let is_known = |file_id: &FileId| self.iceberg_published.contains_key(file_id);
        if self.guards.publish_compare
            && publication.snapshot.is_some()
            && !publication.is_rebuilt
            && publication.added.iter().any(is_known)
        {
            return Err(CatalogError::Inconsistent("an object is published already".to_owned()));
        }
        self.make_newest(publication);
        Ok(PublishOutcome::Published)
    }

    /// True if the lake snapshot of the new version is one of this catalog's; kept ones tell of those that went.
    fn is_of_history(&self, publication: &Publication) -> bool {
        let (snapshot_id, time_us) = (publication.head.lake_snapshot, publication.snapshot_time_us);
        let up_to = self.snapshots.range(..=snapshot_id).next_back();
        let from = self.snapshots.range(snapshot_id..).next();
        up_to.is_none_or(|(_, snapshot)| snapshot.time_us <= time_us)
            && from.is_some_and(|(_, snapshot)| snapshot.time_us >= time_us)
    }

    fn make_newest(&mut self, publication: &Publication) {
        let (table, version) = (publication.table, publication.head.version);
        let row = HeadRow { head: publication.head.clone(), published_at: self.now_ms };
        self.iceberg_heads.insert(table, row);
        for row in self.iceberg_objects.values_mut().filter(|row| row.table == table && row.removed_version.is_none()) {
            if publication.is_rebuilt || publication.replaced.contains(&row.object.key) {
                row.removed_version = Some(version);
            }
        }
        for object in &publication.objects {
            let name = ObjectName::new(&publication.head.bucket, &object.key);
            self.uploads.remove(&name);
            let created_at = self.now_ms;
            let row = MetadataRow { table, object: object.clone(), version, removed_version: None, created_at };
            self.iceberg_objects.insert(name, row);
        }
        if publication.is_rebuilt {
            self.iceberg_published.retain(|_, row| row.table != table);
        }
        if let Some(file) = publication.snapshot {
            let row = PublishedRow { table, file, removed_version: None };
            self.iceberg_published.extend(publication.added.iter().map(|file_id| (*file_id, row)));
        }
        for file_id in &publication.removed {
            if let Some(row) = self.iceberg_published.get_mut(file_id) {
                row.removed_version = row.removed_version.or(Some(version));
            }
        }
        let is_needed = |removed: Option<u64>| removed.is_none_or(|removed| removed > publication.oldest_version);
        self.drop_metadata(&publication.topic, |row| row.table == table && !is_needed(row.removed_version));
        self.iceberg_published.retain(|_, row| row.table != table || is_needed(row.removed_version));
        self.changed(Change::Published(table));
    }

    pub(crate) fn unpublish(&mut self, topic: &TopicName) -> Result<u64> {
        let Some(tables) = self.tables.get(topic).map(|tables| BTreeSet::from([tables.data, tables.quarantine])) else {
            return Err(CatalogError::TopicNotFound(topic.to_string()));
        };
        self.changed(Change::Withdrawn(topic.clone()));
        Ok(self.drop_published(topic, &tables))
    }

    /// Takes the tables from the readers; returns the number of those that were published.
    pub(crate) fn drop_published(&mut self, topic: &TopicName, tables: &BTreeSet<TableId>) -> u64 {
        self.drop_metadata(topic, |row| tables.contains(&row.table));
        self.iceberg_published.retain(|_, row| !tables.contains(&row.table));
        let before = self.iceberg_heads.len();
        self.iceberg_heads.retain(|table, _| !tables.contains(table));
        (before - self.iceberg_heads.len()) as u64
    }

    /// Hands objects of metadata to the janitor.
    fn drop_metadata(&mut self, topic: &TopicName, is_dropped: impl Fn(&MetadataRow) -> bool) {
        let dropped = self.iceberg_objects.iter().filter(|(_, row)| is_dropped(row));
        let dropped: Vec<(ObjectName, i64)> = dropped.map(|(name, row)| (name.clone(), row.created_at)).collect();
        for (name, created_at) in dropped {
            self.iceberg_objects.remove(&name);
            let upload = Upload {
                bucket: name.bucket.clone(),
                key: name.key.clone(),
                topic: topic.clone(),
                partition_id: None,
                segment_id: None,
                epoch: None,
                owner: None,
                state: UploadState::Doomed,
                created_at,
                doomed_at: Some(self.now_ms),
                sweeps: 0,
            };
            self.changed(Change::Doomed(name.clone()));
            self.uploads.insert(name, upload);
        }
    }

    /// True if the name was given to an object of rows or of metadata.
    pub(crate) fn is_name_used(&self, name: &ObjectName) -> bool {
        self.number_of(name).is_some() || self.iceberg_objects.contains_key(name)
    }

    /// True if readers of Iceberg need the object: it has metadata or rows of a kept snapshot.
    pub(crate) fn is_kept_for_iceberg(&self, name: &ObjectName) -> bool {
        let of_rows = self.retired_names.get(name).is_some_and(|file_id| self.iceberg_published.contains_key(file_id));
        of_rows || self.iceberg_objects.contains_key(name)
    }
}

fn check(publication: &Publication) -> Result<()> {
    let head = &publication.head;
    for text in [&head.metadata_location, &head.bucket, &head.root, &head.metadata, &head.manifests] {
        limits::exact("a part of the publication", text)?;
    }
    for key in publication.objects.iter().map(|object| &object.key).chain(&publication.replaced) {
        limits::exact("key", key)?;
    }
    [head.version, publication.oldest_version, head.lake_snapshot.0, head.next_file_id]
        .into_iter()
        .try_for_each(|value| limits::number("a number", value))
}

//! Checks of publications for readers of Iceberg.
//!
//! Owns: reading each version back from the store as it is published, its comparison with the catalog's lists, and what
//! its kept snapshots need. Does not own: the way from metadata to objects (`open_tables::Shown`), deletions in the store,
//! which ask for what is kept (`oracle`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use catalog::{ObjectInfo, PublishedHead, TableId};
use common::checksum::crc32c;
use open_tables::Shown;

use super::{Inner, Violation, broken};
use crate::catalog::{CatalogState, ObjectName};

/// A published table, as readers find it.
#[derive(Clone, Debug, Default)]
pub(super) struct ShownTable {
    /// The newest version.
    version: u64,
    /// Metadata of this version and of those before that it names.
    metadata: BTreeSet<ObjectName>,
    /// What each kept snapshot needs, by its id.
    snapshots: BTreeMap<i64, BTreeSet<ObjectName>>,
}

impl Inner {
    /// 23: the version is one more than the last, and what it shows is what the catalog lists.
    pub(super) fn published(&mut self, state: &CatalogState, by: &str, table: TableId) -> Result<(), Violation> {
        let head = &state.iceberg_heads[&table].head;
        let (version, snapshot) = (head.version, head.lake_snapshot);
        self.trace.note("catalog", format!("{by} published version {version} of table {table} at snapshot {snapshot}"));
        self.figures.publications += 1;
        let before = self.view.shown.get(&table).map_or(0, |shown| shown.version);
        if version != before + 1 {
            return broken(23, format!("version {version} of table {table} was published after {before}"));
        }
        let shown = self.read_version(table, head)?;
        files_agree(state, table, head, &shown)?;
        self.metadata_agrees(state, table, head, &shown)?;
        self.keep(table, head, &shown);
        Ok(())
    }

    /// True if a kept snapshot of Iceberg needs the object.
    pub(super) fn is_shown(&self, name: &ObjectName) -> bool {
        self.view.shown.values().any(|shown| {
            shown.metadata.contains(name) || shown.snapshots.values().any(|objects| objects.contains(name))
        })
    }

    /// 23, at the end of a run: everything that readers need is there.
    pub(super) fn shown_is_there(&self) -> Result<(), Violation> {
        for shown in self.view.shown.values() {
            let needed = shown.metadata.iter().chain(shown.snapshots.values().flatten());
            for name in needed.filter(|name| !self.swept_early.contains(&name.key)) {
                if self.store.object(&name.key).is_none() {
                    return broken(23, format!("{} is needed by readers of Iceberg and is gone", name.key));
                }
            }
        }
        Ok(())
    }

    fn bytes_at(&self, head: &PublishedHead, location: &str) -> Option<Bytes> {
        let key = location.strip_prefix(&head.root)?;
        self.store.object(key).map(|object| object.bytes)
    }

    fn read_version(&self, table: TableId, head: &PublishedHead) -> Result<Shown, Violation> {
        let (version, location) = (head.version, &head.metadata_location);
        let Some(metadata) = self.bytes_at(head, location) else {
            return broken(
                23,
                format!("version {version} of table {table} was published, and {location} is not there"),
            );
        };
        if metadata != head.metadata.as_bytes() {
            return broken(23, format!("{location} is not the text of version {version} of table {table}"));
        }
        let shown = Shown::read(&metadata, |location| self.bytes_at(head, location));
        shown.or_else(|found| broken(23, format!("version {version} of table {table} cannot be read: {found:?}")))
    }

    /// 23: the catalog lists the metadata of the version, as it is stored, and nothing else as needed.
    fn metadata_agrees(
        &self,
        state: &CatalogState,
        table: TableId,
        head: &PublishedHead,
        shown: &Shown,
    ) -> Result<(), Violation> {
        let needed =
            state.iceberg_objects.iter().filter(|(_, row)| row.table == table && row.removed_version.is_none());
        let mut listed = BTreeSet::new();
        for (name, row) in needed {
            let found = self.store.object(&name.key).map(|object| (object.bytes.len() as u64, crc32c(&object.bytes)));
            if found != Some((row.object.size_bytes, row.object.checksum)) {
                return broken(23, format!("{} is not stored as it is listed: {found:?}", name.key));
            }
            listed.insert(name.clone());
        }
        let of = of_version(head, shown);
        if listed != of {
            let (version, keys) = (head.version, listed.symmetric_difference(&of).collect::<Vec<_>>());
            return broken(
                23,
                format!("version {version} of table {table} needs other metadata than is listed: {keys:?}"),
            );
        }
        Ok(())
    }

    /// Remembers what the kept snapshots need.
    fn keep(&mut self, table: TableId, head: &PublishedHead, shown: &Shown) {
        let known = self.view.shown.entry(table).or_default();
        known.version = head.version;
        known.metadata =
            shown.earlier.iter().chain([&head.metadata_location]).filter_map(|at| name(head, at)).collect();
        known.snapshots.retain(|id, _| shown.lists.contains_key(id));
        if let Some(id) = shown.snapshot_id {
            let files = shown.files.iter().map(|file| &file.path);
            let all = shown.lists.get(&id).into_iter().chain(&shown.manifests).chain(files);
            known.snapshots.insert(id, all.filter_map(|at| name(head, at)).collect());
        }
    }
}

/// The object at an address.
fn name(head: &PublishedHead, location: &str) -> Option<ObjectName> {
    Some(ObjectName::new(&head.bucket, location.strip_prefix(&head.root)?))
}

/// The objects of metadata that readers of the newest snapshot need.
fn of_version(head: &PublishedHead, shown: &Shown) -> BTreeSet<ObjectName> {
    let list = shown.snapshot_id.and_then(|id| shown.lists.get(&id));
    let all = [&head.metadata_location].into_iter().chain(list).chain(&shown.manifests);
    all.filter_map(|at| name(head, at)).collect()
}

/// 23: readers find the objects that were live at the snapshot of the version, each once.
fn files_agree(state: &CatalogState, table: TableId, head: &PublishedHead, shown: &Shown) -> Result<(), Violation> {
    let snapshot = head.lake_snapshot;
    let live = state.objects.values().filter(|row| row.table == table).map(|row| &*row.object);
    let since = state.retired.values().filter(|row| row.table == table && row.object.end_snapshot > snapshot);
    let all = live.chain(since.map(|row| &row.object.object)).filter(|object| object.begin_snapshot <= snapshot);
    let of =
        |object: &ObjectInfo| (object.key.clone(), object.record_count.cast_signed(), object.size_bytes.cast_signed());
    let due: BTreeSet<_> = all.map(of).collect();
    let found = shown.files.iter().map(|file| {
        let key = file.path.strip_prefix(&head.root).unwrap_or(&file.path);
        (key.to_owned(), file.record_count, file.size_bytes)
    });
    let found: BTreeSet<_> = found.collect();
    let version = head.version;
    if found.len() != shown.files.len() {
        return broken(23, format!("version {version} of table {table} has an object twice"));
    }
    if let Some((key, ..)) = due.difference(&found).next() {
        return broken(23, format!("version {version} of table {table} at snapshot {snapshot} lacks {key}"));
    }
    if let Some((key, ..)) = found.difference(&due).next() {
        return broken(
            23,
            format!("version {version} of table {table} at snapshot {snapshot} has {key}, which is not live"),
        );
    }
    if snapshot > state.head.snapshot_id || head.next_file_id > state.head.next_file_id {
        let newest = state.head.snapshot_id;
        return broken(
            23,
            format!("version {version} of table {table} is of snapshot {snapshot}, the newest is {newest}"),
        );
    }
    Ok(())
}

//! The next version of a table, from its state in the catalog: a pure function.
//!
//! Owns: which objects came and went, the manifests that must be written again, the words about a snapshot. Does not own:
//! the bytes (`manifest`, `manifest_list`, `metadata`), their places, storing and publishing (`publish`).
//!
//! A manifest holds the objects whose first rows are of one day. Those that span several days have a manifest of their own
//! for each first day, since they have another partition spec. Only manifests with a change are written again.

use std::collections::{BTreeMap, BTreeSet};

use catalog::{FileId, StateFile, TableState};
use common::clock::utc_day;
use serde_json::Value;

use crate::manifest::{Entry, SPEC_BY_DAY, SPEC_WHOLE_TABLE, Status};
use crate::manifest_list::{Counts, Manifest};
use crate::metadata::{LAKE_SNAPSHOT, Metadata};

/// The objects of one manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    /// The day of their first rows.
    pub(crate) day: i32,
    /// Their partition spec.
    pub(crate) spec_id: i32,
}

impl Group {
    fn of(file: &StateFile) -> Self {
        let (first, last) = (file.object.min_timestamp_us, file.object.max_timestamp_us);
        let spec_id = if day(first) == day(last) { SPEC_BY_DAY } else { SPEC_WHOLE_TABLE };
        Self { day: day(first), spec_id }
    }

    fn of_manifest(manifest: &Manifest) -> Self {
        Self { day: manifest.day, spec_id: manifest.spec_id }
    }
}

/// The day of a time in microseconds since 1970.
fn day(time_us: i64) -> i32 {
    i32::try_from(utc_day(time_us)).expect("64 bits of microseconds are fewer days than 2^31")
}

/// The last version, if it can be built on.
#[derive(Clone, Debug)]
pub(crate) struct Last {
    pub(crate) metadata: Metadata,
    /// The manifests of its newest snapshot.
    pub(crate) manifests: Vec<Manifest>,
}

/// The numbers of a new snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NewSnapshot {
    pub(crate) id: i64,
    pub(crate) sequence_number: i64,
}

/// A new snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Plan<'s> {
    pub(crate) snapshot_id: i64,
    pub(crate) sequence_number: i64,
    /// Manifests to be written, with their objects.
    pub(crate) groups: BTreeMap<Group, Vec<&'s StateFile>>,
    /// Manifests that stay as they are.
    pub(crate) carried: Vec<Manifest>,
    pub(crate) added: Vec<&'s StateFile>,
    pub(crate) removed: Vec<&'s StateFile>,
    is_rebuilt: bool,
}

impl<'s> Plan<'s> {
    /// The snapshot that shows the state; `None` if the last one shows it already. Without a last version, all objects of
    /// the state are new.
    pub(crate) fn of(state: &'s TableState, last: Option<&Last>, new: NewSnapshot) -> Option<Self> {
        let is_rebuilt = last.is_none();
        let added: Vec<&StateFile> =
            state.files.iter().filter(|file| file.is_live && (is_rebuilt || file.published.is_none())).collect();
        let removed: Vec<&StateFile> = state.files.iter().filter(|file| !file.is_live && !is_rebuilt).collect();
        if added.is_empty() && removed.is_empty() {
            return None;
        }
        let dirty: BTreeSet<Group> = added.iter().chain(&removed).map(|file| Group::of(file)).collect();
        let mut groups: BTreeMap<Group, Vec<&StateFile>> = BTreeMap::new();
        for file in state.files.iter().filter(|file| dirty.contains(&Group::of(file))) {
            groups.entry(Group::of(file)).or_default().push(file);
        }
        let manifests = last.map(|last| last.manifests.clone()).unwrap_or_default();
        let is_carried =
            |manifest: &Manifest| manifest.live().files > 0 && !dirty.contains(&Group::of_manifest(manifest));
        Some(Self {
            snapshot_id: new.id,
            sequence_number: new.sequence_number,
            groups,
            carried: manifests.into_iter().filter(is_carried).collect(),
            added,
            removed,
            is_rebuilt,
        })
    }

    /// The entries of a manifest; `path` gives the address of an object.
    pub(crate) fn entries(&self, files: &[&'s StateFile], path: impl Fn(&StateFile) -> String) -> Vec<Entry<'s>> {
        let entry = |file: &&'s StateFile| {
            let published = file.published.filter(|_| !self.is_rebuilt);
            let (status, snapshot_id) = match published {
                None => (Status::Added, self.snapshot_id),
                Some(_) if !file.is_live => (Status::Deleted, self.snapshot_id),
                Some(published) => (Status::Existing, published.snapshot_id),
            };
            let sequence_number = published.map(|published| published.sequence_number);
            Entry { status, snapshot_id, sequence_number, file, path: path(file) }
        };
        files.iter().map(entry).collect()
    }

    /// The manifest of these entries, once it is stored.
    pub(crate) fn manifest(&self, group: Group, entries: &[Entry<'_>], stored: Stored) -> Manifest {
        let counts = |status: Status| {
            let of = entries.iter().filter(|entry| entry.status == status);
            of.fold(Counts::default(), |sum, entry| Counts {
                files: sum.files + 1,
                rows: sum.rows + entry.file.object.record_count.cast_signed(),
            })
        };
        let live = entries.iter().filter(|entry| entry.status != Status::Deleted);
        let lowest = live.filter_map(|entry| entry.sequence_number).min();
        Manifest {
            key: stored.key,
            path: stored.path,
            length: stored.length,
            spec_id: group.spec_id,
            day: group.day,
            sequence_number: self.sequence_number,
            min_sequence_number: lowest.unwrap_or(self.sequence_number),
            snapshot_id: self.snapshot_id,
            added: counts(Status::Added),
            existing: counts(Status::Existing),
            deleted: counts(Status::Deleted),
        }
    }

    /// The summary of the snapshot with these manifests.
    pub(crate) fn summary(&self, state: &TableState, manifests: &[Manifest]) -> BTreeMap<String, String> {
        let (added, removed) = (counted(&self.added), counted(&self.removed));
        let all = manifests
            .iter()
            .map(Manifest::live)
            .fold(Counts::default(), |sum, of| Counts { files: sum.files + of.files, rows: sum.rows + of.rows });
        let operation = match (&self.added[..], &self.removed[..]) {
            (_, []) => "append",
            ([], _) => "delete",
            _ if added.rows == removed.rows => "replace",
            _ => "overwrite",
        };
        let mut summary = BTreeMap::from([
            ("operation".to_owned(), operation.to_owned()),
            (LAKE_SNAPSHOT.to_owned(), state.lake_snapshot.to_string()),
        ]);
        let numbers = [
            ("added-data-files", added.files),
            ("added-records", added.rows),
            ("deleted-data-files", removed.files),
            ("deleted-records", removed.rows),
            ("total-data-files", all.files),
            ("total-records", all.rows),
            ("total-delete-files", 0),
            ("total-position-deletes", 0),
            ("total-equality-deletes", 0),
        ];
        summary.extend(numbers.map(|(name, number)| (name.to_owned(), number.to_string())));
        summary
    }
}

/// A stored manifest.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) key: String,
    pub(crate) path: String,
    pub(crate) length: u64,
}

fn counted(files: &[&StateFile]) -> Counts {
    let rows = files.iter().map(|file| file.object.record_count.cast_signed()).sum();
    Counts { files: i64::try_from(files.len()).expect("as many as fit in memory"), rows }
}

/// The numbers of these objects.
pub(crate) fn numbers(files: &[&StateFile]) -> Vec<FileId> {
    files.iter().map(|file| file.object.file_id).collect()
}

/// True if the schema is the same as in the last version.
pub(crate) fn has_fields(last: Option<&Last>, fields: &Value) -> bool {
    last.is_some_and(|last| last.metadata.fields() == Some(fields))
}

//! Lake snapshots: the numbered states of the lists of tables and objects.
//!
//! Owns: the head, from which every number of a snapshot, table and object comes, and the choice of snapshots to keep.
//! Does not own: changes of the lists (the files of the roles).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ::catalog::{FileId, LakeSnapshot, SnapshotId, TableId, Tables};

use super::limits;
use super::state::CatalogState;

const MINUTE_US: i64 = 60_000_000;

/// The word for a change of tables in a snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Word {
    InsertedInto,
    DeletedFrom,
    Compacted,
    Altered,
    Dropped,
}

impl Word {
    /// The snapshot's entry about these tables.
    pub(crate) fn of(self, tables: &BTreeSet<TableId>) -> String {
        let word = match self {
            Self::InsertedInto => "inserted_into_table",
            Self::DeletedFrom => "deleted_from_table",
            Self::Compacted => "compacted_table",
            Self::Altered => "altered_table",
            Self::Dropped => "dropped_table",
        };
        tables.iter().map(|table| format!("{word}:{table}")).collect::<Vec<_>>().join(",")
    }

    /// True when readers must read the tables' columns again.
    fn changes_schema(self) -> bool {
        matches!(self, Self::Altered | Self::Dropped)
    }
}

/// A new snapshot, and the first of the objects that it lists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listing {
    pub(crate) snapshot_id: SnapshotId,
    pub(crate) first_file_id: FileId,
}

/// The snapshots of a new catalog, made at this time; the last one is the head.
pub(crate) fn first_snapshots(now_us: i64) -> [LakeSnapshot; 2] {
    let empty = LakeSnapshot {
        snapshot_id: SnapshotId(0),
        time_us: now_us,
        schema_version: 0,
        next_catalog_id: 2,
        next_file_id: 1,
        changes: "created_schema:\"main\",created_schema:\"quarantine\"".to_owned(),
    };
    let first = LakeSnapshot {
        snapshot_id: SnapshotId(1),
        time_us: now_us + 1,
        schema_version: 1,
        changes: String::new(),
        ..empty.clone()
    };
    [empty, first]
}

impl CatalogState {
    /// Numbers the two tables of a new topic.
    pub(crate) fn snapshot_of_new_tables(&mut self, quoted_name: &str) -> Tables {
        let next = self.head.next_catalog_id;
        let changes = format!("created_table:\"main\".{quoted_name},created_table:\"quarantine\".{quoted_name}");
        self.head.next_catalog_id += 2;
        self.head.schema_version += 1;
        self.next_snapshot(changes, 0);
        Tables { data: TableId(next), quarantine: TableId(next + 1) }
    }

    /// The next snapshot, in which these tables have changed and `objects` objects are new.
    pub(crate) fn snapshot_of(&mut self, word: Word, tables: &BTreeSet<TableId>, objects: u64) -> Listing {
        self.head.schema_version += u64::from(word.changes_schema());
        self.next_snapshot(word.of(tables), objects)
    }

    /// A snapshot takes one number of an object at least: readers tell states of the lists apart by the next one.
    fn next_snapshot(&mut self, changes: String, objects: u64) -> Listing {
        let (drawn, first_file_id) = (self.drawn.take(), FileId(self.head.next_file_id));
        let head = &mut self.head;
        head.snapshot_id.0 += 1;
        head.time_us = (self.now_ms * 1000).max(head.time_us + 1);
        head.next_file_id += objects.max(1);
        head.changes = changes;
        let mut kept = head.clone();
        if let Some((snapshot_id, time_us)) = drawn {
            (kept.snapshot_id, kept.time_us) = (snapshot_id, time_us);
        }
        let snapshot_id = kept.snapshot_id;
        self.snapshots.insert(snapshot_id, kept);
        Listing { snapshot_id, first_file_id }
    }

    /// Takes the last snapshot back, with its transaction.
    pub(crate) fn undo_snapshot(&mut self, head: LakeSnapshot) {
        self.snapshots.retain(|&snapshot_id, _| snapshot_id <= head.snapshot_id);
        self.head = head;
    }

    /// Drops the snapshots that are no longer needed one by one; returns their number.
    pub(crate) fn thin_out_snapshots(&mut self, hold: Duration) -> u64 {
        let (now_us, hold_us) = (self.now_ms * 1000, limits::duration_ms(hold) * 1000);
        let before = self.snapshots.len();
        let mut last_of_minute = BTreeMap::new();
        for snapshot in self.snapshots.values() {
            last_of_minute.insert(snapshot.time_us.div_euclid(MINUTE_US), snapshot.snapshot_id);
        }
        let last_of_minute: BTreeSet<SnapshotId> = last_of_minute.into_values().collect();
        let is_before_the_hold = |of: &&LakeSnapshot| of.time_us.div_euclid(1000) < (now_us - hold_us).div_euclid(1000);
        let begin = self.snapshots.values().rfind(is_before_the_hold).map(|snapshot| snapshot.snapshot_id);
        let newest = self.head.snapshot_id;
        self.snapshots.retain(|id, snapshot| {
            *id == newest
                || snapshot.time_us >= now_us - hold_us.min(MINUTE_US)
                || begin == Some(*id)
                || (begin.is_none_or(|begin| begin < *id) && last_of_minute.contains(id))
        });
        (before - self.snapshots.len()) as u64
    }

    /// True while a reader of a kept snapshot needs the retired object.
    pub(crate) fn is_seen_by_a_snapshot(&self, file_id: FileId) -> bool {
        let Some(row) = self.retired.get(&file_id) else { return false };
        let seen = row.object.object.begin_snapshot..row.object.end_snapshot;
        self.snapshots.range(seen).next().is_some()
    }
}

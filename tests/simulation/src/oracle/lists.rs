//! Checks of the lists of objects and of lake snapshots, after each transaction that changed them.
//!
//! Owns: the agreement of live objects, segments, retired objects and intents; the rise of snapshots and the live
//! objects of each. Does not own: the rows in objects (`replacements`), runs of commits (`runs`).

use std::collections::{BTreeMap, BTreeSet};

use catalog::{FileId, LakeSnapshot, ObjectInfo, SegmentInfo, SnapshotId};
use common::TopicPartition;

use super::retention::{begins_behind_expirations, seen_by_snapshots};
use super::runs::runs_agree;
use super::{Inner, Violation, broken};
use crate::catalog::{CatalogState, Change, Event, ObjectName};

/// Snapshots that are remembered, to be checked again later.
const SNAPSHOTS_REMEMBERED: usize = 6;

impl Inner {
    /// 15, 16, 18.
    pub(super) fn lists_hold(&mut self, state: &CatalogState, event: &Event) -> Result<(), Violation> {
        let changes_lists = |change: &Change| {
            matches!(
                change,
                Change::Committed(_)
                    | Change::CommittedTogether(_)
                    | Change::Replaced(..)
                    | Change::SegmentsDeleted(_)
                    | Change::Aged(..)
                    | Change::SegmentAdded(_)
                    | Change::HistoryFolded(_)
                    | Change::TopicDeleted(_)
                    | Change::Swept(_)
                    | Change::Restored
            )
        };
        if !event.changes.iter().any(changes_lists) {
            return Ok(());
        }
        objects_agree(state)?;
        self.snapshots_rise(state)?;
        self.snapshots_say(state)?;
        begins_behind_expirations(state)?;
        self.view.seen = seen_by_snapshots(state);
        if event.changes.iter().any(|change| matches!(change, Change::Restored)) {
            self.seen_again.extend(self.view.seen.iter().cloned());
        }
        runs_agree(state)
    }

    /// 16: a reader that has seen a snapshot has seen every earlier one, in number and in time.
    fn snapshots_rise(&mut self, state: &CatalogState) -> Result<(), Violation> {
        if let Some(seen) = &self.view.newest {
            let is_new = |snapshot: &&LakeSnapshot| snapshot.snapshot_id > seen.snapshot_id;
            for snapshot in state.snapshots.values() {
                let rises = snapshot.time_us > seen.time_us && snapshot.next_file_id > seen.next_file_id;
                if is_new(&snapshot) && !rises {
                    return broken(16, format!("snapshot {snapshot:?} came after {seen:?}"));
                }
            }
            let newest = state.snapshots.values().next_back();
            if newest.is_none_or(|newest| newest.snapshot_id < seen.snapshot_id) {
                return broken(16, format!("snapshot {} is gone, the newest is {newest:?}", seen.snapshot_id));
            }
        }
        let listed = state.objects.values().map(|row| row.object.begin_snapshot);
        let retired = state.retired.values().map(|row| row.object.end_snapshot);
        let before = self.view.newest.as_ref().map_or(SnapshotId(0), |newest| newest.snapshot_id);
        let newest = state.snapshots.values().next_back().expect("one is always kept");
        let named: BTreeSet<SnapshotId> = listed.chain(retired).filter(|snapshot| *snapshot > before).collect();
        // A number that becomes visible behind a seen one is missed: readers look only for later numbers.
        let behind = self.view.live.back().map(|(_, live)| live);
        let unseen = |row: &&crate::catalog::ObjectRow| {
            row.object.begin_snapshot <= before && behind.is_some_and(|live| !live.contains(&row.object.file_id))
        };
        if let Some(row) = state.objects.values().find(unseen) {
            let (id, begin) = (row.object.file_id, row.object.begin_snapshot);
            return broken(16, format!("object {id} is of snapshot {begin}, which was read without it"));
        }
        if let Some(last) = named.last().filter(|last| **last > newest.snapshot_id) {
            return broken(16, format!("snapshot {last} is in the lists, the newest is {}", newest.snapshot_id));
        }
        self.view.newest = Some(newest.clone());
        Ok(())
    }

    /// 16: the lists later give the same live objects for a snapshot, except those that were deleted since.
    fn snapshots_say(&mut self, state: &CatalogState) -> Result<(), Violation> {
        for (snapshot, live) in &self.view.live {
            for file_id in live {
                let is_live = state.objects.get(file_id).is_some_and(|row| row.object.begin_snapshot <= *snapshot);
                let retired = state.retired.get(file_id).map(|row| &row.object);
                let is_retired =
                    retired.is_some_and(|of| of.object.begin_snapshot <= *snapshot && of.end_snapshot > *snapshot);
                let is_known = state.objects.contains_key(file_id) || retired.is_some();
                if is_known && !is_live && !is_retired {
                    return broken(16, format!("object {file_id} was live at snapshot {snapshot}, the lists deny it"));
                }
            }
            let begun = |begin: SnapshotId| begin <= *snapshot;
            let objects = state.objects.values().map(|row| (row.object.file_id, begun(row.object.begin_snapshot)));
            let retired = state.retired.iter().map(|(file_id, row)| {
                (*file_id, begun(row.object.object.begin_snapshot) && row.object.end_snapshot > *snapshot)
            });
            if let Some((file_id, _)) = objects.chain(retired).find(|(id, said)| *said && !live.contains(id)) {
                return broken(16, format!("object {file_id} was not live at snapshot {snapshot}, the lists say so"));
            }
        }
        let newest = state.snapshots.values().next_back().expect("one is always kept").snapshot_id;
        if self.view.live.back().is_none_or(|(last, _)| *last < newest) {
            self.view.live.push_back((newest, state.objects.keys().copied().collect()));
        }
        if self.view.live.len() > SNAPSHOTS_REMEMBERED {
            self.view.live.pop_front();
        }
        Ok(())
    }
}

/// 15.
fn objects_agree(state: &CatalogState) -> Result<(), Violation> {
    let mut segments: BTreeMap<FileId, Vec<(&TopicPartition, &SegmentInfo)>> = BTreeMap::new();
    for (partition, segment) in state.segments.iter().flat_map(|(of, all)| all.iter().map(move |one| (of, one))) {
        segments.entry(segment.object.file_id).or_default().push((partition, segment));
        if !state.objects.contains_key(&segment.object.file_id) {
            return broken(
                15,
                format!("segment {} is in object {}, which is not live", segment.id, segment.object.file_id),
            );
        }
    }
    for (file_id, row) in &state.objects {
        let of = segments.get(file_id).map_or(&[][..], Vec::as_slice);
        object_agrees(&row.object, of)?;
        let name = ObjectName::of(&row.object);
        if state.uploads.contains_key(&name) {
            return broken(15, format!("{} is listed, and an intent or doomed", name.key));
        }
        if state.retired.values().any(|retired| ObjectName::of(&retired.object.object) == name) {
            return broken(15, format!("{} is live and retired", name.key));
        }
    }
    Ok(())
}

fn object_agrees(object: &ObjectInfo, segments: &[(&TopicPartition, &SegmentInfo)]) -> Result<(), Violation> {
    let id = object.file_id;
    let rows: u64 = segments.iter().map(|(_, segment)| segment.record_count).sum();
    if rows != object.record_count {
        return broken(
            15,
            format!("object {id} has {} rows, its {} segments {rows}", object.record_count, segments.len()),
        );
    }
    for (partition, segment) in segments {
        let is_enclosed = (object.min_partition_id..=object.max_partition_id).contains(&partition.partition_id)
            && (object.min_offset..=object.max_offset).contains(&segment.range.base())
            && (object.min_offset..=object.max_offset).contains(&segment.range.end())
            && object.min_timestamp_us <= segment.min_timestamp_us
            && segment.max_timestamp_us <= object.max_timestamp_us;
        if !is_enclosed || segment.kind != object.kind {
            return broken(15, format!("the bounds of object {id} do not enclose segment {}", segment.id));
        }
    }
    Ok(())
}

//! Checks of retention: its age, its order, and the objects of kept snapshots.
//!
//! Owns: 20 and the list for 21. Does not own: deletions in the store, which ask for that list (`oracle`).

use std::collections::BTreeSet;

use catalog::FileId;

use super::{Violation, broken};
use crate::catalog::{CatalogState, ObjectName, newest_us};

/// 20: objects that retention took for their age are older, by the database's clock at that moment.
pub(super) fn is_of_age(
    state: &CatalogState,
    at_ms: i64,
    objects: &[FileId],
    retention_ms: u64,
) -> Result<(), Violation> {
    let before_us = (at_ms - i64::try_from(retention_ms).unwrap_or(i64::MAX)) * 1000;
    for file_id in objects {
        let Some(row) = state.retired.get(file_id) else {
            return broken(20, format!("object {file_id} went for its age and is not retired"));
        };
        let newest_us = newest_us(&row.object.object);
        if newest_us >= before_us {
            let early_us = newest_us - before_us;
            return broken(20, format!("object {file_id} went {early_us} microseconds before its age"));
        }
    }
    Ok(())
}

/// 20: retention takes the oldest part: no live segment begins before an expiration of its incarnation.
pub(super) fn begins_behind_expirations(state: &CatalogState) -> Result<(), Violation> {
    for (partition, expirations) in &state.expirations {
        for segment in state.segments_of(partition) {
            let before = expirations.get(&segment.incarnation.0).copied().unwrap_or_default();
            if segment.range.base() < before {
                let base = segment.range.base();
                return broken(20, format!("{partition} expired below {before}, a live segment begins at {base}"));
            }
        }
    }
    Ok(())
}

/// Retired objects that a kept snapshot has.
pub(super) fn seen_by_snapshots(state: &CatalogState) -> BTreeSet<ObjectName> {
    let is_seen = |row: &&crate::catalog::RetiredRow| {
        let object = &row.object;
        state.snapshots.range(object.object.begin_snapshot..object.end_snapshot).next().is_some()
    };
    state.retired.values().filter(is_seen).map(|row| ObjectName::of(&row.object.object)).collect()
}

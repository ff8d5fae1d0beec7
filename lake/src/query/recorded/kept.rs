//! Recorded statistics that are kept between queries.
//!
//! Owns: reading only those of objects that were listed since. An object's statistics never change.
//! Does not own: the meaning of statistics (`recorded`), the bound on what is kept (`known`).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::error::{DataFusionError, Result};

use crate::query::known::KnownTopic;
use catalog::{ColumnStatistics, FileId, MetadataStore, SegmentKind, SnapshotId};

/// The statistics of the columns that queries of a topic have named.
#[derive(Default)]
pub(in crate::query) struct RecordedColumns {
    /// A lock, because queries run side by side; never held across an await.
    columns: Mutex<HashMap<(SegmentKind, i32), Arc<KeptColumn>>>,
}

impl fmt::Debug for RecordedColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedColumns").finish_non_exhaustive()
    }
}

/// The statistics of one column in the live objects of one kind.
#[derive(Debug, Default)]
pub(in crate::query) struct KeptColumn {
    /// Statistics of all objects up to this snapshot are here.
    as_of: Option<SnapshotId>,
    pub(super) objects: HashMap<FileId, ColumnStatistics>,
}

impl KnownTopic {
    /// The recorded statistics of columns in the topic's live objects of a kind, in the order of the field ids.
    ///
    /// # Errors
    /// Those of the catalog.
    pub(in crate::query) async fn statistics(
        &self,
        catalog: &dyn MetadataStore,
        kind: SegmentKind,
        field_ids: &[i32],
    ) -> Result<Vec<Arc<KeptColumn>>> {
        let kept = self.recorded.kept(kind, field_ids);
        let is_current = |column: &KeptColumn| column.as_of.is_some_and(|as_of| as_of >= self.snapshot.snapshot_id);
        let mut behind: BTreeMap<Option<SnapshotId>, Vec<i32>> = BTreeMap::new();
        for (id, column) in field_ids.iter().zip(&kept).filter(|(_, column)| !is_current(column)) {
            behind.entry(column.as_of).or_default().push(*id);
        }
        if behind.is_empty() {
            return Ok(kept);
        }
        let live: HashSet<FileId> = self.snapshot.objects.iter().map(|object| object.file_id).collect();
        for (after, ids) in behind {
            let read = catalog.object_statistics(&self.snapshot.topic.name, kind, &ids, after).await;
            let read = read.map_err(|error| DataFusionError::External(Box::new(error)))?;
            self.recorded.extend(kind, &ids, (&live, self.snapshot.snapshot_id), read);
        }
        Ok(self.recorded.kept(kind, field_ids))
    }
}

impl RecordedColumns {
    fn kept(&self, kind: SegmentKind, field_ids: &[i32]) -> Vec<Arc<KeptColumn>> {
        let columns = self.columns();
        field_ids.iter().map(|id| columns.get(&(kind, *id)).cloned().unwrap_or_default()).collect()
    }

    fn extend(
        &self,
        kind: SegmentKind,
        field_ids: &[i32],
        (live, as_of): (&HashSet<FileId>, SnapshotId),
        read: Vec<(FileId, ColumnStatistics)>,
    ) {
        let mut new: HashMap<i32, HashMap<FileId, ColumnStatistics>> =
            field_ids.iter().map(|id| (*id, HashMap::new())).collect();
        for (file_id, statistics) in read {
            if let Some(objects) = new.get_mut(&statistics.field_id) {
                objects.insert(file_id, statistics);
            }
        }
        let mut columns = self.columns();
        for (id, mut objects) in new {
            if let Some(before) = columns.get(&(kind, id)) {
                let still = before.objects.iter().filter(|(object, _)| live.contains(object));
                objects.extend(still.map(|(object, statistics)| (*object, statistics.clone())));
            }
            columns.insert((kind, id), Arc::new(KeptColumn { as_of: Some(as_of), objects }));
        }
    }

    fn columns(&self) -> MutexGuard<'_, HashMap<(SegmentKind, i32), Arc<KeptColumn>>> {
        // Only operations on the map happen under the lock: a poisoned one is still whole.
        self.columns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Tables of Iceberg at the end of a run: they are taken from the readers, or only their newest snapshot stays.
//!
//! Owns: that end, and what readers find before and after. Does not own: publishing, which the writers do; each publication
//! (`oracle`).

use std::sync::Arc;

use catalog::{IcebergStore, SegmentKind};
use common::config::StorageType;
use lake::Storage;

use super::World;
use crate::catalog::CatalogState;
use crate::network::{Link, Process};
use crate::store::ModelStore;

/// Longer than a snapshot of Iceberg is kept.
const KEPT_MS: i64 = 25 * 60 * 60 * 1000;

impl World {
    /// True if the tables are taken from the readers at the end. Else all earlier snapshots go, and nothing must be retired
    /// any more, since the last ones would keep it for a day.
    pub(super) fn withdraws_tables(&self) -> bool {
        self.plan.publishes() && (self.plan.retention.is_some() || self.plan.end.as_millis().is_multiple_of(2))
    }

    /// Before the last writer starts: no object is kept for earlier snapshots of Iceberg any more.
    pub(super) async fn end_tables(&mut self) {
        if !self.plan.publishes() {
            return;
        }
        self.inspect_tables().await;
        if !self.withdraws_tables() {
            self.jump_clock(KEPT_MS);
        } else if let Err(error) = self.around.catalog.unpublish(&self.topic).await {
            self.around.oracle.report(13, format!("the tables cannot be withdrawn: {error}"));
        }
    }

    /// The first table that readers do not see as it is, where the last writer publishes.
    pub(super) fn unpublished(&self, state: &CatalogState) -> Option<String> {
        if !self.plan.publishes() || self.withdraws_tables() {
            return None;
        }
        let is_due = |table: &catalog::PublishedTable| table.behind.is_some() || table.has_expired;
        let due = state.list_published().into_iter().find(is_due)?;
        Some(format!("the {:?} of {} are not published as they are", due.kind, due.topic))
    }

    /// 23: what an audit finds, with a store that answers.
    pub(super) async fn inspect_tables(&self) {
        if !self.plan.publishes() {
            return;
        }
        let link = Link::new(Process::default(), self.chance.fork());
        let store = ModelStore::new(self.around.store.clone(), link, self.chance.fork());
        let storage = Storage { kind: StorageType::S3, ..Storage::from_store(Arc::new(store)) };
        for kind in SegmentKind::ALL {
            match open_tables::inspect(&self.around.catalog, &storage, &self.topic, kind).await {
                Ok(None) => {}
                Ok(Some(found)) => {
                    if let Some(first) = found.discrepancies.first() {
                        self.around.oracle.report(23, format!("an audit of the {kind:?} finds: {first:?}"));
                    }
                }
                Err(error) => self.around.oracle.report(23, format!("the {kind:?} cannot be inspected: {error}")),
            }
        }
    }
}

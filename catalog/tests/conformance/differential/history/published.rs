//! Calls that publish tables for readers of Iceberg.

use catalog::{FileId, MetadataStore, Publication, SegmentKind, SnapshotId};
use common::OwnerId;
use uuid::Uuid;

use super::super::super::publishing::publication;
use super::super::step::Step;
use super::History;

impl History {
    pub(super) async fn on_published(&mut self, store: &dyn MetadataStore) -> Step {
        match self.random.u32(0..12) {
            0 => Step::Unpublish(self.place().topic),
            1 | 2 => match self.old_publication() {
                Some(old) => Step::Publish(Box::new(old)),
                None => Step::Unpublish(self.place().topic),
            },
            _ => self.intend_publication(store).await,
        }
    }

    fn old_publication(&mut self) -> Option<Publication> {
        let back = self.random.usize(0..5);
        self.publications.iter().rev().nth(back).or(self.publications.last()).cloned()
    }

    /// A publication of a table as it is now, now and then an invalid one.
    async fn intend_publication(&mut self, store: &dyn MetadataStore) -> Step {
        let topic = self.place().topic;
        let kind = if self.chance(80) { SegmentKind::Data } else { SegmentKind::Quarantine };
        let owner = self.random.choice(self.owners.clone()).expect("some");
        let is_rebuilt = self.chance(15);
        let Some(mut new) = publication(store, (&topic, kind), owner, is_rebuilt).await else {
            return Step::Unpublish(topic);
        };
        new.oldest_version = self.random.u64(0..=new.head.version);
        match self.random.u32(0..20) {
            0 => new.follows = Some("elsewhere".to_owned()),
            1 => new.follows = None,
            2 => new.added.push(FileId(self.random.u64(1..60))),
            3 => new.owner = OwnerId(Uuid::now_v7()),
            4 => new.snapshot = None,
            5 => new.removed.push(FileId(self.random.u64(1..60))),
            6 => new.head.version = u64::MAX,
            7 => new.head.lake_snapshot = SnapshotId(new.head.lake_snapshot.0.saturating_sub(2)),
            _ => {}
        }
        self.publications.push(new.clone());
        self.published_next = Some(new.clone());
        Step::IntendPublication(Box::new(new))
    }
}

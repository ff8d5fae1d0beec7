//! Random commits of shared objects.
//!
//! Owns: their choice, right and wrong ones. Does not own: the other calls (`history`).

use std::sync::Arc;

use catalog::{CommitRequest, MetadataStore, Ownership, ReplacementIntent};

use super::super::fixture::request;
use super::super::together::{intent, share};
use super::history::History;
use super::step::Step;

impl History {
    /// The intent of an object that ownerships of one owner and topic are about to share; the next call usually commits
    /// them.
    pub(super) async fn together(&mut self, store: &dyn MetadataStore) -> Option<Step> {
        let first = self.ownership()?;
        let mut held = vec![first.clone()];
        for other in self.ownerships.iter().rev() {
            let fits = other.owner == first.owner && other.partition.topic == first.partition.topic;
            if (fits || self.random.u32(0..20) == 0) && held.iter().all(|of| of.partition != other.partition) {
                held.push(other.clone());
            }
        }
        let mut requests = Vec::new();
        for of in &held {
            requests.push(self.at_watermark(store, of).await);
        }
        share(&mut requests);
        if self.chance(8) {
            // An object that does not hold the rows of the segments.
            for segment in requests.iter_mut().flat_map(|request| &mut request.segments) {
                Arc::make_mut(&mut segment.object).record_count += 1;
            }
        }
        self.requests.extend(requests.iter().cloned());
        let intent: ReplacementIntent = intent(&requests);
        self.together_next = Some(requests);
        Some(Step::IntendReplacement(intent))
    }

    async fn at_watermark(&mut self, store: &dyn MetadataStore, held: &Ownership) -> CommitRequest {
        let now = store.get_partition(&held.partition).await.expect("read");
        let base = now.map_or(0, |now| now.high_watermark) + u64::from(self.chance(8));
        request(held, base, base + self.random.u64(0..5))
    }
}

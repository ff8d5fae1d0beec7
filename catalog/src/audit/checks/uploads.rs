//! Uploads against the list.
//!
//! Owns: the check that no listed object has an upload. Does not own: retired objects (`objects`).

use std::collections::HashMap;

use super::PartitionAudit;
use crate::audit::problem::Check;
use crate::model::{SegmentInfo, UploadState};

pub(in crate::audit) const UPLOAD_LISTED: &str = "the janitor may delete an object that readers need: remove its row from the \
    table uploads";
const STALE_INTENT: &str = "a takeover dooms the intents of its predecessors; this one would never be cleaned up: set \
    its state to doomed";

impl PartitionAudit<'_> {
    pub(super) fn check_uploads(&mut self) {
        let mut listed: HashMap<(&str, &str), &SegmentInfo> = HashMap::new();
        for segment in &self.records.segments {
            listed.insert((&segment.object.bucket, &segment.object.key), segment);
        }
        let partition = &self.records.partition;
        for upload in &self.records.uploads {
            self.counts.uploads += 1;
            if let Some(segment) = listed.get(&(upload.bucket.as_str(), upload.key.as_str())) {
                let found = format!("a listed object is {:?} as well", upload.state);
                let problem = self.problem(Check::Uploads, segment.incarnation, found, UPLOAD_LISTED);
                self.problems.push(problem.at(segment.range.base()).of(&upload.key));
            }
            let is_pending = upload.state == UploadState::Pending;
            if let Some(epoch) = upload.epoch.filter(|epoch| is_pending && *epoch < partition.epoch) {
                let found = format!("an intent of epoch {epoch} is pending, the partition is at {}", partition.epoch);
                let problem = self.problem(Check::Uploads, partition.incarnation, found, STALE_INTENT);
                self.problems.push(problem.of(&upload.key));
            }
        }
    }
}

//! Transactions of the janitor.
//!
//! Owns: the choice of due objects, and forgetting them. Does not own: dooming an object.

use std::time::Duration;

use ::catalog::{Result, Upload, UploadState};
use common::{TopicName, TopicPartition};

use super::event::Change;
use super::limits;
use super::state::{CatalogState, ObjectName};

/// Deletes of an object until it is forgotten.
const SWEEPS: u32 = 2;

impl CatalogState {
    pub(crate) fn due_objects(&self, bucket: &str, hold: Duration, second_sweep: Duration, limit: u32) -> Vec<Upload> {
        let is_due = |&(name, upload): &(&ObjectName, &Upload)| {
            upload.bucket == bucket
                && self.may_be_deleted(upload)
                && self.is_held_long_enough(upload, hold, second_sweep)
                && !(self.guards.gc_listed_check && self.is_listed(name))
                && !(self.guards.gc_iceberg_check && self.is_kept_for_iceberg(name))
                && !(self.guards.gc_snapshot_check && self.is_in_a_kept_snapshot(name))
        };
        let mut due: Vec<Upload> = self.uploads.iter().filter(is_due).map(|(_, upload)| upload.clone()).collect();
        // Stable: by bucket and key among those of one moment.
        due.sort_by_key(doomed_since);
        due.truncate(usize::try_from(limit).expect("a usize has 32 bits at least"));
        due
    }

    fn is_in_a_kept_snapshot(&self, name: &ObjectName) -> bool {
        self.retired_names.get(name).is_some_and(|file_id| self.is_seen_by_a_snapshot(*file_id))
    }

    fn may_be_deleted(&self, upload: &Upload) -> bool {
        upload.state == UploadState::Doomed || !self.guards.gc_doomed_only
    }

    fn is_held_long_enough(&self, upload: &Upload, hold: Duration, second_sweep: Duration) -> bool {
        let hold = match upload.sweeps {
            0 => hold,
            1 => second_sweep,
            _ => return false,
        };
        !self.guards.gc_hold || doomed_since(upload) < self.now_ms - limits::duration_ms(hold)
    }

    pub(crate) fn swept(&mut self, objects: &[Upload]) -> Result<()> {
        for object in objects {
            limits::exact("bucket", &object.bucket)?;
            limits::exact("key", &object.key)?;
        }
        for object in objects {
            let name = ObjectName::new(&object.bucket, &object.key);
            // Compared with the count that was read: another janitor may have counted already.
            let Some(upload) = self.uploads.get_mut(&name).filter(|upload| upload.sweeps == object.sweeps) else {
                continue;
            };
            if upload.state != UploadState::Doomed {
                continue;
            }
            upload.sweeps += 1;
            if upload.sweeps >= SWEEPS {
                self.uploads.remove(&name);
            }
            self.forget_retired(&name);
            self.changed(Change::Swept(name));
        }
        Ok(())
    }

    pub(crate) fn list_uploads(&self, partition: &TopicPartition) -> Vec<Upload> {
        self.uploads_by_key(|upload| upload.partition().as_ref() == Some(partition))
    }

    pub(crate) fn list_shared_uploads(&self, topic: &TopicName) -> Vec<Upload> {
        self.uploads_by_key(|upload| &upload.topic == topic && upload.partition_id.is_none())
    }

    fn uploads_by_key(&self, is_wanted: impl Fn(&Upload) -> bool) -> Vec<Upload> {
        let mut uploads: Vec<Upload> = self.uploads.values().filter(|upload| is_wanted(upload)).cloned().collect();
        uploads.sort_by(|one, other| one.key.cmp(&other.key));
        uploads
    }
}

/// Start of the hold. A pending object counts from its intent, for the test in which the janitor takes it as doomed.
fn doomed_since(upload: &Upload) -> i64 {
    upload.doomed_at.unwrap_or(upload.created_at)
}

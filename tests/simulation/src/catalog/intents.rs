//! Transactions on intents, before their commit.
//!
//! Owns: recording an intent and giving it up. Does not own: consuming it in a commit (`commit`).

use ::catalog::{CatalogError, PartitionState, Result, Upload, UploadIntent, UploadState};

use super::event::Change;
use super::limits;
use super::state::{CatalogState, ObjectName};

impl CatalogState {
    pub(crate) fn record_intents(&mut self, intents: &[UploadIntent]) -> Vec<Result<()>> {
        // In the order in which every transaction locks partitions: it decides which of two gets a key.
        let mut order: Vec<usize> = (0..intents.len()).collect();
        order.sort_by_key(|&index| &intents[index].partition);
        let mut answers = vec![Ok(()); intents.len()];
        for index in order {
            answers[index] = self.record_intent(&intents[index]);
        }
        answers
    }

    fn record_intent(&mut self, intent: &UploadIntent) -> Result<()> {
        check(intent)?;
        let fenced = |reason| Err(CatalogError::Fenced { partition: intent.partition.clone(), reason });
        if let Some(reason) = self.fence(intent) {
            return fenced(reason);
        }
        let object = ObjectName::new(&intent.bucket, &intent.key);
        match self.uploads.get(&object) {
            Some(known) if is_same(known, intent) && known.state == UploadState::Pending => return Ok(()),
            known if self.guards.key_reuse_check && (known.is_some() || self.number_of(&object).is_some()) => {
                return fenced(format!("the key {:?} was used before; every object needs a new one", intent.key));
            }
            _ => {}
        }
        let upload = Upload {
            bucket: intent.bucket.clone(),
            key: intent.key.clone(),
            topic: intent.partition.topic.clone(),
            partition_id: Some(intent.partition.partition_id),
            segment_id: None,
            epoch: Some(intent.epoch),
            owner: Some(intent.owner),
            state: UploadState::Pending,
            created_at: self.now_ms,
            doomed_at: None,
            sweeps: 0,
        };
        self.uploads.insert(object, upload);
        self.changed(Change::Intended(intent.clone()));
        Ok(())
    }

    /// The reason to refuse intents of this ownership, if any.
    fn fence(&self, intent: &UploadIntent) -> Option<String> {
        let Some(row) = self.partitions.get(&intent.partition) else { return Some("it does not exist".to_owned()) };
        let now = &row.partition;
        if !self.guards.intent_fence {
            return None;
        }
        if (now.epoch, now.owner) != (intent.epoch, Some(intent.owner)) {
            let owner = now.owner.map_or_else(|| "nobody".to_owned(), |owner| owner.to_string());
            return Some(format!(
                "its epoch is {} and its owner {owner}, not {} and {}",
                now.epoch, intent.epoch, intent.owner
            ));
        }
        let halted = || format!("it is halted: {}", now.halt_reason.as_deref().unwrap_or("no reason given"));
        (now.state == PartitionState::Halted).then(halted)
    }

    pub(crate) fn abandon_intents(&mut self, intents: &[UploadIntent]) -> Result<()> {
        intents.iter().try_for_each(check)?;
        for intent in intents {
            let object = ObjectName::new(&intent.bucket, &intent.key);
            let Some(upload) = self.uploads.get_mut(&object) else { continue };
            let is_owned = (upload.epoch, upload.owner) == (Some(intent.epoch), Some(intent.owner));
            if is_owned && upload.state == UploadState::Pending {
                upload.state = UploadState::Doomed;
                upload.doomed_at = Some(self.now_ms);
                self.changed(Change::Doomed(object));
            }
        }
        Ok(())
    }
}

fn is_same(known: &Upload, intent: &UploadIntent) -> bool {
    known.partition().as_ref() == Some(&intent.partition)
        && (known.epoch, known.owner) == (Some(intent.epoch), Some(intent.owner))
}

fn check(intent: &UploadIntent) -> Result<()> {
    limits::exact("bucket", &intent.bucket)?;
    limits::exact("key", &intent.key)?;
    limits::number("epoch", intent.epoch.0)
}

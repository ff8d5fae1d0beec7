//! Replacements and their intents.
//!
//! Owns: one object in place of others as one transaction. Does not own: the lists themselves (`objects`), the choice
//! of objects, and the faults of the transaction on its way (`session`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ::catalog::{
    CatalogError, FileId, ObjectInfo, REPLACEMENT_INPUTS_MAX, ReplaceOutcome, ReplaceRefusal, ReplacedObject,
    Replacement, ReplacementIntent, Result, SegmentInfo, Upload, UploadState,
};
use common::{Epoch, TopicName};

use super::event::Change;
use super::lake::Word;
use super::limits;
use super::state::{CatalogState, ObjectName};

/// Reason not to make a replacement.
enum Stop {
    Refused(ReplaceRefusal),
    NotDone(CatalogError),
}

fn mismatch<T>(reason: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Refused(ReplaceRefusal::Mismatch { reason: reason.into() }))
}

impl From<CatalogError> for Stop {
    fn from(error: CatalogError) -> Self {
        Self::NotDone(error)
    }
}

impl CatalogState {
    pub(crate) fn record_replacement_intent(&mut self, intent: &ReplacementIntent) -> Result<()> {
        check(intent)?;
        if !self.topics.contains_key(&intent.topic) {
            return Err(CatalogError::TopicNotFound(intent.topic.to_string()));
        }
        let name = ObjectName::new(&intent.bucket, &intent.key);
        match self.uploads.get(&name) {
            Some(known) if is_pending(known, intent) => return Ok(()),
            known if known.is_some() || self.is_name_used(&name) => {
                return Err(CatalogError::KeyUsed(intent.key.clone()));
            }
            _ => {}
        }
        let upload = Upload {
            bucket: intent.bucket.clone(),
            key: intent.key.clone(),
            topic: intent.topic.clone(),
            partition_id: None,
            segment_id: None,
            epoch: Some(Epoch(0)),
            owner: Some(intent.owner),
            state: UploadState::Pending,
            created_at: self.now_ms,
            doomed_at: None,
            sweeps: 0,
        };
        self.uploads.insert(name.clone(), upload);
        self.changed(Change::ReplacementIntended(name));
        Ok(())
    }

    pub(crate) fn abandon_replacement(&mut self, intent: &ReplacementIntent) -> Result<()> {
        check(intent)?;
        self.doom_pending(|upload| {
            (&upload.bucket, &upload.key) == (&intent.bucket, &intent.key) && is_pending(upload, intent)
        });
        Ok(())
    }

    pub(crate) fn doom_abandoned_replacements(&mut self, lease: Duration) -> u64 {
        let oldest = self.now_ms - limits::duration_ms(lease);
        let alive: BTreeSet<_> =
            self.agents.iter().filter(|(_, row)| row.heartbeat_at >= oldest).map(|(owner, _)| *owner).collect();
        let is_abandoned = |upload: &Upload| {
            upload.partition_id.is_none() && upload.owner.is_some_and(|owner| !alive.contains(&owner))
        };
        self.doom_pending(is_abandoned)
    }

    pub(crate) fn replace(&mut self, replacement: &Replacement) -> ReplaceOutcome {
        match self.try_replace(replacement) {
            Ok(file_id) => ReplaceOutcome::Done(file_id),
            Err(Stop::NotDone(error)) => ReplaceOutcome::NotDone(error),
            Err(Stop::Refused(refusal)) => {
                // An input that this same replacement took is not gone.
                let took = matches!(refusal, ReplaceRefusal::InputGone { .. });
                let known = self.number_of(&output_name(replacement)).filter(|_| took);
                known.map_or(ReplaceOutcome::Refused(refusal), ReplaceOutcome::Done)
            }
        }
    }

    pub(crate) fn resolve_replacement(&self, replacement: &Replacement) -> ReplaceOutcome {
        if let Err(error) = limits::object(&replacement.output) {
            return ReplaceOutcome::NotDone(error);
        }
        let name = output_name(replacement);
        if let Some(file_id) = self.number_of(&name) {
            return ReplaceOutcome::Done(file_id);
        }
        if self.uploads.get(&name).is_some_and(|upload| upload.state == UploadState::Pending) {
            return ReplaceOutcome::NotDone(CatalogError::NotReplaced(name.key));
        }
        ReplaceOutcome::Refused(ReplaceRefusal::IntentLost { key: name.key })
    }

    /// Judges the replacement, and carries it out when nothing is wrong with it.
    fn try_replace(&mut self, replacement: &Replacement) -> Result<FileId, Stop> {
        check_storable(replacement)?;
        let inputs = self.judge_inputs(replacement)?;
        self.judge_rows(replacement, &inputs)?;
        self.judge_intent(replacement)?;
        let live: Vec<FileId> = inputs.iter().map(|input| input.file_id).collect();
        let (name, guards) = (output_name(replacement), self.guards);
        if self.listed.contains_key(&name) || self.retired_names.contains_key(&name) {
            return Err(CatalogError::Inconsistent(format!("{} is listed already", name.key)).into());
        }
        self.refuse_known_uploads(&live)?;
        if guards.replace_intent {
            self.uploads.remove(&name);
        }
        Ok(self.put_in_place(replacement, &inputs))
    }

    /// The objects to be replaced, by number.
    fn judge_inputs(&self, replacement: &Replacement) -> Result<Vec<Arc<ObjectInfo>>, Stop> {
        let wanted: BTreeSet<FileId> = replacement.inputs.iter().map(|input| input.file_id).collect();
        if wanted.is_empty() || replacement.inputs.len() > REPLACEMENT_INPUTS_MAX {
            return mismatch(format!("{} objects are given", replacement.inputs.len()));
        }
        if wanted.len() < replacement.inputs.len() {
            return mismatch("an object is given twice");
        }
        let table = self.table(&replacement.topic, replacement.kind);
        let mut inputs = Vec::new();
        for ReplacedObject { file_id, key } in &replacement.inputs {
            let (file_id, is_it) = (*file_id, |object: &ObjectInfo| object.key == *key);
            let retired = self.retired.get(&file_id).filter(|_| !self.guards.replace_live_check);
            let retired = retired.map(|row| (row.table, Arc::new(row.object.object.clone())));
            let live = self.objects.get(&file_id).map(|row| (row.table, Arc::clone(&row.object)));
            let found = live.or(retired).filter(|(_, object)| table.is_some() && is_it(object));
            let Some((of, object)) = found else {
                return Err(Stop::Refused(ReplaceRefusal::InputGone { file_id }));
            };
            inputs.push((of, object));
        }
        inputs.sort_by_key(|(_, object)| object.file_id);
        for (of, object) in &inputs {
            let output = &replacement.output;
            if Some(*of) != table {
                return mismatch(format!("object {} is of table {of}", object.file_id));
            }
            if object.bucket != output.bucket {
                return mismatch(format!("object {} is in another bucket", object.file_id));
            }
            if object.schema_version > output.schema_version {
                return mismatch(format!("object {} is of a newer schema version", object.file_id));
            }
        }
        Ok(inputs.into_iter().map(|(_, object)| object).collect())
    }

    fn judge_intent(&self, replacement: &Replacement) -> Result<(), Stop> {
        let intent = replacement.intent();
        let holds = self.uploads.get(&output_name(replacement)).is_some_and(|upload| is_pending(upload, &intent));
        if holds || !self.guards.replace_intent {
            return Ok(());
        }
        Err(Stop::Refused(ReplaceRefusal::IntentLost { key: intent.key }))
    }

    fn judge_rows(&self, replacement: &Replacement, inputs: &[Arc<ObjectInfo>]) -> Result<(), Stop> {
        let rows: u64 = inputs.iter().map(|input| input.record_count).sum();
        if rows == replacement.output.record_count || !self.guards.replace_row_count {
            return Ok(());
        }
        mismatch(format!("{rows} rows are to be replaced by {}", replacement.output.record_count))
    }

    fn put_in_place(&mut self, replacement: &Replacement, inputs: &[Arc<ObjectInfo>]) -> FileId {
        let (topic, output) = (&replacement.topic, &replacement.output);
        let table = self.table(topic, replacement.kind).expect("it has the inputs");
        let listing = self.snapshot_of(Word::Compacted, &BTreeSet::from([table]), 1);
        let bounds = enclosing(inputs);
        let object = Arc::new(ObjectInfo {
            level: bounds.level + 1,
            min_partition_id: bounds.min_partition_id,
            max_partition_id: bounds.max_partition_id,
            min_offset: bounds.min_offset,
            max_offset: bounds.max_offset,
            min_timestamp_us: bounds.min_timestamp_us,
            max_timestamp_us: bounds.max_timestamp_us,
            ..self.new_object(output, replacement.kind, listing)
        });
        let file_ids: Vec<FileId> = inputs.iter().map(|input| input.file_id).collect();
        let ids = self.ids_by_object(topic);
        self.retire(&file_ids, listing.snapshot_id, &ids);
        self.list_object(topic, Arc::clone(&object), &output.statistics);
        self.point_at(topic, &file_ids, &object);
        self.changed(Change::Replaced(Box::new(replacement.clone()), object.file_id));
        object.file_id
    }

    /// Points the segments of these objects at another, and joins those that are neighbours there.
    fn point_at(&mut self, topic: &TopicName, file_ids: &[FileId], object: &Arc<ObjectInfo>) {
        let partitions: Vec<_> = self.partitions_of(topic).map(|(of, _)| of.clone()).collect();
        for partition in partitions {
            let Some(segments) = self.segments.get_mut(&partition) else { continue };
            let mut kept: Vec<SegmentInfo> = Vec::with_capacity(segments.len());
            // Imports come in any order.
            segments.sort_by_key(|segment| (segment.incarnation, segment.range.base()));
            for mut segment in std::mem::take(segments) {
                if file_ids.contains(&segment.object.file_id) {
                    segment.object = Arc::clone(object);
                }
                // An import may lie between them.
                let before = kept.iter_mut().rev().find(|other| other.object.file_id == object.file_id);
                match before {
                    Some(before) if is_neighbour(before, &segment) => {
                        self.segment_ids.remove(&segment.id);
                        join(before, &segment);
                    }
                    _ => kept.push(segment),
                }
            }
            *segments = kept;
        }
    }
}

/// True when both are rows of one object, without a hole between them.
fn is_neighbour(before: &SegmentInfo, segment: &SegmentInfo) -> bool {
    before.incarnation == segment.incarnation
        && before.object.file_id == segment.object.file_id
        && before.range.joined(segment.range).is_some()
}

fn join(before: &mut SegmentInfo, segment: &SegmentInfo) {
    before.range = before.range.joined(segment.range).expect("they are neighbours");
    before.record_count += segment.record_count;
    before.min_timestamp_us = before.min_timestamp_us.min(segment.min_timestamp_us);
    before.max_timestamp_us = before.max_timestamp_us.max(segment.max_timestamp_us);
    before.schema_version = before.schema_version.min(segment.schema_version);
    before.created_at = before.created_at.max(segment.created_at);
}

/// The bounds of all inputs, in one of them.
fn enclosing(inputs: &[Arc<ObjectInfo>]) -> ObjectInfo {
    let mut bounds = ObjectInfo::clone(&inputs[0]);
    for input in inputs {
        bounds.level = bounds.level.max(input.level);
        bounds.min_partition_id = bounds.min_partition_id.min(input.min_partition_id);
        bounds.max_partition_id = bounds.max_partition_id.max(input.max_partition_id);
        bounds.min_offset = bounds.min_offset.min(input.min_offset);
        bounds.max_offset = bounds.max_offset.max(input.max_offset);
        bounds.min_timestamp_us = bounds.min_timestamp_us.min(input.min_timestamp_us);
        bounds.max_timestamp_us = bounds.max_timestamp_us.max(input.max_timestamp_us);
    }
    bounds
}

fn output_name(replacement: &Replacement) -> ObjectName {
    ObjectName::new(&replacement.output.bucket, &replacement.output.key)
}

pub(super) fn is_pending(known: &Upload, intent: &ReplacementIntent) -> bool {
    known.state == UploadState::Pending
        && known.partition_id.is_none()
        && (&known.topic, known.owner) == (&intent.topic, Some(intent.owner))
}

fn check(intent: &ReplacementIntent) -> Result<()> {
    limits::exact("bucket", &intent.bucket)?;
    limits::exact("key", &intent.key)
}

fn check_storable(replacement: &Replacement) -> Result<()> {
    replacement.inputs.iter().try_for_each(|input| limits::number("file_id", input.file_id.0))?;
    limits::object(&replacement.output)
}

//! A job of compaction with all that its steps need to know.
//!
//! Owns: making jobs of a topic's snapshot, and their memory. Does not own: the policy (`policy`), running a job (`job`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use catalog::{FileId, ObjectInfo, SegmentInfo, SegmentKind, Topic, TopicSnapshot};
use lake::footer::{Footer, FooterSegment};
use lake::merge::{MergeInput, MergedForm, memory_of_input};
use lake::object::ListedObject;
use lake::schema::{quarantine_schema, table_schema};
use lake::segment::Pages;

use super::CompactionConfig;
use super::policy::{Candidate, Job, Policy};

/// Target size of a data page.
const PAGE_BYTES: usize = 1024 * 1024;
/// Most decoded bytes that are sorted at a time.
const SORT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most bytes of a merge besides what its inputs take: rows that are sorted or encoded.
const WORKING_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Objects of one table that are to be merged.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) topic: Topic,
    pub(super) kind: SegmentKind,
    /// In the order of time.
    pub(super) inputs: Vec<Arc<ObjectInfo>>,
    /// The level that the merged object gets.
    pub(super) level: u32,
    /// Their segments, by partition, incarnation and offset.
    segments: Vec<SegmentInfo>,
}

impl CompactionConfig {
    /// The policy for the objects of a topic.
    pub(super) fn policy(&self, topic: &Topic, kind: SegmentKind) -> Policy {
        Policy {
            target_bytes: self.target_bytes,
            level_0_objects: self.objects_min,
            memory_bytes: self.memory_bytes - self.working_bytes(),
            has_order: kind == SegmentKind::Data && !topic.config.sort.is_empty(),
            schema_version: topic.schema_version,
        }
    }

    /// Bytes besides what the inputs take.
    fn working_bytes(&self) -> u64 {
        WORKING_BYTES_MAX.min(self.memory_bytes / 4)
    }

    fn sort_bytes(&self) -> usize {
        usize::try_from(self.working_bytes() / 2).unwrap_or(SORT_BYTES_MAX).min(SORT_BYTES_MAX)
    }
}

/// The jobs that are due for a topic, each of other objects. Objects of `shunned` are left alone.
pub(super) fn due(
    snapshot: &TopicSnapshot,
    config: &CompactionConfig,
    shunned: &HashSet<FileId>,
    now_ms: i64,
) -> Vec<Work> {
    let of_kind = |kind| {
        let wanted = |object: &&Arc<ObjectInfo>| object.kind == kind && !shunned.contains(&object.file_id);
        let live: HashMap<FileId, &Arc<ObjectInfo>> =
            snapshot.objects.iter().filter(wanted).map(|object| (object.file_id, object)).collect();
        let candidates: Vec<Candidate> =
            snapshot.objects.iter().filter(wanted).map(|object| Candidate::from(object.as_ref())).collect();
        let jobs = config.policy(&snapshot.topic, kind).jobs(&candidates, now_ms);
        jobs.into_iter().map(move |job| work(snapshot, kind, &live, &job)).collect::<Vec<_>>()
    };
    SegmentKind::ALL.into_iter().flat_map(of_kind).collect()
}

fn work(snapshot: &TopicSnapshot, kind: SegmentKind, live: &HashMap<FileId, &Arc<ObjectInfo>>, job: &Job) -> Work {
    let inputs = job.inputs.iter().map(|input| Arc::clone(live[input])).collect();
    let chosen: HashSet<FileId> = job.inputs.iter().copied().collect();
    let of_job = |segment: &&SegmentInfo| segment.kind == kind && chosen.contains(&segment.object.file_id);
    let segments = snapshot.segments.iter().filter(of_job).cloned().collect();
    Work { topic: snapshot.topic.clone(), kind, inputs, level: job.level, segments }
}

impl Work {
    /// Bytes of the inputs.
    pub(super) fn bytes(&self) -> u64 {
        self.inputs.iter().map(|input| input.size_bytes).sum()
    }

    /// Rows of the inputs.
    pub(super) fn records(&self) -> u64 {
        self.inputs.iter().map(|input| input.record_count).sum()
    }

    /// Bytes in memory that it may take.
    pub(super) fn memory_bytes(&self, config: &CompactionConfig) -> usize {
        let of_input = |input: &Arc<ObjectInfo>| {
            let is_sorted = input.level > 0 && input.schema_version == self.topic.schema_version;
            memory_of_input(input.size_bytes, is_sorted)
        };
        let bytes = self.inputs.iter().map(of_input).fold(config.working_bytes(), u64::saturating_add);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// The objects to be read.
    ///
    /// # Errors
    /// When a key is none of the store, or an object of layout 1 has rows of several incarnations.
    pub(super) fn merge_inputs(&self) -> Result<Vec<MergeInput>, String> {
        self.inputs.iter().map(|input| self.merge_input(input)).collect()
    }

    fn merge_input(&self, input: &ObjectInfo) -> Result<MergeInput, String> {
        let listed = ListedObject::of(input).map_err(|error| error.to_string())?;
        if input.layout != 1 {
            return Ok(MergeInput { listed, unsaid_incarnation: None });
        }
        let mut of_input = self.segments.iter().filter(|segment| segment.object.file_id == input.file_id);
        let only = of_input.next().filter(|_| of_input.next().is_none());
        let number = only.and_then(|segment| i32::try_from(segment.incarnation.0).ok());
        let unsaid_incarnation = Some(number.ok_or_else(|| format!("{} is not of one segment", input.key))?);
        Ok(MergeInput { listed, unsaid_incarnation })
    }

    /// The form of the merged object.
    pub(super) fn form(&self, config: &CompactionConfig) -> MergedForm {
        let options = &self.topic.config;
        let (table, sort, bloom) = match self.kind {
            SegmentKind::Data => (table_schema(options), options.sort.clone(), options.filtered_columns()),
            // Its columns are few, and it is small.
            SegmentKind::Quarantine => (quarantine_schema(), Vec::new(), Vec::new()),
        };
        let pages = Pages { bytes: PAGE_BYTES, is_compressed: config.is_compressed };
        MergedForm { table, sort, bloom, pages, sort_bytes: config.sort_bytes() }
    }

    /// The description of the merged object in its footer.
    pub(super) fn footer(&self) -> Footer {
        let parts = self.segments.iter().map(|segment| FooterSegment::of(segment, None));
        let joined = |one: Option<FooterSegment>, next: Option<FooterSegment>| {
            let (one, next) = (one?, next?);
            let is_same = (one.partition_id, one.incarnation) == (next.partition_id, next.incarnation);
            let range = one.range.joined(next.range).filter(|_| is_same)?;
            Some(FooterSegment { range, ..one })
        };
        Footer {
            topic: self.topic.name.clone(),
            kind: self.kind,
            schema_version: self.topic.schema_version,
            segment: parts.map(Some).reduce(joined).flatten(),
        }
    }

    /// Queue time of the earliest message.
    pub(super) fn first_timestamp_us(&self) -> i64 {
        self.inputs.iter().map(|input| input.min_timestamp_us).min().unwrap_or_default()
    }
}

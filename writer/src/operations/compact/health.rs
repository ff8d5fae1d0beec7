//! The health of tables: how many objects they have, and what compaction has before it.
//!
//! Owns: these figures, from a snapshot alone. Does not own: the policy (`policy`), showing them.

use std::collections::{BTreeMap, HashSet};

use catalog::{ObjectInfo, SegmentKind, TopicSnapshot};
use common::TopicName;
use serde::Serialize;

use super::CompactionConfig;
use super::policy::Candidate;

/// Objects below this size cost a reader more for their number than for their bytes.
const SMALL_BYTES: u64 = 32 * 1024 * 1024;

/// Figures of one table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableHealth {
    /// The topic.
    pub topic: TopicName,
    /// Its table or its quarantine.
    pub kind: SegmentKind,
    /// Live objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Live objects by level: 0 as they were written, one more per merge.
    pub by_level: BTreeMap<u32, u64>,
    /// Live objects below 32 MiB.
    pub small: u64,
    /// Jobs that are due.
    pub due_jobs: u64,
    /// Objects that these jobs will merge.
    pub due_objects: u64,
    /// How often a byte of the table was written so far: once, and once more with each level.
    pub write_amplification: f64,
}

/// Bytes of objects, and how many were written for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    bytes: u64,
    written: u64,
}

impl Written {
    /// Counts an object: its bytes were written once, and once more with each level.
    pub(super) fn add(&mut self, object: &ObjectInfo) {
        self.bytes += object.size_bytes;
        self.written += object.size_bytes * (1 + u64::from(object.level));
    }

    /// How often a byte was written.
    pub(super) fn amplification(self) -> f64 {
        if self.bytes == 0 { 1.0 } else { self.written as f64 / self.bytes as f64 }
    }
}

/// The figures of the topic's table and of its quarantine, if they have objects.
pub fn health(snapshot: &TopicSnapshot, config: &CompactionConfig, now_ms: i64) -> Vec<TableHealth> {
    let of_kind = |kind| table_health(snapshot, kind, config, now_ms);
    SegmentKind::ALL.into_iter().map(of_kind).filter(|table| table.objects > 0).collect()
}

fn table_health(snapshot: &TopicSnapshot, kind: SegmentKind, config: &CompactionConfig, now_ms: i64) -> TableHealth {
    let mut by_level: BTreeMap<u32, u64> = BTreeMap::new();
    let (mut written, mut small, mut candidates) = (Written::default(), 0, Vec::new());
    for object in snapshot.objects.iter().filter(|object| object.kind == kind) {
        *by_level.entry(object.level).or_default() += 1;
        written.add(object);
        small += u64::from(object.size_bytes < SMALL_BYTES);
        candidates.push(Candidate::from(object.as_ref()));
    }
    let objects = candidates.len() as u64;
    let (due_jobs, due_objects) = backlog(snapshot, kind, config, (candidates, now_ms));
    let (bytes, write_amplification) = (written.bytes, written.amplification());
    let topic = snapshot.topic.name.clone();
    TableHealth { topic, kind, objects, bytes, by_level, small, due_jobs, due_objects, write_amplification }
}

/// The jobs until nothing is due, if nothing new comes, and the objects that they take of those that are there.
fn backlog(
    snapshot: &TopicSnapshot,
    kind: SegmentKind,
    config: &CompactionConfig,
    (mut candidates, now_ms): (Vec<Candidate>, i64),
) -> (u64, u64) {
    let policy = config.policy(&snapshot.topic, kind);
    let (mut jobs, mut objects) = (0, 0);
    loop {
        let due = policy.jobs(&candidates, now_ms);
        if due.is_empty() {
            return (jobs, objects);
        }
        jobs += due.len() as u64;
        let taken: HashSet<_> = due.into_iter().flat_map(|job| job.inputs).collect();
        objects += taken.len() as u64;
        candidates.retain(|object| !taken.contains(&object.file_id));
    }
}

//! The policy of compaction: the objects of a table that are to be merged next.
//!
//! Owns: this choice, as a pure function. Does not own: reading the list of objects, the merge, the moment of a job.
//!
//! Objects are merged with those of the same UTC days, lowest level first, oldest first. Many small objects make one of
//! level 1, and each higher level takes fewer, so that a byte is merged at most [`MERGES_MAX`] times while its day is open.
//! When the day is over, one last pass merges what stayed small.

use std::collections::BTreeMap;

use catalog::{FileId, ObjectInfo};
use common::clock::{DAY_US, utc_day};

/// Objects of level 1 and above that are merged at once.
const HIGHER_OBJECTS: usize = 8;
/// The least objects of level 0 that are merged for their age.
const AGED_OBJECTS: usize = 8;
/// Time after which objects of level 0 are merged although they are few.
const AGE_MAX_MS: i64 = 10 * 60 * 1_000;
/// How often a byte is merged while its day is open.
const MERGES_MAX: u32 = 4;
/// An object of level 0 of this size is not worth a merge.
const LARGE_AS_WRITTEN: u64 = 32 * 1024 * 1024;
/// Time after the end of a day until its last pass, for messages that come late.
const DAY_OVER_MS: i64 = 60 * 60 * 1_000;

/// A live object, as the policy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its number.
    pub(super) file_id: FileId,
    /// How often its bytes were merged, at most.
    pub(super) level: u32,
    /// Its size.
    pub(super) size_bytes: u64,
    /// Smallest queue time of its rows, microseconds UTC.
    pub(super) min_timestamp_us: i64,
    /// Largest queue time of its rows.
    pub(super) max_timestamp_us: i64,
    /// The topic's schema version at the time of writing.
    pub(super) schema_version: u32,
    /// Time of its listing, milliseconds UTC.
    pub(super) listed_at: i64,
}

/// Objects to be merged into one, in the order of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    /// At least two objects.
    pub(super) inputs: Vec<FileId>,
    /// Bytes of all of them.
    pub(super) bytes: u64,
    /// The level that the merged object gets.
    pub(super) level: u32,
}

/// The sizes and numbers that a table's objects are merged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    /// Size that merged objects should reach.
    pub(super) target_bytes: u64,
    /// Objects of level 0 that are merged at once.
    pub(super) level_0_objects: usize,
    /// Bytes in memory that the objects of a job may take: its output, and a sorted copy of what is not sorted yet.
    pub(super) memory_bytes: u64,
    /// True when the topic has a sort order of its own, for which large objects of level 0 are merged too.
    pub(super) has_order: bool,
    /// The topic's schema version. The rows of objects of an earlier one may be sorted in another way.
    pub(super) schema_version: u32,
}

impl From<&ObjectInfo> for Candidate {
    fn from(object: &ObjectInfo) -> Self {
        Self {
            file_id: object.file_id,
            level: object.level,
            size_bytes: object.size_bytes,
            min_timestamp_us: object.min_timestamp_us,
            max_timestamp_us: object.max_timestamp_us,
            schema_version: object.schema_version,
            listed_at: object.created_at,
        }
    }
}

impl Policy {
    /// The next job of each group of days, at most one each, the lowest level first. `now` is in milliseconds UTC.
    pub(super) fn jobs(&self, objects: &[Candidate], now: i64) -> Vec<Job> {
        let mut days: BTreeMap<(i64, i64), Vec<&Candidate>> = BTreeMap::new();
        for object in objects.iter().filter(|object| self.is_mergeable(object)) {
            days.entry((utc_day(object.min_timestamp_us), utc_day(object.max_timestamp_us))).or_default().push(object);
        }
        let mut jobs: Vec<Job> = Vec::new();
        for ((_, last_day), mut objects) in days {
            objects.sort_by_key(|object| (object.min_timestamp_us, object.file_id));
            let is_over = (last_day + 1).saturating_mul(DAY_US / 1_000).saturating_add(DAY_OVER_MS) <= now;
            let job = self.by_level(&objects, now);
            jobs.extend(job.or_else(|| is_over.then(|| self.last_pass(objects)).flatten()));
        }
        jobs.sort_by_key(|job| job.level);
        jobs
    }

    /// Size of an object that is merged no more: larger ones gain little.
    fn done_bytes(&self) -> u64 {
        self.full_bytes() / 4 * 3
    }

    /// The target, as far as the memory allows it.
    fn full_bytes(&self) -> u64 {
        self.target_bytes.min(self.memory_bytes)
    }

    fn is_mergeable(&self, object: &Candidate) -> bool {
        let stays_as_written = object.level == 0 && object.size_bytes >= LARGE_AS_WRITTEN && !self.has_order;
        object.size_bytes < self.done_bytes() && !stays_as_written
    }

    /// The job of the lowest level that has enough objects, in the order of time.
    fn by_level(&self, objects: &[&Candidate], now: i64) -> Option<Job> {
        (0..MERGES_MAX).find_map(|level| {
            let of_level: Vec<&Candidate> = objects.iter().copied().filter(|object| object.level == level).collect();
            let most = if level == 0 { self.level_0_objects } else { self.level_0_objects.min(HIGHER_OBJECTS) };
            let is_aged = level == 0
                && of_level.len() >= self.level_0_objects.min(AGED_OBJECTS)
                && of_level.iter().any(|object| object.listed_at.saturating_add(AGE_MAX_MS) <= now);
            self.take(&of_level, most, self.full_bytes())
                .filter(|taken| taken.is_full || is_aged)
                .map(|taken| taken.job)
        })
    }

    /// The next job of a day that is over, if merging all that stayed small at least halves the number of objects.
    fn last_pass(&self, mut objects: Vec<&Candidate>) -> Option<Job> {
        let mut bytes: u64 = objects.iter().map(|object| object.size_bytes).sum();
        // One that is larger than all others together would be written again for little, each time that a late message
        // comes.
        while let Some(at) = objects.iter().position(|object| object.size_bytes > bytes / 2 + 1) {
            bytes -= objects.remove(at).size_bytes;
        }
        let after = bytes.div_ceil(self.full_bytes().max(1)).max(1);
        if (objects.len() as u64) < 2 * after {
            return None;
        }
        self.take(&objects, usize::MAX, bytes.div_ceil(after)).map(|taken| taken.job)
    }

    /// The oldest of these objects that fit in one job of about `enough` bytes; `None` when no two of them do.
    fn take(&self, objects: &[&Candidate], most: usize, enough: u64) -> Option<Taken> {
        (0..objects.len()).find_map(|first| {
            let taken = self.take_from(&objects[first..], most, enough);
            (taken.job.inputs.len() > 1).then_some(taken)
        })
    }

    fn take_from(&self, objects: &[&Candidate], most: usize, enough: u64) -> Taken {
        let mut job = Job { inputs: Vec::new(), bytes: 0, level: 0 };
        let (mut memory, mut is_full) = (0, false);
        for object in objects {
            memory += self.memory_of(object);
            if memory > self.memory_bytes && !job.inputs.is_empty() {
                is_full = true;
                break;
            }
            job.inputs.push(object.file_id);
            job.bytes += object.size_bytes;
            job.level = job.level.max(object.level + 1);
            if job.inputs.len() >= most || job.bytes >= enough {
                is_full = true;
                break;
            }
        }
        Taken { job, is_full }
    }

    /// Its rows in the output, and once more while they are sorted.
    fn memory_of(&self, object: &Candidate) -> u64 {
        let is_sorted = object.level > 0 && object.schema_version == self.schema_version;
        if is_sorted { object.size_bytes } else { object.size_bytes.saturating_mul(2) }
    }
}

/// Objects that fit in one job.
struct Taken {
    job: Job,
    /// True when no more objects would fit, or should be waited for.
    is_full: bool,
}

#[cfg(test)]
mod tests;

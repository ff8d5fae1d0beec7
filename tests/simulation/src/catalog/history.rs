//! Folding: neighbouring commits become one row.
//!
//! Owns: the choice of commits that fold into a run. Does not own: lake snapshots (`lake`), judging a request by a run
//! (`judge`).

use std::time::Duration;

use ::catalog::{CommitRecord, Folded, SegmentKind};
use common::TopicPartition;

use super::event::Change;
use super::limits;
use super::state::CatalogState;

/// The cover of a commit, which neighbours must share: the live segments over it, and whether retention passed it.
type Cover = ([Option<String>; 2], bool);

impl CatalogState {
    pub(crate) fn fold_history(&mut self, hold: Duration) -> Folded {
        let oldest = self.now_ms - limits::duration_ms(hold);
        let partitions: Vec<TopicPartition> = self.commits.keys().cloned().collect();
        let commits = partitions.iter().map(|of| self.fold_partition(of, oldest)).sum();
        let folded = Folded { commits, snapshots: self.thin_out_snapshots(hold) };
        if folded != Folded::default() {
            self.changed(Change::HistoryFolded(folded));
        }
        folded
    }

    /// Folds the partition's commits; returns the number of rows folded away.
    fn fold_partition(&mut self, of: &TopicPartition, oldest: i64) -> u64 {
        let records = self.commits.remove(of).unwrap_or_default();
        let newest = records.iter().map(|record| record.commit_no).max();
        let mut kept: Vec<CommitRecord> = Vec::with_capacity(records.len());
        let mut folded = 0;
        for record in records {
            let is_old = record.committed_at < oldest && Some(record.commit_no) != newest;
            let cover = self.cover(of, &record);
            match kept.last_mut() {
                Some(run)
                    if is_old
                        && run.committed_at < oldest
                        && are_neighbours(run, &record)
                        && self.cover(of, run) == cover =>
                {
                    let counts = self.guards.fold_sums;
                    fold(run, record, counts);
                    folded += 1;
                }
                _ => kept.push(record),
            }
        }
        self.commits.insert(of.clone(), kept);
        folded
    }

    fn cover(&self, of: &TopicPartition, record: &CommitRecord) -> Cover {
        let expired = self.expirations.get(of).and_then(|of| of.get(&record.incarnation.0)).copied();
        let is_expired = record.range.end() < expired.unwrap_or_default();
        if !self.guards.fold_within_segments {
            return ([None, None], false);
        }
        (SegmentKind::ALL.map(|kind| self.covering(of, record, kind)), is_expired)
    }

    /// The live segment that covers the commit: the last that does not begin behind it, if it reaches as far. Segments
    /// overlap only where one was imported.
    fn covering(&self, of: &TopicPartition, record: &CommitRecord, kind: SegmentKind) -> Option<String> {
        let is_before = |segment: &&::catalog::SegmentInfo| {
            (segment.kind, segment.incarnation) == (kind, record.incarnation)
                && segment.range.base() <= record.range.base()
        };
        let last = self.segments_of(of).iter().filter(is_before).max_by_key(|segment| segment.range.base())?;
        last.range.encloses(record.range).then(|| last.id.clone())
    }
}

fn are_neighbours(run: &CommitRecord, record: &CommitRecord) -> bool {
    run.incarnation == record.incarnation
        && run.commit_no + 1 == record.first_commit_no
        && run.range.joined(record.range).is_some()
}

/// Adds the record to the run, whose other values become those of its last commit.
fn fold(run: &mut CommitRecord, record: CommitRecord, counts: bool) {
    let sum = |one: Option<u64>, other: Option<u64>| one.zip(other).map(|(one, other)| one + other);
    *run = CommitRecord {
        first_commit_no: run.first_commit_no,
        range: run.range.joined(record.range).expect("they are neighbours"),
        message_count: run.message_count + record.message_count,
        record_count: if counts { sum(run.record_count, record.record_count) } else { record.record_count },
        quarantined_count: sum(run.quarantined_count, record.quarantined_count),
        data_segment_id: None,
        quarantine_segment_id: None,
        ..record
    };
}

//! Folding: many rows of old history become fewer.
//!
//! Owns: the transactions that fold commits into runs, and the statement that thins snapshots out. Does not own: the
//! choice of commits for a run (`fold_plan`).

use std::time::Duration;

use common::TopicPartition;

use super::fold_plan::{Cover, Run, runs};
use super::partition_row::lock_incarnation;
use super::{input, rows};
use crate::database::{Door, Row, Session, sql, values};
use crate::error::Result;
use crate::model::{CommitRecord, Folded};

/// Commits that one transaction reads.
const COMMITS_AT_ONCE: u32 = 2_000;
/// Time for which each snapshot is kept, unless the hold is shorter.
const MINUTE_MS: i64 = 60_000;

/// See [`JanitorStore::fold_history`](crate::JanitorStore::fold_history).
pub(super) async fn fold(door: &Door, hold: Duration) -> Result<Folded> {
    let hold_ms = input::lease_ms(hold);
    let select = sql!("SELECT topic, partition_id FROM partitions WHERE commit_no > 1 ORDER BY topic, partition_id");
    let partitions = door.fetch(&select, values![]).await?;
    let mut folded = Folded::default();
    for mut row in partitions {
        folded.commits += fold_partition(door, &row.partition()?, hold_ms).await?;
    }
    folded.snapshots = thin_out(door, hold_ms).await?;
    Ok(folded)
}

/// Folds all commits of a partition that are old enough, a limited number at a time.
async fn fold_partition(door: &Door, partition: &TopicPartition, hold_ms: i64) -> Result<u64> {
    let (mut folded, mut from) = (0, 0);
    loop {
        let place = Place { partition, from, hold_ms };
        // Most often there is nothing to fold: a reading transaction finds that out without waiting among the writers.
        let seen = door.read(|session| Box::pin(place.look(session))).await?;
        if !seen.runs.is_empty() {
            folded += door.write(|session| Box::pin(place.fold(session))).await?;
        }
        let Some(next) = seen.next else { return Ok(folded) };
        from = next;
    }
}

/// Some commits of a partition: from one number on.
#[derive(Clone, Copy)]
struct Place<'a> {
    partition: &'a TopicPartition,
    from: i64,
    hold_ms: i64,
}

/// The runs to be folded.
struct Seen {
    runs: Vec<Run>,
    /// The next look begins with the last of these commits, which may be part of a longer run.
    next: Option<i64>,
}

impl Place<'_> {
    /// Looks for runs, without changes.
    async fn look(&self, session: &mut dyn Session) -> Result<Seen> {
        // The newest commit is never among them.
        let select = sql!(
            "SELECT " commit_columns " FROM commits
             WHERE topic = $1 AND partition_id = $2 AND commit_no >= $3 AND committed_at < " now_ms " - $4
               AND commit_no < (SELECT p.commit_no FROM partitions AS p WHERE p.topic = $1 AND p.partition_id = $2)
             ORDER BY commit_no LIMIT $5"
        );
        let (topic, id) = (&self.partition.topic, self.partition.partition_id);
        let values = values![topic, id, self.from, self.hold_ms, COMMITS_AT_ONCE];
        let commits: Vec<CommitRecord> = rows::all(session.fetch(&select, values).await?)?;
        let (Some(first), Some(last)) = (commits.first(), commits.last()) else {
            return Ok(Seen { runs: Vec::new(), next: None });
        };
        let is_full = commits.len() == COMMITS_AT_ONCE as usize;
        let next = is_full.then_some(last.commit_no.cast_signed());
        let cover = self.cover(session, first, last).await?;
        Ok(Seen { runs: runs(&commits, &cover), next })
    }

    /// The cover of the commits: live segments and expirations of their incarnations.
    async fn cover(&self, session: &mut dyn Session, first: &CommitRecord, last: &CommitRecord) -> Result<Cover> {
        let segments = sql!(
            "SELECT incarnation, kind, base_offset, end_offset FROM segments
             WHERE topic = $1 AND partition_id = $2 AND incarnation >= $3 AND incarnation <= $4
               AND (incarnation > $3 OR end_offset >= $5) AND (incarnation < $4 OR base_offset <= $6)"
        );
        let expirations =
            sql!("SELECT incarnation, before_offset FROM expirations WHERE topic = $1 AND partition_id = $2");
        let (topic, id) = (&self.partition.topic, self.partition.partition_id);
        let (base, end) = (first.range.base().cast_signed(), last.range.end().cast_signed());
        let values = values![topic, id, first.incarnation, last.incarnation, base, end];
        let segment = |mut row: Row| Ok((row.incarnation()?, row.word("kind")?, row.range()?));
        let segments = session.fetch(&segments, values).await?.into_iter().map(segment).collect::<Result<_>>()?;
        let expirations = rows::all(session.fetch(&expirations, values![topic, id]).await?)?;
        Ok(Cover::new(segments, expirations))
    }

    /// Looks again under the partition's lock, which excludes commits and retention, and folds the runs.
    async fn fold(&self, session: &mut dyn Session) -> Result<u64> {
        let delete =
            sql!("DELETE FROM commits WHERE topic = $1 AND partition_id = $2 AND commit_no >= $3 AND commit_no < $4");
        let update = sql!(
            "UPDATE commits SET first_commit_no = $4, base_offset = $5, message_count = $6, record_count = $7,
                    quarantined_count = $8, data_segment_id = NULL, quarantine_segment_id = NULL
             WHERE topic = $1 AND partition_id = $2 AND commit_no = $3"
        );
        if lock_incarnation(session, self.partition).await?.is_none() {
            return Ok(0);
        }
        let (topic, id) = (&self.partition.topic, self.partition.partition_id);
        let mut folded = 0;
        for run in self.look(session).await?.runs {
            let (first, last) = (run.first_commit_no.cast_signed(), run.commit_no.cast_signed());
            folded += session.execute(&delete, values![topic, id, first, last]).await?;
            let (base, messages) = (run.base_offset.cast_signed(), run.message_count.cast_signed());
            let records = run.record_count.map(u64::cast_signed);
            let quarantined = run.quarantined_count.map(u64::cast_signed);
            let values = values![topic, id, last, first, base, messages, records, quarantined];
            let updated = session.execute(&update, values).await?;
            assert!(updated == 1, "{updated} rows of {} are commit {last}", self.partition);
        }
        Ok(folded)
    }
}

/// Deletes the snapshots that [`JanitorStore::fold_history`](crate::JanitorStore::fold_history) does not keep.
async fn thin_out(door: &Door, hold_ms: i64) -> Result<u64> {
    // The newest snapshot that is older than the hold is the state with which the hold began: it stays, too.
    let delete = sql!(
        "WITH first AS (
             SELECT COALESCE(max(snapshot_id), -1) AS id FROM lake_snapshots WHERE time_us / 1000 < " now_ms " - $1
         )
         DELETE FROM lake_snapshots
         WHERE snapshot_id < (SELECT snapshot_id FROM lake_head) AND time_us < " now_us " - $2
           AND snapshot_id <> (SELECT id FROM first)
           AND (snapshot_id < (SELECT id FROM first)
                OR snapshot_id NOT IN (SELECT max(snapshot_id) FROM lake_snapshots GROUP BY time_us / 60000000))"
    );
    door.execute(&delete, values![hold_ms, hold_ms.min(MINUTE_MS) * 1_000]).await
}

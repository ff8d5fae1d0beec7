//! Checks of folded history.
//!
//! Owns: the chain of commits, alone or in runs, and their agreement with live segments and expirations.
//! Does not own: commits as they are made (`commits`).

use std::collections::BTreeMap;

use catalog::{CommitRecord, SegmentKind};
use common::TopicPartition;

use super::{Violation, broken};
use crate::catalog::CatalogState;

/// Runs by incarnation and base.
type Runs<'a> = BTreeMap<(u32, u64), &'a CommitRecord>;

/// 18.
pub(super) fn runs_agree(state: &CatalogState) -> Result<(), Violation> {
    for (partition, commits) in &state.commits {
        numbers_chain(partition, commits)?;
        let runs: Runs<'_> = commits.iter().map(|run| ((run.incarnation.0, run.range.base()), run)).collect();
        for kind in SegmentKind::ALL {
            kind_agrees(state, partition, &runs, kind)?;
        }
    }
    Ok(())
}

fn numbers_chain(partition: &TopicPartition, commits: &[CommitRecord]) -> Result<(), Violation> {
    let mut next = 1;
    for run in commits {
        if run.first_commit_no != next || run.commit_no < run.first_commit_no {
            return broken(18, format!("{partition}: a run begins with commit {}, not {next}", run.first_commit_no));
        }
        next = run.commit_no + 1;
    }
    Ok(())
}

fn kind_agrees(
    state: &CatalogState,
    partition: &TopicPartition,
    runs: &Runs<'_>,
    kind: SegmentKind,
) -> Result<(), Violation> {
    let count = |run: &CommitRecord| match kind {
        SegmentKind::Data => run.record_count.unwrap_or_default(),
        SegmentKind::Quarantine => run.quarantined_count.unwrap_or_default(),
    };
    let mut uncovered = runs.clone();
    for segment in state.segments_of(partition).iter().filter(|segment| segment.kind == kind) {
        let incarnation = segment.incarnation.0;
        let of = runs.range((incarnation, segment.range.base())..=(incarnation, segment.range.end()));
        let of: Vec<&CommitRecord> = of.map(|(_, run)| *run).collect();
        let begins = of.first().map(|run| run.range.base()) == Some(segment.range.base());
        let ends = of.last().map(|run| run.range.end()) == Some(segment.range.end());
        if !begins || !ends {
            return broken(18, format!("{partition}: no run begins and ends where segment {} does", segment.id));
        }
        let counted: u64 = of.iter().map(|run| count(run)).sum();
        if counted != segment.record_count {
            let rows = segment.record_count;
            return broken(18, format!("{partition}: segment {} has {rows} rows, its runs {counted}", segment.id));
        }
        for run in of {
            uncovered.remove(&(incarnation, run.range.base()));
        }
    }
    for run in uncovered.into_values().filter(|run| count(run) > 0) {
        let expired = state.expirations.get(partition).and_then(|of| of.get(&run.incarnation.0));
        if expired.is_none_or(|before| run.range.end() >= *before) {
            let (first, last, rows) = (run.first_commit_no, run.commit_no, count(run));
            return broken(18, format!("{partition}: {rows} rows of commits {first} to {last} are in no live segment"));
        }
    }
    Ok(())
}

//! Searches for the end of the history that the queue shares with the commits.
//!
//! Owns: the search over commits and runs of them, and the comparison of the rows of one. Does not own: the choice of
//! the start (`resume`).
//!
//! In one incarnation the commits that still match precede the others. After deletions of single messages this may not
//! hold; then less is proven than possible, never more: each match is a message compared by hash.

use std::collections::BTreeMap;

use catalog::CommitRecord;
use common::{Anchor, Incarnation};

use super::History;
use crate::error::Result;
use crate::operations::audit::committed_messages;

/// Most messages of one read, which includes their payloads.
const PAGE_MESSAGES: usize = 256;

/// The shared history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Proven {
    /// The last wholly shared commit.
    pub(super) commit: Option<CommitRecord>,
    /// Every message held below this offset is the committed one.
    pub(super) end: Option<u64>,
    /// The last of these messages.
    pub(super) anchor: Option<Anchor>,
}

/// Searches all incarnations for the longest shared history: a restored copy of the queue may be older than the last
/// resume.
pub(super) async fn proven(history: &History<'_>, commits: &[CommitRecord], notes: &mut Vec<String>) -> Result<Proven> {
    let mut by_incarnation: BTreeMap<Incarnation, Vec<&CommitRecord>> = BTreeMap::new();
    for commit in commits {
        by_incarnation.entry(commit.incarnation).or_default().push(commit);
    }
    let mut best = Proven::default();
    for commits in by_incarnation.values().rev() {
        let found = in_incarnation(history, commits, notes).await?;
        if found.end > best.end {
            best = found;
        }
    }
    Ok(best)
}

async fn in_incarnation(history: &History<'_>, commits: &[&CommitRecord], notes: &mut Vec<String>) -> Result<Proven> {
    let first = history.bounds.first_offset;
    let discarded = commits.partition_point(|commit| commit.range.end() < first);
    let held = &commits[discarded..];
    let mut is_same = async |index: usize| -> Result<bool> {
        let anchor: Anchor = held[index].anchor;
        Ok(history.anchor_at(anchor.offset).await? == Some(anchor))
    };
    let last = last_match(held.len(), &mut is_same).await?;
    let shared = last.map(|index| held[index]);
    let mut proven = Proven {
        commit: shared.cloned(),
        end: shared.map(|commit| commit.range.next()),
        anchor: shared.map(|commit| commit.anchor),
    };
    let next = last.map_or(0, |index| index + 1);
    if let Some(commit) = held.get(next)
        && let Some(anchor) = shared_rows(history, commit, notes).await?
    {
        (proven.end, proven.anchor) = (Some(anchor.offset + 1), Some(anchor));
    }
    Ok(proven)
}

/// The last matching one of `count` items, of which the matching ones come first. The search goes backwards from the
/// end in growing steps, since most losses are small, and then between the last two probes.
pub(super) async fn last_match<E>(
    count: usize,
    matches: &mut impl AsyncFnMut(usize) -> Result<bool, E>,
) -> Result<Option<usize>, E> {
    let (mut after, mut step) = (count, 1);
    let mut found = loop {
        if after == 0 {
            return Ok(None);
        }
        let probe = after.saturating_sub(step);
        if matches(probe).await? {
            break probe;
        }
        (after, step) = (probe, step * 2);
    };
    while after - found > 1 {
        let middle = found + (after - found) / 2;
        if matches(middle).await? {
            found = middle;
        } else {
            after = middle;
        }
    }
    Ok(Some(found))
}

/// The last of the messages held from the start of `commit` on, before the first that does not match its rows.
async fn shared_rows(history: &History<'_>, commit: &CommitRecord, notes: &mut Vec<String>) -> Result<Option<Anchor>> {
    let from = commit.range.base().max(history.bounds.first_offset);
    let to = history.bounds.next_offset.min(commit.range.next());
    if from >= to {
        return Ok(None);
    }
    let committed = match committed_messages(history.storage, history.partition, commit, history.segments).await {
        Ok(messages) => messages,
        Err(reason) => {
            notes.push(format!("the rows of offsets {from} to {} could not be compared: {reason}", commit.range.end()));
            return Ok(None);
        }
    };
    let mut last = None;
    let mut position = from;
    let begin = committed.partition_point(|(offset, _)| *offset < from);
    for page in committed[begin..].chunks(PAGE_MESSAGES) {
        let end = page.last().map_or(to, |(offset, _)| offset + 1).min(to);
        if position >= end {
            break;
        }
        for message in history.queue.read(history.partition, position, end).await? {
            let is_same = page.binary_search(&(message.offset, message.timestamp_us)).is_ok();
            if !is_same {
                return Ok(last);
            }
            last = Some(Anchor::of(&message));
        }
        position = end;
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_last_match_is_found_in_few_steps(count in 0..5_000_usize, matching in 0..6_000_usize) {
            let matching = matching.min(count);
            let mut asked = 0_usize;
            let mut matches = async |index: usize| -> Result<bool, Infallible> {
                asked += 1;
                Ok(index < matching)
            };
            let found = futures::executor::block_on(last_match(count, &mut matches));
            prop_assert_eq!(found, Ok(matching.checked_sub(1)));
            prop_assert!(asked <= 30, "{} questions", asked);
        }
    }
}

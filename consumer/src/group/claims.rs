//! The member's look at its group: what it holds, should hold, and gives up.
//!
//! Owns: keeping the lease, claims and releases, and when a partition is given up. Does not own: the shares (`shares`).

use std::time::Duration;

use catalog::{Claim, Claimed, GroupView};
use common::TopicPartition;
use tokio::time::Instant;

use super::held::Held;
use super::{GroupConsumer, GroupError};
use crate::fetch::{Seen, Start};
use crate::shares::shares;

/// Partitions that are claimed in one transaction.
pub(crate) const CLAIMS_MAX: usize = 1_000;

impl GroupConsumer {
    /// Renews the lease, drops what others took, gives up what others are to have, and claims what is free.
    pub(super) async fn look(&mut self) -> Result<(), GroupError> {
        let view = self.fetcher.catalog.join_group(&self.membership).await?;
        self.next_look = Instant::now() + self.options.look_every;
        self.keep_claimed(&view);
        let mine = shares(&view).remove(&self.membership.member).unwrap_or_default();
        let now = Instant::now();
        for (of, held) in &mut self.held {
            held.leaving_since = match mine.contains(of) {
                true => None,
                false => held.leaving_since.or(Some(now)),
            };
        }
        self.give_up().await?;
        let is_free = |of: &TopicPartition| {
            let claim = view.claims.iter().find(|claim| claim.partition == *of);
            // One of its own that it does not know was made by a call whose answer was lost.
            claim.is_none_or(|claim| claim.member == self.membership.member)
        };
        let wanted = mine.into_iter().filter(|of| !self.held.contains_key(of) && is_free(of));
        let wanted: Vec<TopicPartition> = wanted.collect();
        let mut claimed = Vec::new();
        for some in wanted.chunks(CLAIMS_MAX) {
            let (group_id, member) = (&self.membership.group_id, self.membership.member);
            claimed.extend(self.fetcher.catalog.claim(group_id, member, some).await?);
        }
        self.begin(claimed).await
    }

    /// Begins to read partitions where the group left off.
    async fn begin(&mut self, claimed: Vec<Claimed>) -> Result<(), GroupError> {
        let notes = match self.fetcher.has_tail() && claimed.iter().any(|claimed| claimed.committed.is_some()) {
            true => self.fetcher.catalog.get_consumer_offsets(&self.membership.group_id).await?,
            false => Vec::new(),
        };
        for claimed in claimed {
            let of = claimed.claim.partition.clone();
            self.hold(claimed);
            let row = notes.iter().find(|row| row.topic == of.topic && row.partition_id == of.partition_id);
            let held = self.held.get_mut(&of).expect("it was added above");
            held.take_note(row.and_then(|row| row.metadata.as_deref()));
        }
        Ok(())
    }

    fn hold(&mut self, claimed: Claimed) {
        let Claimed { claim, committed } = claimed;
        let of = claim.partition.clone();
        let held = Held {
            claim,
            next: committed.map_or(self.options.start, Start::Position),
            given: committed,
            committed,
            replaces: None,
            leaving_since: None,
            seen: Seen::default(),
        };
        self.held.insert(of.clone(), held);
        self.turns.push_back(of.clone());
        self.ready.insert(of);
    }

    /// Drops partitions whose claims are gone.
    fn keep_claimed(&mut self, view: &GroupView) {
        let is_there = |claim: &Claim| view.claims.iter().any(|found| found == claim);
        let lost: Vec<TopicPartition> =
            self.held.iter().filter(|(_, held)| !is_there(&held.claim)).map(|(of, _)| of.clone()).collect();
        for of in lost {
            let group = &self.membership.group_id;
            if view.claims.iter().any(|claim| claim.partition == of) {
                tracing::warn!(group, partition = %of, "the group gave the partition to another member");
            } else {
                let reason = "the topic was deleted, or this member was silent for longer than its lease";
                tracing::warn!(group, partition = %of, reason, "the partition is no longer held");
            }
            self.lose(&of);
        }
    }

    /// Gives up partitions that others are to have, and of which everything is committed, or for long enough nothing.
    async fn give_up(&mut self) -> Result<(), GroupError> {
        let patience = self.membership.lease / 2;
        let is_done = |held: &Held| {
            held.leaving_since.is_some_and(|since| held.uncommitted().is_none() || is_over(since, patience))
        };
        let done: Vec<Claim> = self.held.values().filter(|held| is_done(held)).map(|held| held.claim.clone()).collect();
        if !done.is_empty() {
            self.fetcher.catalog.release_claims(&self.membership.group_id, &done).await?;
            done.iter().for_each(|claim| self.lose(&claim.partition));
        }
        Ok(())
    }

    pub(super) fn lose(&mut self, of: &TopicPartition) {
        if self.held.remove(of).is_some_and(|held| held.uncommitted().is_some()) {
            self.lost.insert(of.clone());
        }
        self.ready.remove(of);
        self.turns.retain(|turn| turn != of);
    }

    pub(super) fn lose_all(&mut self) {
        let held = std::mem::take(&mut self.held).into_iter();
        self.lost.extend(held.filter(|(_, held)| held.uncommitted().is_some()).map(|(of, _)| of));
        self.ready.clear();
        self.turns.clear();
        self.next_look = Instant::now();
    }
}

fn is_over(since: Instant, patience: Duration) -> bool {
    since.elapsed() >= patience
}

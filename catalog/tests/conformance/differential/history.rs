//! Random histories of calls, most of them sensible, some of them late, repeated or wrong.
//!
//! Owns: the choice of the next call. Does not own: making it.

mod objects;
mod published;

use std::sync::Arc;

use catalog::{
    Agent, CommitRequest, ConsumerOffset, ImportedSegment, Ingester, MetadataStore, Ownership, Publication,
    Replacement, Replay, ResumePoint, Scope, SegmentKind,
};
use common::{Epoch, Incarnation, OwnerId, TopicPartition};
use uuid::Uuid;

use super::super::fixture::{
    LONG_LEASE, contact, gap_request, imported, intents, name, new_segment, partition, range, request, topic_config,
};
use super::step::Step;

/// The earlier calls that later ones refer to.
pub(super) struct History {
    pub(super) random: fastrand::Rng,
    owners: Vec<OwnerId>,
    pub(super) ownerships: Vec<Ownership>,
    pub(super) requests: Vec<CommitRequest>,
    replacements: Vec<Replacement>,
    /// A replacement with a new intent; the next call usually sends it.
    replaced_next: Option<Replacement>,
    /// A publication with new intents; the next call usually sends it.
    published_next: Option<Publication>,
    publications: Vec<Publication>,
    /// Commits with new intents; the next call usually sends them.
    intended: Vec<CommitRequest>,
    /// Commits that share an object with a new intent; the next call usually sends them.
    pub(super) together_next: Option<Vec<CommitRequest>>,
    steps: usize,
}

impl History {
    pub(super) fn new(seed: u64) -> Self {
        let owners = (0..3).map(|_| OwnerId(Uuid::now_v7())).collect();
        let random = fastrand::Rng::with_seed(seed);
        Self {
            random,
            owners,
            ownerships: vec![],
            requests: vec![],
            replacements: vec![],
            replaced_next: None,
            published_next: None,
            publications: vec![],
            intended: vec![],
            together_next: None,
            steps: 0,
        }
    }

    /// Every partition that may exist.
    pub(super) fn partitions(&self) -> [TopicPartition; 4] {
        [partition("a", 0), partition("a", 1), partition("b", 0), partition("b", 1)]
    }

    /// The next call. `store` is asked for watermarks only.
    pub(super) async fn next(&mut self, store: &dyn MetadataStore) -> Step {
        self.steps += 1;
        match self.steps {
            1 => return Step::CreateTopic(topic_config("a", 2)),
            2 => return Step::CreateTopic(topic_config("b", 2)),
            3..=5 => return Step::Heartbeat(self.agent(self.steps - 3)),
            _ => {}
        }
        if !self.intended.is_empty() && self.chance(80) {
            return Step::Commit(std::mem::take(&mut self.intended));
        }
        if let Some(replacement) = self.replaced_next.take()
            && self.chance(85)
        {
            return Step::Replace(replacement);
        }
        if let Some(publication) = self.published_next.take()
            && self.chance(85)
        {
            return Step::Publish(Box::new(publication));
        }
        if self.chance(8) {
            return self.on_published(store).await;
        }
        if let Some(requests) = self.together_next.take()
            && self.chance(85)
        {
            return Step::CommitTogether(requests);
        }
        if self.chance(8)
            && let Some(step) = self.together(store).await
        {
            return step;
        }
        if self.chance(22) {
            return self.on_objects(store).await;
        }
        let roll = self.random.u32(0..100);
        match roll {
            0..22 => self.commit(store).await,
            22..40 => self.intend(store).await,
            40..50 => self.acquire(),
            50..60 => self.old_request().map_or(Step::Sweep(self.place()), Step::Resolve),
            60..64 => self.old_request().map_or(Step::Sweep(self.place()), |old| Step::Abandon(intents(&old))),
            64..70 => self.on_ownership(),
            _ => self.on_place(),
        }
    }

    /// Adds the new ownerships after a takeover; the older ones stay.
    pub(super) async fn heard(&mut self, step: &Step, store: &dyn MetadataStore) {
        let Step::Acquire(owner, wanted) = step else { return };
        for of in wanted {
            let Some(now) = store.get_partition(of).await.expect("read") else { continue };
            if now.owner == Some(*owner) {
                self.ownerships.push(Ownership {
                    partition: of.clone(),
                    owner: *owner,
                    epoch: now.epoch,
                    incarnation: now.incarnation,
                    high_watermark: now.high_watermark,
                    anchor: now.anchor,
                    takeovers: 0,
                    suspect: None,
                });
            }
        }
    }

    fn agent(&self, index: usize) -> Agent {
        let scope =
            [Scope::All, Scope::Nothing, Scope::Only(vec![name("a")])].into_iter().nth(index).unwrap_or_default();
        Agent { owner: self.owners[index], name: format!("host-{index}\0"), scope, contact: contact(index) }
    }

    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.random.u32(0..100) < percent
    }

    fn place(&mut self) -> TopicPartition {
        let places = self.partitions();
        if self.chance(3) { partition("a", 2) } else { self.random.choice(places).expect("some") }
    }

    /// An ownership, mostly a recent one.
    pub(super) fn ownership(&mut self) -> Option<Ownership> {
        let back = if self.chance(85) { self.random.usize(0..3) } else { self.random.usize(0..40) };
        self.ownerships.iter().rev().nth(back).or(self.ownerships.last()).cloned()
    }

    fn old_request(&mut self) -> Option<CommitRequest> {
        let back = self.random.usize(0..8);
        self.requests.iter().rev().nth(back).or(self.requests.last()).cloned()
    }

    fn acquire(&mut self) -> Step {
        let owner = self.random.choice(self.owners.clone()).expect("some");
        if self.chance(10) {
            let stranger = OwnerId(Uuid::now_v7());
            return Step::Acquire(stranger, vec![self.place()]);
        }
        let count = self.random.usize(1..4);
        Step::Acquire(owner, (0..count).map(|_| self.place()).collect())
    }

    /// A new request of some ownership, at the watermark or near it.
    async fn new_request(&mut self, store: &dyn MetadataStore) -> Option<CommitRequest> {
        let held = self.ownership()?;
        let now = store.get_partition(&held.partition).await.expect("read");
        let watermark = now.map_or(0, |now| now.high_watermark);
        let base = if self.chance(85) { watermark } else { self.random.u64(0..watermark + 3) };
        let end = base + self.random.u64(0..5);
        let mut new = if self.chance(20) { gap_request(&held, base, end) } else { request(&held, base, end) };
        if self.chance(20) {
            new.segments.push(new_segment(&held, SegmentKind::Quarantine, base, end));
        }
        match self.random.u32(0..60) {
            0 => new.incarnation = Incarnation(7),
            1 => new.epoch = Epoch(new.epoch.0 + 1),
            2 => new.owner = OwnerId(Uuid::now_v7()),
            3 => new.range = range(base, ((u64::MAX >> self.random.u32(0..2)) - 1).max(base)),
            4 => new.segments.extend(new.segments.clone()),
            _ => {}
        }
        if self.chance(30) {
            // Later than the clock of any backend: retention by age leaves it.
            new.segments.iter_mut().for_each(|segment| segment.max_timestamp_us = 4_000_000_000_000_000);
        }
        // Now and then with an object of an earlier request.
        if let Some(old) = self.old_request()
            && self.chance(8)
        {
            new.segments = old.segments;
        }
        self.requests.push(new.clone());
        Some(new)
    }

    async fn intend(&mut self, store: &dyn MetadataStore) -> Step {
        self.intended.clear();
        for _ in 0..self.random.usize(1..4) {
            let new = self.new_request(store).await;
            self.intended.extend(new);
        }
        Step::Intend(self.intended.iter().flat_map(intents).collect())
    }

    async fn commit(&mut self, store: &dyn MetadataStore) -> Step {
        let mut group = Vec::new();
        for _ in 0..self.random.usize(1..4) {
            group.extend(if self.chance(75) { self.old_request() } else { self.new_request(store).await });
        }
        Step::Commit(group)
    }

    fn on_ownership(&mut self) -> Step {
        let Some(held) = self.ownership() else { return self.acquire() };
        match self.random.u32(0..10) {
            0..4 => Step::Release(vec![held, self.ownership().expect("there is one")]),
            4 | 5 => Step::Halt(held),
            6 | 7 => Step::MarkSuspect(held, self.random.u64(0..3)),
            8 => Step::ClearSuspect(held),
            _ => Step::RemoveAgent(held.owner),
        }
    }

    /// An id may be that of a writer: the two roles do not touch each other.
    fn on_ingesters(&mut self) -> Step {
        let index = self.random.usize(0..3);
        let id = self.owners[index];
        match self.random.u32(0..4) {
            0 => Step::Withdraw(id),
            _ => Step::Announce(Ingester {
                id,
                name: format!("host-{index}\0"),
                contact: contact(index),
                lease: LONG_LEASE,
            }),
        }
    }

    fn on_place(&mut self) -> Step {
        let (of, offset) = (self.place(), self.random.u64(0..30));
        match self.random.u32(0..24) {
            0 | 1 => Step::Heartbeat(self.agent((offset % 3) as usize)),
            2 => self.on_ingesters(),
            3..8 => {
                let at = ResumePoint { high_watermark: offset, anchor: None, reason: "again\0".to_owned() };
                Step::Resume(of, Incarnation((offset % 3) as u32), at)
            }
            8 | 9 => Step::MoveWatermark(of, offset),
            10 | 11 => Step::AddSegment(self.import(&of, offset)),
            12..14 => Step::FindSegment(of, offset),
            14..16 => Step::DeleteBefore(of, offset),
            16..18 => Step::Sweep(of),
            18 | 19 => Step::CommitOffset(ConsumerOffset {
                group_id: "g".to_owned(),
                topic: of.topic,
                partition_id: of.partition_id,
                incarnation: Incarnation((offset % 2) as u32),
                committed_offset: offset,
                metadata: None,
            }),
            20 | 21 => Step::MarkReplayed(Replay {
                partition: of,
                incarnation: Incarnation(0),
                offset: offset % 3,
                row: 0,
                new_partition_id: 0,
                new_offset: offset,
                replayed_at: 0,
            }),
            22 => Step::DeleteTopic(of.topic),
            _ => Step::CreateTopic(topic_config(of.topic.as_str(), 2)),
        }
    }

    /// An imported segment; sometimes with the object of a request, whose commit it then prevents.
    fn import(&mut self, of: &TopicPartition, base: u64) -> ImportedSegment {
        let mut import = imported(of, base, base + 3);
        if let Some(old) = self.old_request().and_then(|mut old| old.segments.pop())
            && self.chance(40)
        {
            Arc::make_mut(&mut import.segment.object).key = old.object.key.clone();
        }
        import
    }
}

//! A member of a consumer group: it reads the partitions of its share, and commits how far it came.
//!
//! Owns: the member's claims and places, and when it looks at its group. Does not own: the shares (`shares`), reading
//! (`fetch`), the rows of the group (`catalog`).
//!
//! A member looks at its group while it is polled: a process that does not poll for a whole lease counts as dead, and others
//! read its partitions from their committed offsets on. A partition that another member is to have is not read any more, and
//! given up as soon as everything that was read of it is committed.

mod builder;
mod claims;
mod error;
mod held;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use catalog::{CatalogError, ClaimedOffset, Membership, Position};
use common::{MemberId, TopicPartition};
use tokio::time::Instant;

pub use self::builder::GroupBuilder;
pub(crate) use self::builder::check;
pub(crate) use self::claims::CLAIMS_MAX;
pub use self::error::GroupError;
use self::held::Held;
use crate::error::FetchError;
use crate::fetch::{FetchRequest, Fetcher, Limits, OutOfRange, Skipped, Start};
use crate::wait::deadline_of;

/// Records of one partition, in order.
#[derive(Clone, Debug)]
pub struct Records {
    /// The partition.
    pub partition: TopicPartition,
    /// The columns of the topic's table.
    pub schema: SchemaRef,
    /// The records.
    pub batches: Vec<RecordBatch>,
    /// Their number.
    pub records: usize,
    /// The place that reading began at.
    pub first: Position,
    /// The place behind them, which a commit records.
    pub next: Position,
    /// Offsets in between that have no records.
    pub skipped: Vec<Skipped>,
}

/// A member of a group. It is to be polled; dropping it without [`GroupConsumer::close`] leaves its partitions to the others
/// once its lease is over.
#[derive(Debug)]
pub struct GroupConsumer {
    fetcher: Fetcher,
    membership: Membership,
    options: Options,
    held: BTreeMap<TopicPartition, Held>,
    /// Partitions in the order in which they are asked for records.
    turns: VecDeque<TopicPartition>,
    /// Partitions that may have records.
    ready: BTreeSet<TopicPartition>,
    next_look: Instant,
    /// Partitions that it lost with records that were given out and not committed.
    lost: BTreeSet<TopicPartition>,
}

#[derive(Clone, Copy, Debug)]
struct Options {
    limits: Limits,
    start: Start,
    out_of_range: OutOfRange,
    commits_itself: bool,
    look_every: Duration,
}

impl GroupConsumer {
    /// A member of the group, which reads with `fetcher`.
    pub fn builder(fetcher: Fetcher, group_id: impl Into<String>) -> GroupBuilder {
        GroupBuilder::new(fetcher, group_id.into())
    }

    /// Its id in the group.
    pub fn member(&self) -> MemberId {
        self.membership.member
    }

    /// The partitions that it reads now.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.held.keys()
    }

    /// The next records of one of its partitions; waits for them. `None` if there are none within this time.
    ///
    /// If the member commits by itself, everything that was given out before counts as processed, and is committed first;
    /// [`GroupConsumer::take_lost`] has the partitions of which it could not be.
    ///
    /// # Errors
    /// Of kind `Unavailable` while catalog, store or queue do not answer: poll again. Others need a decision.
    pub async fn poll(&mut self, wait: Duration) -> Result<Option<Records>, GroupError> {
        if self.options.commits_itself {
            self.commit_given().await?;
        }
        let deadline = deadline_of(wait);
        let mut waiting = self.fetcher.wake.begin();
        loop {
            if Instant::now() >= self.next_look {
                self.look().await?;
            }
            if let Some(records) = self.next_records().await? {
                return Ok(Some(records));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            waiting.pause(deadline.min(self.next_look)).await;
            self.refresh().await?;
        }
    }

    /// Commits everything that was given out. Returns partitions that this member lost before, now or at a poll: their records
    /// since the last commit are given to others again.
    ///
    /// # Errors
    /// Of the catalog; then nothing is known of the commit, and it may be repeated.
    pub async fn commit(&mut self) -> Result<Vec<TopicPartition>, GroupError> {
        self.commit_given().await?;
        Ok(self.take_lost())
    }

    /// Partitions that this member lost with records that were given out and not committed, each once: they are given to others
    /// again. [`GroupConsumer::commit`] returns them too.
    pub fn take_lost(&mut self) -> Vec<TopicPartition> {
        std::mem::take(&mut self.lost).into_iter().collect()
    }

    async fn commit_given(&mut self) -> Result<(), GroupError> {
        let given = self.held.iter().filter_map(|(of, held)| Some((of.clone(), held.uncommitted()?)));
        let given: BTreeMap<TopicPartition, Position> = given.collect();
        self.commit_places(given).await
    }

    /// Commits a partition up to a place, which is behind the last record that was processed.
    ///
    /// # Errors
    /// [`GroupError::NotHeld`] if the member does not hold the partition, or was not given records up to there; those of
    /// [`GroupConsumer::commit`].
    pub async fn commit_to(&mut self, partition: &TopicPartition, at: Position) -> Result<(), GroupError> {
        let refused = |reason| GroupError::NotHeld { partition: partition.clone(), offset: at.offset, reason };
        let held = self.held.get(partition).ok_or_else(|| refused("the member does not hold it"))?;
        if held.given.is_none_or(|given| at > given) {
            return Err(refused("records up to there were not given out"));
        }
        self.commit_places(BTreeMap::from([(partition.clone(), at)])).await?;
        match self.held.contains_key(partition) {
            true => Ok(()),
            false => Err(refused("the member does not hold it any more")),
        }
    }

    async fn commit_places(&mut self, mut places: BTreeMap<TopicPartition, Position>) -> Result<(), GroupError> {
        while !places.is_empty() {
            let offset = |(partition, at): (&TopicPartition, &Position)| ClaimedOffset {
                partition: partition.clone(),
                generation: self.held[partition].claim.generation,
                incarnation: at.incarnation,
                offset: at.offset,
                replaces: self.held[partition].replaces,
                metadata: self.held[partition].note(*at),
            };
            let offsets: Vec<ClaimedOffset> = places.iter().map(offset).collect();
            let (group_id, member) = (&self.membership.group_id, self.membership.member);
            match self.fetcher.catalog.commit_claimed(group_id, member, &offsets).await {
                Ok(()) => {
                    for (of, at) in places {
                        let held = self.held.get_mut(&of).expect("only held ones are committed");
                        (held.committed, held.replaces) = (Some(at), None);
                    }
                    break;
                }
                Err(CatalogError::Fenced { partition, .. }) => {
                    places.remove(&partition);
                    self.lose(&partition);
                }
                Err(CatalogError::MemberUnknown { .. }) => {
                    self.lose_all();
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Leaves the group, so that others read on at once. Commits first if the member commits by itself.
    ///
    /// # Errors
    /// Of the catalog. The member's lease then ends by itself.
    pub async fn close(mut self) -> Result<(), GroupError> {
        if self.options.commits_itself {
            self.commit_given().await?;
        }
        Ok(self.fetcher.catalog.leave_group(&self.membership.group_id, self.membership.member).await?)
    }

    /// The records of the next partition that has some.
    async fn next_records(&mut self) -> Result<Option<Records>, GroupError> {
        for _ in 0..self.turns.len() {
            let Some(of) = self.turns.pop_front() else { return Ok(None) };
            self.turns.push_back(of.clone());
            let Some(held) = self.held.get(&of).filter(|held| held.leaving_since.is_none()) else { continue };
            if !self.ready.contains(&of) {
                continue;
            }
            let request = FetchRequest {
                partition: of.clone(),
                start: held.next,
                limits: self.options.limits,
                wait: Duration::ZERO,
                out_of_range: self.options.out_of_range,
                seen: held.seen,
            };
            let fetched = match self.fetcher.fetch(&request).await {
                Ok(fetched) => fetched,
                Err(FetchError::MadeAgain(_) | FetchError::PartitionNotFound(_)) => {
                    self.lose(&of);
                    self.next_look = Instant::now();
                    continue;
                }
                // A member with a tail committed it: the records come with their commit.
                Err(FetchError::AboveEnd { has_tail: false, .. }) => {
                    self.ready.remove(&of);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let held = self.held.get_mut(&of).expect("it was held a moment ago");
            held.next = Start::Position(fetched.next);
            held.given = Some(fetched.next);
            held.seen = fetched.seen;
            held.replaces = held.committed.filter(|committed| fetched.first < *committed).or(held.replaces);
            if fetched.records == 0 {
                self.ready.remove(&of);
                continue;
            }
            let (schema, batches, records) = (fetched.schema, fetched.batches, fetched.records);
            let (first, next, skipped) = (fetched.first, fetched.next, fetched.skipped);
            return Ok(Some(Records { partition: of, schema, batches, records, first, next, skipped }));
        }
        Ok(None)
    }

    /// Finds the partitions that have records since the last look at them.
    async fn refresh(&mut self) -> Result<(), GroupError> {
        let mut topics: Vec<_> = self.held.keys().map(|of| of.topic.clone()).collect();
        topics.dedup();
        for topic in topics {
            let held: BTreeSet<u32> =
                self.held.keys().filter(|of| of.topic == topic).map(|of| of.partition_id).collect();
            for (now, end) in self.fetcher.ends_of(&topic, |partition_id| held.contains(&partition_id)).await? {
                let of = TopicPartition::new(topic.clone(), now.partition_id);
                let Some(held) = self.held.get(&of) else { continue };
                let end = Position { incarnation: now.incarnation, offset: end.unwrap_or(0).max(now.high_watermark) };
                if !matches!(held.next, Start::Position(next) if next >= end) {
                    self.ready.insert(of);
                }
            }
        }
        Ok(())
    }
}

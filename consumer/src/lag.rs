//! The state of a group in each partition: its offset, its lag, its reader; and setting its offsets anew.
//!
//! Owns: the lag, and the offsets that a reset would set. Does not own: the rows (`catalog`), showing them.

use std::collections::BTreeMap;

use catalog::{CatalogError, ConsumerOffset, GroupView, MetadataStore, Partition, Position};
use common::{Generation, Incarnation, TopicName, TopicPartition};
use lake::tail::TailError;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::error::FetchError;
use crate::fetch::{Fetcher, Start};

/// A group in one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lag {
    /// The partition.
    #[serde(flatten)]
    pub partition: TopicPartition,
    /// The offset that the group committed; `None` if it committed none.
    pub committed_offset: Option<u64>,
    /// The incarnation in which that offset counts.
    pub committed_incarnation: Option<Incarnation>,
    /// The partition's current incarnation.
    pub incarnation: Incarnation,
    /// Everything below is committed by a writer.
    pub high_watermark: u64,
    /// The offset of the next message in the queue; `None` if the queue was not asked.
    pub queue_end: Option<u64>,
    /// Offsets from the group's to the end of the queue, or to the high watermark if the queue was not asked. Not every
    /// offset has a record. `None` if the group's offset counts in another incarnation, or there is none.
    pub lag: Option<u64>,
    /// The name of the member that reads the partition.
    pub member: Option<String>,
    /// The generation of its claim.
    pub generation: Option<Generation>,
}

/// The state of the group in the partitions that it committed offsets of, or that its members read; by topic and partition.
///
/// # Errors
/// `GroupNotFound`; the errors of the catalog and the queue.
pub async fn lags(fetcher: &Fetcher, group_id: &str) -> Result<(GroupView, Vec<Lag>), FetchError> {
    let view = fetcher.catalog.group_view(group_id).await?;
    let offsets = fetcher.catalog.get_consumer_offsets(group_id).await?;
    let mut topics: Vec<&TopicName> = offsets.iter().map(|offset| &offset.topic).collect();
    topics.extend(view.topics.iter().map(|(name, _)| name));
    topics.sort();
    topics.dedup();
    let mut found = Vec::new();
    for topic in topics {
        let read = view.topics.iter().any(|(name, _)| name == topic);
        for (partition, queue_end) in fetcher.ends(topic).await? {
            let of = TopicPartition::new(topic.clone(), partition.partition_id);
            let committed =
                offsets.iter().find(|offset| offset.topic == of.topic && offset.partition_id == of.partition_id);
            let committed = committed.map(ConsumerOffset::position);
            if read || committed.is_some() {
                found.push(lag(of, &partition, queue_end, committed, &view));
            }
        }
    }
    Ok((view, found))
}

fn lag(
    of: TopicPartition,
    now: &Partition,
    queue_end: Option<u64>,
    committed: Option<Position>,
    view: &GroupView,
) -> Lag {
    let claim = view.claims.iter().find(|claim| claim.partition == of);
    let member = claim.and_then(|claim| view.members.iter().find(|member| member.member == claim.member));
    let end = queue_end.unwrap_or(now.high_watermark).max(now.high_watermark);
    let current = committed.filter(|committed| committed.incarnation == now.incarnation);
    Lag {
        partition: of,
        committed_offset: committed.map(|committed| committed.offset),
        committed_incarnation: committed.map(|committed| committed.incarnation),
        incarnation: now.incarnation,
        high_watermark: now.high_watermark,
        queue_end,
        lag: current.map(|committed| end.saturating_sub(committed.offset)),
        member: member.map(|member| member.name.clone()),
        generation: claim.map(|claim| claim.generation),
    }
}

/// The place that a group is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetTo {
    /// The first record that is left.
    Begin,
    /// Behind the last record.
    End,
    /// An offset of the current incarnation.
    Offset(u64),
    /// The first record of this queue time or a later one, in microseconds UTC.
    Time(i64),
}

impl From<ResetTo> for Start {
    fn from(to: ResetTo) -> Self {
        match to {
            ResetTo::Begin => Self::Begin,
            ResetTo::End => Self::End,
            ResetTo::Offset(offset) => Self::Offset(offset),
            ResetTo::Time(us) => Self::Time(us),
        }
    }
}

/// Refuses what [`GroupStore::reset_offsets`](catalog::GroupStore::reset_offsets) would refuse now: a group with members that
/// are alive. Changes nothing.
///
/// # Errors
/// [`CatalogError::GroupActive`]; the errors of the catalog.
pub async fn check_reset(catalog: &dyn MetadataStore, group_id: &str) -> Result<(), CatalogError> {
    let view = match catalog.group_view(group_id).await {
        Err(CatalogError::GroupNotFound(_)) => return Ok(()),
        view => view?,
    };
    let mut alive: Vec<&str> =
        view.members.iter().filter(|member| member.is_alive()).map(|member| member.name.as_str()).collect();
    if alive.is_empty() {
        return Ok(());
    }
    alive.sort_unstable();
    Err(CatalogError::GroupActive { group: group_id.to_owned(), members: alive.join(", ") })
}

/// The offset that a reset gives a group in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedOffset {
    /// The place that the group committed before, if any.
    pub before: Option<Position>,
    /// The row of the new one.
    pub row: ConsumerOffset,
}

/// With the names of partition and places, without the group.
impl Serialize for PlannedOffset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("PlannedOffset", 4)?;
        fields.serialize_field("topic", &self.row.topic)?;
        fields.serialize_field("partition_id", &self.row.partition_id)?;
        fields.serialize_field("before", &self.before)?;
        fields.serialize_field("after", &self.row.position())?;
        fields.end()
    }
}

/// The offsets that the group would have in these partitions. Changes nothing:
/// [`GroupStore::reset_offsets`](catalog::GroupStore::reset_offsets) sets them.
///
/// # Errors
/// An offset that no partition can have; the errors of the catalog and the queue.
pub async fn plan_reset(
    fetcher: &Fetcher,
    group_id: &str,
    partitions: &[TopicPartition],
    to: ResetTo,
) -> Result<Vec<PlannedOffset>, FetchError> {
    let before: BTreeMap<TopicPartition, Position> = fetcher
        .catalog
        .get_consumer_offsets(group_id)
        .await?
        .into_iter()
        .map(|row| {
            let of = TopicPartition::new(row.topic.clone(), row.partition_id);
            (of, row.position())
        })
        .collect();
    let mut planned = Vec::with_capacity(partitions.len());
    for of in partitions {
        let Position { incarnation, offset } = fetcher.position(of, to.into()).await?;
        let row = ConsumerOffset {
            group_id: group_id.to_owned(),
            topic: of.topic.clone(),
            partition_id: of.partition_id,
            incarnation,
            committed_offset: offset,
            metadata: None,
        };
        planned.push(PlannedOffset { before: before.get(of).copied(), row });
    }
    Ok(planned)
}

impl Fetcher {
    /// The partitions of a topic, each with the end of its queue if the queue is read here.
    ///
    /// # Errors
    /// The errors of the catalog and the queue.
    pub async fn ends(&self, topic: &TopicName) -> Result<Vec<(Partition, Option<u64>)>, FetchError> {
        self.ends_of(topic, |_| true).await
    }

    /// The same of some partitions.
    pub(crate) async fn ends_of(
        &self,
        topic: &TopicName,
        is_wanted: impl Fn(u32) -> bool,
    ) -> Result<Vec<(Partition, Option<u64>)>, FetchError> {
        let mut partitions = self.catalog.list_partitions(topic).await?;
        partitions.retain(|of| is_wanted(of.partition_id));
        let Some(tail) = &self.tail else { return Ok(partitions.into_iter().map(|of| (of, None)).collect()) };
        let Some(row) = self.catalog.get_topic(topic).await? else { return Ok(Vec::new()) };
        let asked: Vec<&Partition> = partitions.iter().collect();
        let mut ends = BTreeMap::new();
        for end in tail.ends(&row, &asked).await {
            match end {
                Ok(end) => drop(ends.insert(end.partition_id, end.next_offset)),
                // Its records come with their commit, or not at all.
                Err(TailError::Unsupported { .. } | TailError::OtherHistory { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let with_end = |of: Partition| {
            let end = ends.get(&of.partition_id).copied();
            (of, end)
        };
        Ok(partitions.into_iter().map(with_end).collect())
    }
}

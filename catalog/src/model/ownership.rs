//! Agents and the owners of partitions, as types.
//!
//! Owns: their shape. Does not own: the rules of taking over (`store`).

use std::collections::BTreeSet;

use common::{Anchor, Epoch, Incarnation, OwnerId, TopicName, TopicPartition};

use super::{Contact, PartitionState};

/// A writer process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// New for every process start.
    pub owner: OwnerId,
    /// Host and process id, for people.
    pub name: String,
    /// The topics that it takes partitions of.
    pub scope: Scope,
    /// Its group and address.
    pub contact: Contact,
}

/// The topics whose partitions a writer takes over. It may own others already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Every topic.
    #[default]
    All,
    /// These only.
    Only(Vec<TopicName>),
    /// No topic: the writer drains its partitions and leaves.
    Nothing,
}

impl Scope {
    /// True if the topic is in it.
    pub fn contains(&self, topic: &TopicName) -> bool {
        match self {
            Self::All => true,
            Self::Only(topics) => topics.contains(topic),
            Self::Nothing => false,
        }
    }
}

/// The owner of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionOwner {
    /// The partition.
    pub partition: TopicPartition,
    /// Its owner, alive or not, if any.
    pub owner: Option<OwnerId>,
    /// Number of the current or last ownership.
    pub epoch: Epoch,
    /// Exclusive: everything below is committed.
    pub high_watermark: u64,
    /// `Halted` if it takes no commits.
    pub state: PartitionState,
}

/// All agents and the owners of all partitions, as of one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnershipView {
    /// Agents that sent a heartbeat within the lease, by owner.
    pub agents: Vec<Agent>,
    /// Owners that started less than a lease ago: they may disappear as quickly.
    pub young: BTreeSet<OwnerId>,
    /// Every partition of every topic, by topic and number.
    pub partitions: Vec<PartitionOwner>,
}

/// The ownership of a partition by a writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The partition.
    pub partition: TopicPartition,
    /// The owner.
    pub owner: OwnerId,
    /// Number of this ownership.
    pub epoch: Epoch,
    /// The partition's incarnation.
    pub incarnation: Incarnation,
    /// The first offset to read.
    pub high_watermark: u64,
    /// The last committed message.
    pub anchor: Option<Anchor>,
    /// Takeovers from an owner that did not release, since the watermark last moved; this one included.
    pub takeovers: u32,
    /// The message that was being decoded by itself when an earlier owner died.
    pub suspect: Option<Suspect>,
}

/// A message that may crash the process that decodes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Its offset.
    pub offset: u64,
    /// Number of decodings that began and did not end.
    pub times: u32,
}

/// The answer to an attempt to take over a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcquireOutcome {
    /// The caller is the owner.
    Acquired(Ownership),
    /// Another owner's lease has not expired.
    Held {
        /// The partition.
        partition: TopicPartition,
        /// That owner.
        owner: OwnerId,
    },
    /// It takes no commits until an operator resumes it.
    Halted {
        /// The partition.
        partition: TopicPartition,
        /// The reason.
        reason: String,
    },
}

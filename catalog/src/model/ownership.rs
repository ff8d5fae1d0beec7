//! Who is there, and who owns which partition, as types.
//!
//! Owns: their shape. Does not own: the rules of taking over (`store`).

use std::collections::BTreeSet;

use common::{Anchor, Epoch, Incarnation, OwnerId, TopicName, TopicPartition};

use super::PartitionState;

/// A writer process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// New for every process start.
    pub owner: OwnerId,
    /// For people: host and process id.
    pub name: String,
    /// What it would take over.
    pub scope: Scope,
}

/// The topics whose partitions a writer would take over. What it owns already is another matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Every topic.
    #[default]
    All,
    /// These only.
    Only(Vec<TopicName>),
    /// None any more: it drains what it has, and leaves.
    Nothing,
}

impl Scope {
    /// Whether the topic is in it.
    pub fn contains(&self, topic: &TopicName) -> bool {
        match self {
            Self::All => true,
            Self::Only(topics) => topics.contains(topic),
            Self::Nothing => false,
        }
    }
}

/// Who owns a partition.
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
    /// Whether it takes commits.
    pub state: PartitionState,
}

/// Who is there and who owns what, as of one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnershipView {
    /// Agents that sent a heartbeat within the lease, by owner.
    pub agents: Vec<Agent>,
    /// Owners that started less than a lease ago: they may be gone as quickly.
    pub young: BTreeSet<OwnerId>,
    /// Every partition of every topic, by topic and number.
    pub partitions: Vec<PartitionOwner>,
}

/// A partition in the hands of a writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The partition.
    pub partition: TopicPartition,
    /// Who owns it.
    pub owner: OwnerId,
    /// Number of this ownership.
    pub epoch: Epoch,
    /// History of the queue.
    pub incarnation: Incarnation,
    /// Where to start.
    pub high_watermark: u64,
    /// The last committed message.
    pub anchor: Option<Anchor>,
    /// Takeovers from an owner that did not release, since the watermark last moved; this one included.
    pub takeovers: u32,
    /// The message that was being decoded by itself when an earlier owner died.
    pub suspect: Option<Suspect>,
}

/// A message that may kill whoever decodes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Its offset.
    pub offset: u64,
    /// How often its decoding was begun without an end.
    pub times: u32,
}

/// The answer to an attempt to take a partition over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcquireOutcome {
    /// It is the caller's now.
    Acquired(Ownership),
    /// Another owner's lease has not expired.
    Held {
        /// The partition.
        partition: TopicPartition,
        /// Who has it.
        owner: OwnerId,
    },
    /// It takes no commits until an operator resumes it.
    Halted {
        /// The partition.
        partition: TopicPartition,
        /// Why.
        reason: String,
    },
}

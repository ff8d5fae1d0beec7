//! The state of the catalog that a reader sees, as a type.
//!
//! Owns: its shape and the shape of the request for it. Does not own: reading it (`store`), what is shown of it (`lake`).

use std::sync::Arc;

use common::{TopicName, TopicPartition};

use super::{
    CommitRecord, GroupInfo, GroupOffset, RecordedGap, RegisteredAgent, SnapshotId, Tables, Topic, TopicSnapshot,
    Upload,
};

/// The parts of the catalog that a reader wants as of one transaction.
#[derive(Clone, Debug, Default)]
pub struct ViewRequest {
    /// The topics whose snapshots are wanted.
    pub topics: ViewedTopics,
    /// Snapshots that the reader has. Where one is of the same table and of the catalog's history, the answer takes from it
    /// what did not change.
    pub known: Vec<Arc<TopicSnapshot>>,
    /// The list of every topic is wanted.
    pub list_topics: bool,
    /// Every commit is wanted.
    pub commits: bool,
    /// Every recorded gap is wanted.
    pub gaps: bool,
    /// Every agent that left a row is wanted.
    pub agents: bool,
    /// Every intent and every doomed object is wanted.
    pub uploads: bool,
    /// Every consumer group is wanted.
    pub groups: bool,
    /// Every offset of a consumer group is wanted.
    pub offsets: bool,
}

/// A choice of topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewedTopics {
    /// All of them.
    All,
    /// Those of them that exist.
    These(Vec<TopicName>),
}

impl Default for ViewedTopics {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

impl ViewedTopics {
    /// True when a topic of this name is among them.
    pub fn contains(&self, name: &TopicName) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.contains(name),
        }
    }
}

/// What a [`ViewRequest`] asks for, all of it from one transaction. What was not asked for is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The newest lake snapshot.
    pub snapshot_id: SnapshotId,
    /// Topics, by name.
    pub topics: Vec<Topic>,
    /// Snapshots of the topics that were asked for and exist, by name.
    pub snapshots: Vec<Arc<TopicSnapshot>>,
    /// Tables of which the reader knew a snapshot that the catalog lost, or that is too old to tell: nothing that was kept of
    /// their objects by number holds any more.
    pub lost: Vec<Tables>,
    /// Commits, alone or in runs, by topic, partition and number.
    pub commits: Vec<(TopicPartition, CommitRecord)>,
    /// Gaps, by topic, partition, incarnation and offset.
    pub gaps: Vec<(TopicPartition, RecordedGap)>,
    /// Agents by role, name and id, silent ones too.
    pub agents: Vec<RegisteredAgent>,
    /// Intents and doomed objects, by topic and key.
    pub uploads: Vec<Upload>,
    /// Consumer groups, by id.
    pub groups: Vec<GroupInfo>,
    /// Their offsets, by group, topic and partition.
    pub offsets: Vec<GroupOffset>,
}

//! Consumer groups as types: members, claims, and the offsets that a claim commits.
//!
//! Owns: their shape. Does not own: each member's share of the partitions (crate `consumer`).

use std::time::Duration;

use common::{Generation, Incarnation, MemberId, TopicName, TopicPartition};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use super::{ConsumerOffset, Position};

/// The words with which a member joins its group, and goes on being one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group_id: String,
    /// The member.
    pub member: MemberId,
    /// Name for people.
    pub name: String,
    /// Topics that it reads, in any order. A topic may be absent, or come later.
    pub topics: Vec<TopicName>,
    /// Time after each heartbeat in which it counts as alive.
    pub lease: Duration,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// Its id.
    pub member: MemberId,
    /// Name for people.
    pub name: String,
    /// Topics that it reads, by name.
    pub topics: Vec<TopicName>,
    /// Time after each heartbeat in which it counts as alive.
    pub lease: Duration,
    /// Time since its last heartbeat, by the database's clock.
    pub silent_for: Duration,
    /// Time at which it joined.
    pub joined_at: i64,
}

impl GroupMember {
    /// True while its lease lasts.
    pub fn is_alive(&self) -> bool {
        self.silent_for <= self.lease
    }
}

/// Times that passed are in whole milliseconds.
impl Serialize for GroupMember {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("GroupMember", 7)?;
        fields.serialize_field("member", &self.member)?;
        fields.serialize_field("name", &self.name)?;
        fields.serialize_field("topics", &self.topics)?;
        fields.serialize_field("lease_ms", &(self.lease.as_millis() as u64))?;
        fields.serialize_field("silent_ms", &(self.silent_for.as_millis() as u64))?;
        fields.serialize_field("is_alive", &self.is_alive())?;
        fields.serialize_field("joined_at", &self.joined_at)?;
        fields.end()
    }
}

/// A partition that a member reads for its group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The partition.
    pub partition: TopicPartition,
    /// The member that reads it.
    pub member: MemberId,
    /// The group's generation once the claim was made: no two claims of a partition have the same.
    pub generation: Generation,
}

/// A claim that was made, with the position that it begins at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The claim.
    pub claim: Claim,
    /// The offset that the group committed last, if any.
    pub committed: Option<Position>,
}

/// A group at one moment, as each member needs it to compute the shares of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// The group.
    pub group_id: String,
    /// Its generation.
    pub generation: Generation,
    /// Its members, by id. In the answer to a heartbeat all others are alive.
    pub members: Vec<GroupMember>,
    /// The partitions that members read, by topic and number.
    pub claims: Vec<Claim>,
    /// Topics that exist and that a member reads, with their numbers of partitions; by name.
    pub topics: Vec<(TopicName, u32)>,
}

/// A group in a list of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupInfo {
    /// The group.
    pub group_id: String,
    /// Its generation.
    pub generation: Generation,
    /// Members whose lease lasts.
    pub members: u64,
    /// Topics that a member reads or that the group has offsets in, by name. A member may read a topic that does not exist.
    pub topics: Vec<TopicName>,
    /// Time of its creation.
    pub created_at: i64,
    /// Time of the last change of a member or an offset.
    pub updated_at: i64,
}

/// An offset that a group committed, and the partition that it counts in, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOffset {
    /// The group, the partition and the offset.
    pub offset: ConsumerOffset,
    /// Time of the commit.
    pub committed_at: i64,
    /// The partition's current incarnation.
    pub incarnation: Incarnation,
    /// Everything below is committed by a writer.
    pub high_watermark: u64,
}

impl GroupOffset {
    /// Offsets from the group's to the high watermark; not each of them has a record. `None` if the group's offset counts in an
    /// earlier incarnation.
    pub fn lag(&self) -> Option<u64> {
        let is_current = self.offset.incarnation == self.incarnation;
        is_current.then(|| self.high_watermark.saturating_sub(self.offset.committed_offset))
    }
}

/// An offset that a member commits for a partition that it claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedOffset {
    /// The partition.
    pub partition: TopicPartition,
    /// The generation of the claim.
    pub generation: Generation,
    /// The incarnation in which the offset counts.
    pub incarnation: Incarnation,
    /// The next offset that the group will read.
    pub offset: u64,
    /// The recorded place that an earlier one takes the place of: its records are out of reach, and the consumer began elsewhere.
    pub replaces: Option<Position>,
    /// A note of the consumer's.
    pub metadata: Option<String>,
}

//! Members of consumer groups: who reads which partition, and commits its offsets.
//!
//! Owns: the contract of these operations. Does not own: SQL, each member's share of the partitions (crate `consumer`).
//!
//! A member claims partitions, and a partition has at most one claim in a group. An offset is committed by the member that
//! holds the claim, at the generation of that claim: whoever lost a partition commits nothing more for it. Leases are
//! judged by the database's clock alone.

use async_trait::async_trait;
use common::{MemberId, TopicPartition};

use crate::error::Result;
use crate::model::{Claim, Claimed, ClaimedOffset, ConsumerOffset, GroupInfo, GroupView, Membership};

/// Members of consumer groups, and their claims.
#[async_trait]
pub trait GroupStore: Send + Sync {
    /// Joins the group, which is made if needed, or renews the member's lease; drops other members whose lease expired,
    /// with their claims. One transaction, whose state is the answer. The generation rises if a member came, left or
    /// changed its topics. Repeating it is harmless.
    ///
    /// # Errors
    /// `Refused` if the group's id is empty or holds a NUL.
    async fn join_group(&self, membership: &Membership) -> Result<GroupView>;

    /// Claims those of the partitions that exist and that no member holds, in one transaction; answers with the claims
    /// that the member now holds among them. A claim that it held before stays as it was, so repeating it is harmless.
    ///
    /// # Errors
    /// `MemberUnknown`.
    async fn claim(&self, group_id: &str, member: MemberId, partitions: &[TopicPartition]) -> Result<Vec<Claimed>>;

    /// Gives claims up, and returns the number of those that there were. Those that do not exist any more are passed over.
    async fn release_claims(&self, group_id: &str, claims: &[Claim]) -> Result<u64>;

    /// Records offsets of partitions that the member holds, all or none. An earlier place than the recorded one changes
    /// nothing, since it is of a call that comes late, unless it names the recorded one as the place that it replaces.
    ///
    /// # Errors
    /// `Fenced` names the first partition whose claim is gone or has another generation; `InvalidOffset`, also if the
    /// partition has not reached that incarnation.
    async fn commit_claimed(&self, group_id: &str, member: MemberId, offsets: &[ClaimedOffset]) -> Result<()>;

    /// Takes the member out of the group, with its claims. An absent one is no error.
    async fn leave_group(&self, group_id: &str, member: MemberId) -> Result<()>;

    /// Sets offsets of groups without members that are alive, in one transaction; drops members whose lease expired.
    /// Makes the group if needed.
    ///
    /// # Errors
    /// `GroupActive`; the errors of [`ConsumerStore::commit_offset`](crate::ConsumerStore::commit_offset).
    async fn reset_offsets(&self, offsets: &[ConsumerOffset]) -> Result<()>;

    /// The group as it is, with members whose lease expired; changes nothing.
    ///
    /// # Errors
    /// `GroupNotFound`.
    async fn group_view(&self, group_id: &str) -> Result<GroupView>;

    /// All groups, by id.
    async fn list_groups(&self) -> Result<Vec<GroupInfo>>;
}

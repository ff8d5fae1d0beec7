//! Calls on the members of consumer groups.
//!
//! Owns: the transaction of each of them. Does not own: offsets without a claim (`tables`).

use ::catalog::{Claim, Claimed, ClaimedOffset, ConsumerOffset, GroupInfo, GroupStore, GroupView, Membership, Result};
use async_trait::async_trait;
use common::{MemberId, TopicPartition};

use super::{Client, Door, Rows};

#[async_trait]
impl<D: Door> GroupStore for Client<D> {
    async fn join_group(&self, membership: &Membership) -> Result<GroupView> {
        let membership = membership.clone();
        self.write("join_group", Rows::None, move |state| state.join_group(&membership)).await
    }

    async fn claim(&self, group_id: &str, member: MemberId, partitions: &[TopicPartition]) -> Result<Vec<Claimed>> {
        let (group_id, partitions) = (group_id.to_owned(), partitions.to_vec());
        self.write("claim", Rows::None, move |state| state.claim(&group_id, member, &partitions)).await
    }

    async fn release_claims(&self, group_id: &str, claims: &[Claim]) -> Result<u64> {
        let (group_id, claims) = (group_id.to_owned(), claims.to_vec());
        self.write("release_claims", Rows::None, move |state| state.release_claims(&group_id, &claims)).await
    }

    async fn commit_claimed(&self, group_id: &str, member: MemberId, offsets: &[ClaimedOffset]) -> Result<()> {
        let (group_id, offsets) = (group_id.to_owned(), offsets.to_vec());
        self.write("commit_claimed", Rows::None, move |state| state.commit_claimed(&group_id, member, &offsets)).await
    }

    async fn leave_group(&self, group_id: &str, member: MemberId) -> Result<()> {
        let group_id = group_id.to_owned();
        self.write("leave_group", Rows::None, move |state| state.leave_group(&group_id, member)).await
    }

    async fn reset_offsets(&self, offsets: &[ConsumerOffset]) -> Result<()> {
        let offsets = offsets.to_vec();
        self.write("reset_offsets", Rows::None, move |state| state.reset_offsets(&offsets)).await
    }

    async fn group_view(&self, group_id: &str) -> Result<GroupView> {
        let group_id = group_id.to_owned();
        self.read("group_view", move |state| state.group_view(&group_id)).await
    }

    async fn list_groups(&self) -> Result<Vec<GroupInfo>> {
        self.read("list_groups", |state| Ok(state.list_groups())).await
    }
}

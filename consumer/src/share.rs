//! One look of a member that keeps no state between its calls, such as one behind an HTTP client.
//!
//! Owns: renewing the lease, and claiming what is free of the member's share. Does not own: reading and committing, which the
//! member asks for by itself; the shares (`shares`); a member of this process (`group`).

use std::collections::BTreeMap;

use catalog::{Claim, Claimed, ConsumerOffset, GroupView, Membership, MetadataStore, Position};
use common::TopicPartition;

use crate::group::{CLAIMS_MAX, GroupError, check};
use crate::shares::shares;

/// The partitions of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The group, with the member, before the claims of this look.
    pub view: GroupView,
    /// The partitions that it holds, in order.
    pub held: Vec<HeldPartition>,
}

/// A partition that a member holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPartition {
    /// The claim, which commits name.
    pub claim: Claim,
    /// The offset that the group committed last, if any.
    pub committed: Option<Position>,
    /// Another member is to have it: commit, and give it up.
    pub is_leaving: bool,
}

/// Joins the group or renews the member's lease, and claims what is free of its share. Repeating it is harmless.
///
/// # Errors
/// [`GroupError::Invalid`] without a topic or with a lease of less than a second; `TopicNotFound`; the errors of the catalog.
pub async fn take_share(catalog: &dyn MetadataStore, membership: &Membership) -> Result<Share, GroupError> {
    check(catalog, membership).await?;
    let (group_id, member) = (&membership.group_id, membership.member);
    let view = catalog.join_group(membership).await?;
    let mine = shares(&view).remove(&member).unwrap_or_default();
    let mut held: BTreeMap<TopicPartition, Claimed> = BTreeMap::new();
    let is_free = |of: &&TopicPartition| view.claims.iter().all(|claim| claim.partition != **of);
    let free: Vec<TopicPartition> = mine.iter().filter(is_free).cloned().collect();
    for some in free.chunks(CLAIMS_MAX) {
        let claimed = catalog.claim(group_id, member, some).await?;
        held.extend(claimed.into_iter().map(|claimed| (claimed.claim.partition.clone(), claimed)));
    }
    let before: Vec<&Claim> = view.claims.iter().filter(|claim| claim.member == member).collect();
    if !before.is_empty() {
        let offsets = catalog.get_consumer_offsets(group_id).await?;
        for claim in before {
            let of = &claim.partition;
            let row = offsets.iter().find(|row| row.topic == of.topic && row.partition_id == of.partition_id);
            let committed = row.map(ConsumerOffset::position);
            held.insert(of.clone(), Claimed { claim: claim.clone(), committed });
        }
    }
    let partition = |(of, Claimed { claim, committed }): (TopicPartition, Claimed)| HeldPartition {
        is_leaving: !mine.contains(&of),
        claim,
        committed,
    };
    let held = held.into_iter().map(partition).collect();
    Ok(Share { view, held })
}

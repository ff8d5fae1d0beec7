//! Shares: the partitions that each member of a group should read. Pure.
//!
//! Owns: the assignment that every member computes for itself from the same view. Does not own: claiming and giving up
//! (`group`). Safety does not depend on it: a wrong or stale view costs work, never a record.
//!
//! A partition stays with the member that holds it. A free one goes to the member with the fewest. Then partitions move one
//! by one from a member with two more than another that reads their topic, until there is none: as few as make it fair.

use std::collections::{BTreeMap, BTreeSet};

use catalog::GroupView;
use common::{MemberId, TopicName, TopicPartition};

/// The partitions of each member, in order. Every partition of a topic that somebody reads is in exactly one share, of a
/// member that reads its topic. Among members that read the same topics, shares differ by one at most.
pub fn shares(view: &GroupView) -> BTreeMap<MemberId, BTreeSet<TopicPartition>> {
    let reads: BTreeMap<MemberId, BTreeSet<&TopicName>> =
        view.members.iter().map(|member| (member.member, member.topics.iter().collect())).collect();
    let mut shares: BTreeMap<MemberId, BTreeSet<TopicPartition>> =
        reads.keys().map(|member| (*member, BTreeSet::new())).collect();
    let holders: BTreeMap<&TopicPartition, MemberId> =
        view.claims.iter().map(|claim| (&claim.partition, claim.member)).collect();
    let may_read =
        |member: &MemberId, topic: &TopicName| reads.get(member).is_some_and(|topics| topics.contains(topic));
    let mut free = Vec::new();
    for (topic, partition_count) in &view.topics {
        for partition_id in 0..*partition_count {
            let partition = TopicPartition::new(topic.clone(), partition_id);
            match holders.get(&partition).filter(|holder| may_read(holder, topic)) {
                Some(holder) => shares.entry(*holder).or_default().insert(partition),
                None => {
                    free.push(partition);
                    false
                }
            };
        }
    }
    for partition in free {
        let readers = shares.iter().filter(|(member, _)| may_read(member, &partition.topic));
        // Members are in the order of their ids: of equals the first one.
        let fewest = readers.min_by_key(|(_, share)| share.len()).map(|(member, _)| *member);
        if let Some(fewest) = fewest {
            shares.entry(fewest).or_default().insert(partition);
        }
    }
    while let Some((from, to, partition)) = unfair(&shares, &may_read) {
        shares.entry(from).or_default().remove(&partition);
        shares.entry(to).or_default().insert(partition);
    }
    shares
}

/// A partition that should move: its holder has at least two more than another member that reads the topic. The greatest
/// difference comes first.
fn unfair(
    shares: &BTreeMap<MemberId, BTreeSet<TopicPartition>>,
    may_read: &impl Fn(&MemberId, &TopicName) -> bool,
) -> Option<(MemberId, MemberId, TopicPartition)> {
    let mut by_size: Vec<(&MemberId, &BTreeSet<TopicPartition>)> = shares.iter().collect();
    by_size.sort_by_key(|(_, share)| share.len());
    for (from, most) in by_size.iter().rev() {
        for (to, fewest) in by_size.iter().take_while(|(_, fewest)| fewest.len() + 2 <= most.len()) {
            debug_assert!(fewest.len() < most.len());
            if let Some(partition) = most.iter().rev().find(|partition| may_read(to, &partition.topic)) {
                return Some((**from, **to, partition.clone()));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use catalog::{Claim, GroupMember};
    use common::Generation;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn topic(number: usize) -> TopicName {
        TopicName::new(format!("t{number}")).expect("valid")
    }

    fn member(number: u128, topics: &[usize]) -> GroupMember {
        GroupMember {
            member: MemberId(Uuid::from_u128(number)),
            name: String::new(),
            topics: topics.iter().map(|number| topic(*number)).collect(),
            lease: Duration::from_secs(10),
            silent_for: Duration::ZERO,
            joined_at: 0,
        }
    }

    fn view(members: Vec<GroupMember>, counts: &[u32], claims: Vec<Claim>) -> GroupView {
        let topics = counts.iter().enumerate().map(|(number, count)| (topic(number), *count)).collect();
        GroupView { group_id: "g".to_owned(), generation: Generation(1), members, claims, topics }
    }

    fn claims(shares: &BTreeMap<MemberId, BTreeSet<TopicPartition>>) -> Vec<Claim> {
        let of = |(member, share): (&MemberId, &BTreeSet<TopicPartition>)| {
            let claim = |partition: &TopicPartition| Claim {
                partition: partition.clone(),
                member: *member,
                generation: Generation(1),
            };
            share.iter().map(claim).collect::<Vec<_>>()
        };
        shares.iter().flat_map(of).collect()
    }

    fn sizes(shares: &BTreeMap<MemberId, BTreeSet<TopicPartition>>) -> Vec<usize> {
        shares.values().map(BTreeSet::len).collect()
    }

    #[test]
    fn a_member_that_comes_gets_its_share_and_one_that_goes_leaves_it_to_the_others() {
        let first = shares(&view(vec![member(1, &[0])], &[7], vec![]));
        assert_eq!(sizes(&first), [7]);
        let second = shares(&view(vec![member(1, &[0]), member(2, &[0])], &[7], claims(&first)));
        assert_eq!(sizes(&second), [4, 3]);
        let three = vec![member(1, &[0]), member(2, &[0]), member(3, &[0])];
        let third = shares(&view(three, &[7], claims(&second)));
        assert_eq!(sizes(&third), [3, 2, 2]);
        let left = shares(&view(vec![member(2, &[0]), member(3, &[0])], &[7], claims(&third)));
        assert_eq!(sizes(&left), [4, 3]);
        let of = |number| MemberId(Uuid::from_u128(number));
        assert!(third[&of(2)].is_subset(&left[&of(2)]) && third[&of(3)].is_subset(&left[&of(3)]), "nobody loses any");
    }

    #[test]
    fn a_partition_goes_only_to_members_that_read_its_topic() {
        let members = vec![member(1, &[0]), member(2, &[0, 1]), member(3, &[])];
        let found = shares(&view(members, &[4, 4, 4], vec![]));
        assert_eq!(sizes(&found), [4, 4, 0], "the topic that nobody reads is in no share");
        assert!(found[&MemberId(Uuid::from_u128(1))].iter().all(|partition| partition.topic == topic(0)));
        assert_eq!(sizes(&shares(&view(vec![], &[4], vec![]))), [0_usize; 0]);
    }

    proptest! {
        #[test]
        fn shares_are_whole_fair_and_move_little(
            subscriptions in prop::collection::vec(prop::collection::btree_set(0_usize..3, 0..3), 0..6),
            counts in prop::collection::vec(0_u32..9, 3),
            held in prop::collection::vec((0_u128..8, 0_usize..3, 0_u32..10), 0..20),
        ) {
            let members: Vec<GroupMember> = subscriptions
                .iter()
                .enumerate()
                .map(|(number, topics)| member(number as u128, &topics.iter().copied().collect::<Vec<_>>()))
                .collect();
            // A claim may be of a member that left, of a topic that it no longer reads, or of no partition at all.
            let mut by_partition = BTreeMap::new();
            for (holder, number, partition_id) in held {
                by_partition.insert(TopicPartition::new(topic(number), partition_id), MemberId(Uuid::from_u128(holder)));
            }
            let claims: Vec<Claim> = by_partition
                .iter()
                .map(|(partition, member)| Claim {
                    partition: partition.clone(),
                    member: *member,
                    generation: Generation(1),
                })
                .collect();
            let view = view(members.clone(), &counts, claims);
            let found = shares(&view);
            prop_assert_eq!(&found, &shares(&view), "every member computes the same");
            let reads = |id: &MemberId, topic: &TopicName| {
                members.iter().any(|member| member.member == *id && member.topics.contains(topic))
            };
            let mut all = BTreeSet::new();
            for (id, share) in &found {
                for partition in share {
                    prop_assert!(reads(id, &partition.topic));
                    prop_assert!(all.insert(partition.clone()), "{} is in two shares", partition);
                }
            }
            for (number, count) in counts.iter().enumerate() {
                for partition_id in 0..*count {
                    let is_read = members.iter().any(|member| member.topics.contains(&topic(number)));
                    let partition = TopicPartition::new(topic(number), partition_id);
                    prop_assert_eq!(all.contains(&partition), is_read, "{}", partition);
                }
            }
            for (from, most) in &found {
                for (to, fewest) in &found {
                    let can_move = most.iter().any(|partition| reads(to, &partition.topic));
                    prop_assert!(!can_move || most.len() <= fewest.len() + 1, "{} has too many for {}", from, to);
                }
            }
            // A share that is fair already stays, whoever comes without need.
            let settled = GroupView { claims: self::claims(&found), ..view.clone() };
            prop_assert_eq!(&found, &shares(&settled), "nothing moves once it is fair");
            // A member that leaves takes nothing from the others beyond what makes it fair.
            if let Some((gone, rest)) = members.split_first() {
                let kept = GroupView { members: rest.to_vec(), ..settled };
                let after = shares(&kept);
                let moved = found.iter().filter(|(id, _)| **id != gone.member).flat_map(|(id, share)| {
                    share.iter().filter(|partition| !after[id].contains(*partition)).collect::<Vec<_>>()
                });
                let same_topics = rest.iter().all(|member| member.topics == rest[0].topics);
                prop_assert!(!same_topics || moved.count() == 0, "a member that stays loses none");
            }
        }
    }
}

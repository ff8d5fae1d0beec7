//! Cases: members of consumer groups, their claims, and the offsets that these commit.

use std::time::Duration;

use catalog::{CatalogError, Claim, ClaimedOffset, ConsumerOffset, GroupView, Membership, MetadataStore, Position};
use common::{Generation, Incarnation, MemberId, TopicPartition};
use uuid::Uuid;

use super::backend::Backend;
use super::fixture::*;

/// A member of the group that reads `orders`.
pub(crate) fn membership(group_id: &str, member: MemberId) -> Membership {
    Membership {
        group_id: group_id.to_owned(),
        member,
        name: "host-1".to_owned(),
        topics: vec![name("orders")],
        lease: Duration::from_secs(10),
    }
}

/// A new member of the group, and its claim of the partition.
pub(crate) async fn holder(store: &dyn MetadataStore, group_id: &str, of: &TopicPartition) -> (MemberId, Claim) {
    let (member, _) = join(store, group_id).await;
    (member, take_over(store, group_id, member, of).await)
}

/// The offset that the claim would commit.
pub(crate) fn offset(claim: &Claim, offset: u64) -> ClaimedOffset {
    ClaimedOffset {
        partition: claim.partition.clone(),
        generation: claim.generation,
        incarnation: Incarnation(0),
        offset,
        replaces: None,
        metadata: None,
    }
}

async fn join(store: &dyn MetadataStore, group_id: &str) -> (MemberId, GroupView) {
    let member = MemberId(Uuid::now_v7());
    (member, store.join_group(&membership(group_id, member)).await.expect("joined"))
}

/// The claim of a partition that is free.
async fn take_over(store: &dyn MetadataStore, group_id: &str, member: MemberId, of: &TopicPartition) -> Claim {
    let mut claimed = store.claim(group_id, member, std::slice::from_ref(of)).await.expect("asked");
    assert_eq!(claimed.len(), 1, "{of} is free");
    claimed.remove(0).claim
}

async fn committed(store: &dyn MetadataStore, group_id: &str, of: &TopicPartition) -> Option<u64> {
    store.get_committed_offset(group_id, of).await.expect("read").map(|committed| committed.offset)
}

fn assert_fenced_off(answer: catalog::Result<()>, of: &TopicPartition) {
    assert!(matches!(&answer, Err(CatalogError::Fenced { partition, .. }) if partition == of), "{answer:?}");
}

pub(crate) async fn a_member_joins_claims_commits_and_leaves(store: &dyn MetadataStore) {
    create_topic(store, "orders", 2).await;
    let orders = partition("orders", 0);
    let (member, view) = join(store, "g").await;
    assert_eq!((view.members.len(), view.members[0].member, view.claims.len()), (1, member, 0));
    assert_eq!((view.members[0].name.as_str(), view.members[0].lease), ("host-1", Duration::from_secs(10)));
    assert!(view.members[0].is_alive() && view.members[0].joined_at > 0);
    assert_eq!(view.topics, [(name("orders"), 2)]);
    let again = store.join_group(&membership("g", member)).await.expect("renewed");
    assert_eq!(again.generation, view.generation, "a heartbeat changes no generation");

    let claim = take_over(store, "g", member, &orders).await;
    assert!(claim.generation > view.generation);
    assert_eq!(take_over(store, "g", member, &orders).await, claim, "the same claim, asked for again");
    store.commit_claimed("g", member, &[offset(&claim, 7)]).await.expect("committed");
    store.commit_claimed("g", member, &[offset(&claim, 5)]).await.expect("a call that comes late");
    assert_eq!(committed(store, "g", &orders).await, Some(7), "it changes nothing");
    let view = store.group_view("g").await.expect("read");
    assert_eq!(view.claims, std::slice::from_ref(&claim));
    assert_eq!(store.list_groups().await.expect("read")[0].members, 1);

    store.leave_group("g", member).await.expect("left");
    store.leave_group("g", member).await.expect("again is harmless");
    let left = store.group_view("g").await.expect("read");
    assert_eq!((left.members.len(), left.claims.len(), left.topics.len()), (0, 0, 0));
    assert!(left.generation > view.generation);
    assert_fenced_off(store.commit_claimed("g", member, &[offset(&claim, 9)]).await, &orders);
    let error = store.claim("g", member, std::slice::from_ref(&orders)).await.expect_err("it left");
    assert!(matches!(error, CatalogError::MemberUnknown { .. }), "{error}");
    let error = store.claim("absent", member, std::slice::from_ref(&orders)).await.expect_err("no such group");
    assert!(matches!(error, CatalogError::MemberUnknown { .. }), "{error}");
    assert!(matches!(store.group_view("absent").await, Err(CatalogError::GroupNotFound(_))));
    let error = store.join_group(&membership("", member)).await.expect_err("no name");
    assert!(matches!(error, CatalogError::Refused(_)), "{error}");
    // The next one begins where it left off.
    let (next, _) = join(store, "g").await;
    let claimed = store.claim("g", next, std::slice::from_ref(&orders)).await.expect("claimed");
    assert_eq!(claimed[0].committed, Some(Position { incarnation: Incarnation(0), offset: 7 }));
}

pub(crate) async fn a_partition_has_one_claim_in_a_group(store: &dyn MetadataStore) {
    create_topic(store, "orders", 3).await;
    let all: Vec<TopicPartition> = (0..3).map(|id| partition("orders", id)).collect();
    let (first, claim) = holder(store, "g", &all[1]).await;
    let (second, _) = join(store, "g").await;
    let mut asked = all.clone();
    asked.push(partition("absent", 0));
    asked.push(partition("orders", 3));
    let claimed = store.claim("g", second, &asked).await.expect("asked");
    let partitions: Vec<_> = claimed.iter().map(|claimed| &claimed.claim.partition).collect();
    assert_eq!(partitions, [&all[0], &all[2]], "the held one and absent ones are left out");
    let (other, other_claim) = holder(store, "other", &all[1]).await;
    store.commit_claimed("other", other, &[offset(&other_claim, 1)]).await.expect("groups know nothing of each other");
    assert_eq!(committed(store, "g", &all[1]).await, None);

    // Only the claim itself is given up.
    let older = Claim { generation: Generation(claim.generation.0 - 1), ..claim.clone() };
    let anothers = Claim { member: second, ..claim.clone() };
    assert_eq!(store.release_claims("g", &[older, anothers]).await.expect("nothing to do"), 0);
    assert_eq!(store.group_view("g").await.expect("read").claims.len(), 3);
    assert_eq!(store.release_claims("g", std::slice::from_ref(&claim)).await.expect("given up"), 1);
    assert_eq!(store.release_claims("absent", std::slice::from_ref(&claim)).await.expect("nothing to do"), 0);
    let again = take_over(store, "g", first, &all[1]).await;
    assert!(again.generation > claim.generation, "no two claims have the same generation");
    assert_fenced_off(store.commit_claimed("g", first, &[offset(&claim, 9)]).await, &all[1]);
    store.commit_claimed("g", first, &[offset(&again, 9)]).await.expect("held");
}

pub(crate) async fn whoever_lost_a_partition_commits_nothing_more_for_it(store: &dyn MetadataStore) {
    create_topic(store, "orders", 2).await;
    let (lost, kept) = (partition("orders", 0), partition("orders", 1));
    let (first, claim) = holder(store, "g", &lost).await;
    let kept_claim = take_over(store, "g", first, &kept).await;
    store.commit_claimed("g", first, &[offset(&claim, 5), offset(&kept_claim, 5)]).await.expect("committed");
    store.release_claims("g", std::slice::from_ref(&claim)).await.expect("given up");
    let (second, newer) = holder(store, "g", &lost).await;
    store.commit_claimed("g", second, &[offset(&newer, 6)]).await.expect("it holds the partition");
    let both = [offset(&kept_claim, 8), offset(&claim, 8)];
    assert_fenced_off(store.commit_claimed("g", first, &both).await, &lost);
    assert_eq!(committed(store, "g", &kept).await, Some(5), "all or none");
    assert_eq!(committed(store, "g", &lost).await, Some(6));
    // Neither the generation nor the member alone is enough.
    let mixed = [offset(&newer, 9), offset(&claim, 9)];
    assert_fenced_off(store.commit_claimed("g", first, &mixed[..1]).await, &lost);
    assert_fenced_off(store.commit_claimed("g", second, &mixed[1..]).await, &lost);
    let ahead = ClaimedOffset { incarnation: Incarnation(1), ..offset(&newer, 9) };
    let error = store.commit_claimed("g", second, &[ahead]).await.expect_err("no such history yet");
    assert!(matches!(error, CatalogError::InvalidOffset { offset: 9, .. }), "{error}");
    assert_eq!(committed(store, "g", &lost).await, Some(6));
}

pub(crate) async fn a_claim_of_a_deleted_topic_commits_nothing_for_one_made_again(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let orders = partition("orders", 0);
    let (member, claim) = holder(store, "g", &orders).await;
    store.commit_claimed("g", member, &[offset(&claim, 700)]).await.expect("committed");
    store.delete_topic(&name("orders")).await.expect("deleted");
    assert_fenced_off(store.commit_claimed("g", member, &[offset(&claim, 701)]).await, &orders);
    create_topic(store, "orders", 1).await;
    assert_fenced_off(store.commit_claimed("g", member, &[offset(&claim, 701)]).await, &orders);
    let claimed = store.claim("g", member, std::slice::from_ref(&orders)).await.expect("claimed");
    assert_eq!(claimed[0].committed, None, "offset 700 was one of another topic");
    assert_fenced_off(store.commit_claimed("g", member, &[offset(&claim, 701)]).await, &orders);
    store.commit_claimed("g", member, &[offset(&claimed[0].claim, 1)]).await.expect("held");
}

pub(crate) async fn offsets_are_reset_while_nobody_reads(store: &dyn MetadataStore) {
    create_topic(store, "orders", 2).await;
    let to = |partition_id, committed_offset| ConsumerOffset {
        group_id: "g".to_owned(),
        topic: name("orders"),
        partition_id,
        incarnation: Incarnation(0),
        committed_offset,
        metadata: None,
    };
    store.reset_offsets(&[to(0, 3), to(1, 4)]).await.expect("the group is made");
    let (member, claim) = holder(store, "g", &partition("orders", 0)).await;
    for refused in [store.reset_offsets(&[to(0, 1)]).await, store.commit_offset(to(0, 1)).await] {
        let error = refused.expect_err("a member is alive");
        assert!(matches!(&error, CatalogError::GroupActive { members, .. } if members == "host-1"), "{error}");
    }
    assert!(matches!(store.delete_consumer_group("g").await, Err(CatalogError::GroupActive { .. })));
    assert_eq!(committed(store, "g", &partition("orders", 0)).await, Some(3));
    store.commit_claimed("g", member, &[offset(&claim, 5)]).await.expect("the refusals took nothing from it");
    store.leave_group("g", member).await.expect("left");
    let absent = store.reset_offsets(&[to(0, 1), to(2, 1)]).await.expect_err("no such partition");
    assert!(matches!(absent, CatalogError::PartitionNotFound { partition: 2, .. }), "{absent}");
    assert_eq!(committed(store, "g", &partition("orders", 0)).await, Some(5), "all or none");
    store.reset_offsets(&[to(0, 1), to(1, 2)]).await.expect("nobody reads");
    assert_eq!(store.get_consumer_offsets("g").await.expect("read"), [to(0, 1), to(1, 2)]);
    store.delete_consumer_group("g").await.expect("nobody reads");
}

pub(crate) async fn an_earlier_place_counts_only_if_it_names_the_one_that_it_replaces(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let orders = partition("orders", 0);
    let (member, claim) = holder(store, "g", &orders).await;
    let at = |offset| Position { incarnation: Incarnation(0), offset };
    let replacing = |to, from| ClaimedOffset { replaces: Some(at(from)), ..offset(&claim, to) };
    store.commit_claimed("g", member, &[offset(&claim, 9)]).await.expect("committed");
    store.commit_claimed("g", member, &[offset(&claim, 4)]).await.expect("it came late");
    assert_eq!(committed(store, "g", &orders).await, Some(9));
    store.commit_claimed("g", member, &[replacing(4, 8)]).await.expect("it came late");
    assert_eq!(committed(store, "g", &orders).await, Some(9), "another place was recorded");
    store.commit_claimed("g", member, &[replacing(4, 9)]).await.expect("committed");
    assert_eq!(committed(store, "g", &orders).await, Some(4));
    store.commit_claimed("g", member, &[replacing(2, 9)]).await.expect("it came late");
    assert_eq!(committed(store, "g", &orders).await, Some(4));
}

pub(crate) async fn a_group_lists_the_topics_that_its_members_read(store: &dyn MetadataStore) {
    create_topic(store, "orders", 2).await;
    create_topic(store, "it's", 1).await;
    create_topic(store, "unread", 1).await;
    let (member, before) = join(store, "g").await;
    let topics = vec![name("orders"), name("it's"), name("absent"), name("orders")];
    let both = Membership { topics, ..membership("g", member) };
    let view = store.join_group(&both).await.expect("renewed");
    assert!(view.generation > before.generation, "its topics changed");
    assert_eq!(view.members[0].topics, [name("absent"), name("it's"), name("orders")], "each once, by name");
    assert_eq!(view.topics, [(name("it's"), 1), (name("orders"), 2)]);
    let again = store.join_group(&both).await.expect("renewed");
    assert_eq!(again.generation, view.generation);
    create_topic(store, "absent", 4).await;
    assert_eq!(store.group_view("g").await.expect("read").topics[0], (name("absent"), 4));
    let groups = store.list_groups().await.expect("listed");
    let shown: Vec<_> = groups.iter().map(|of| (of.group_id.as_str(), of.generation, of.members)).collect();
    assert_eq!(shown, [("g", view.generation, 1)]);
}

pub(crate) async fn claims_at_the_same_time_give_each_partition_to_one(store: &dyn MetadataStore) {
    create_topic(store, "orders", 8).await;
    let all: Vec<TopicPartition> = (0..8).map(|id| partition("orders", id)).collect();
    let mut members = Vec::new();
    for _ in 0..4 {
        members.push(join(store, "g").await.0);
    }
    let claims = members.iter().map(|&member| store.claim("g", member, &all));
    let answers = futures::future::join_all(claims).await;
    let claimed = answers.into_iter().flat_map(|answer| answer.expect("asked"));
    let mut held: Vec<_> = claimed.map(|claimed| claimed.claim.partition).collect();
    held.sort();
    assert_eq!(held, all);
}

/// Time passes as if the database's clock went on.
async fn silent_members_lose_their_claims(backend: &Backend) {
    let store = backend.store();
    create_topic(store, "orders", 1).await;
    let orders = partition("orders", 0);
    let (silent, claim) = holder(store, "g", &orders).await;
    backend.age(Duration::from_secs(9)).await;
    let (next, view) = join(store, "g").await;
    assert_eq!((view.members.len(), view.claims.len()), (2, 1), "within the lease");
    assert!(store.claim("g", next, std::slice::from_ref(&orders)).await.expect("asked").is_empty());
    backend.age(Duration::from_secs(2)).await;
    let shown = store.group_view("g").await.expect("read");
    let alive: Vec<bool> = shown.members.iter().map(|of| of.member == silent || of.is_alive()).collect();
    assert_eq!((alive, shown.claims.len()), (vec![true, true], 1), "looking changes nothing");
    assert_eq!(store.list_groups().await.expect("read")[0].members, 1);
    store.commit_claimed("g", silent, &[offset(&claim, 3)]).await.expect("nobody took the partition yet");
    let view = store.join_group(&membership("g", next)).await.expect("renewed");
    assert_eq!((view.members.len(), view.claims.len()), (1, 0), "a heartbeat drops the silent member");
    assert!(view.generation > shown.generation);
    assert_fenced_off(store.commit_claimed("g", silent, &[offset(&claim, 4)]).await, &orders);
    let claimed = store.claim("g", next, std::slice::from_ref(&orders)).await.expect("claimed");
    assert_eq!(claimed[0].committed.map(|committed| committed.offset), Some(3));
    backend.age(Duration::from_secs(11)).await;
    let to = ConsumerOffset {
        group_id: "g".to_owned(),
        topic: name("orders"),
        partition_id: 0,
        incarnation: Incarnation(0),
        committed_offset: 0,
        metadata: None,
    };
    store.reset_offsets(&[to]).await.expect("nobody is alive");
    assert_fenced_off(store.commit_claimed("g", next, &[offset(&claimed[0].claim, 5)]).await, &orders);
    assert_eq!(committed(store, "g", &orders).await, Some(0));
    store.close().await;
}

#[tokio::test]
async fn a_member_that_is_silent_for_its_lease_loses_its_claims_in_sqlite() {
    silent_members_lose_their_claims(&Backend::sqlite_file().await).await;
}

#[tokio::test]
async fn a_member_that_is_silent_for_its_lease_loses_its_claims_in_postgres() {
    silent_members_lose_their_claims(&Backend::postgres().await).await;
}

#[tokio::test]
async fn a_member_that_is_silent_for_its_lease_loses_its_claims_in_the_model() {
    silent_members_lose_their_claims(&Backend::model().await).await;
}

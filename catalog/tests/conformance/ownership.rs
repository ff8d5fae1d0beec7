//! Cases: agents and ownership.

use std::collections::BTreeSet;
use std::time::Duration;

use catalog::{
    AcquireOutcome, Agent, CatalogError, MetadataStore, Ownership, PartitionOwner, PartitionState, ResumePoint, Scope,
    Suspect, UploadState,
};
use common::{Epoch, Incarnation, OwnerId};
use uuid::Uuid;

use super::fixture::*;

/// Expired as soon as the database's clock advances by a millisecond.
const NO_LEASE: Duration = Duration::ZERO;

/// Waits until the agent's last heartbeat is older than `NO_LEASE`.
async fn expire(store: &dyn MetadataStore, owner: OwnerId) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while store.list_agents(NO_LEASE).await.expect("listed").iter().any(|agent| agent.owner == owner) {
        assert!(tokio::time::Instant::now() < deadline, "the database's clock stands still");
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn every_takeover_raises_the_epoch(store: &dyn MetadataStore) {
    let first = owned(store, "orders").await;
    assert_eq!((first.epoch, first.high_watermark, first.anchor), (Epoch(1), 0, None));
    let request = commit_range(store, &first, 0, 9).await;
    let second = fail_over(store, &first).await;
    let expected = Ownership {
        owner: second.owner,
        epoch: Epoch(2),
        high_watermark: 10,
        anchor: Some(request.anchor),
        ..first.clone()
    };
    assert_eq!(second, expected);
    assert_ne!(second.owner, first.owner);
    let now = get_partition(store, &first.partition).await;
    assert_eq!((now.epoch, now.owner), (Epoch(2), Some(second.owner)));
}

pub(crate) async fn a_live_owner_is_not_robbed_and_an_expired_one_is(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let other = agent(store).await;
    let outcome = acquire(store, other, &held.partition).await;
    assert_eq!(outcome, AcquireOutcome::Held { partition: held.partition.clone(), owner: held.owner });
    assert_eq!(get_partition(store, &held.partition).await.epoch, held.epoch, "nothing changed");
    expire(store, held.owner).await;
    let AcquireOutcome::Acquired(taken) = acquire_expired(store, other, NO_LEASE, &held.partition).await else {
        panic!("the lease has expired");
    };
    assert_eq!((taken.epoch, taken.owner), (Epoch(2), other));
    // A heartbeat renews the lease, but does not return the partition.
    beat(store, held.owner).await;
    assert!(
        matches!(acquire(store, held.owner, &held.partition).await, AcquireOutcome::Held { owner, .. } if owner == other)
    );
}

pub(crate) async fn an_owner_takes_its_own_partition_again_at_a_new_epoch(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let old = request(&held, 0, 9);
    intend(store, &old).await;
    let again = take(store, held.owner, &held.partition).await;
    assert_eq!((again.epoch, again.owner), (Epoch(2), held.owner));
    assert!(assert_fenced(commit(store, &old).await).contains("epoch is 2"));
    commit_range(store, &again, 0, 9).await;
}

pub(crate) async fn outcomes_come_in_the_order_asked_for(store: &dyn MetadataStore) {
    create_topic(store, "orders", 4).await;
    let (one, two) = (agent(store).await, agent(store).await);
    take(store, two, &partition("orders", 1)).await;
    let halted = take(store, two, &partition("orders", 2)).await;
    store.halt(&halted, "stream_regressed").await.expect("halted");
    let wanted = [3, 2, 1, 0].map(|partition_id| partition("orders", partition_id));
    let outcomes = store.acquire(one, LONG_LEASE, &wanted).await.expect("asked");
    assert!(matches!(&outcomes[0], AcquireOutcome::Acquired(held) if held.partition == wanted[0]));
    let expected = AcquireOutcome::Halted { partition: wanted[1].clone(), reason: "stream_regressed".to_owned() };
    assert_eq!(outcomes[1], expected);
    assert_eq!(outcomes[2], AcquireOutcome::Held { partition: wanted[2].clone(), owner: two });
    assert!(matches!(&outcomes[3], AcquireOutcome::Acquired(held) if held.partition == wanted[3]));
    assert!(store.acquire(one, LONG_LEASE, &[]).await.expect("nothing asked").is_empty());
}

pub(crate) async fn an_unknown_partition_or_agent_acquires_nothing(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let wanted = [partition("orders", 0), partition("orders", 1)];
    let owner = agent(store).await;
    let error = store.acquire(owner, LONG_LEASE, &wanted).await.expect_err("absent");
    assert!(matches!(error, CatalogError::PartitionNotFound { partition: 1, .. }), "{error}");
    let stranger = OwnerId(Uuid::now_v7());
    let error = store.acquire(stranger, LONG_LEASE, &wanted[..1]).await.expect_err("no heartbeat");
    assert!(matches!(&error, CatalogError::Refused(reason) if reason.contains("heartbeat")), "{error}");
    let now = get_partition(store, &wanted[0]).await;
    assert_eq!((now.owner, now.epoch), (None, Epoch(0)), "all or nothing");
}

pub(crate) async fn release_gives_back_only_what_is_still_held(store: &dyn MetadataStore) {
    let first = owned(store, "orders").await;
    let second = fail_over(store, &first).await;
    store.release(std::slice::from_ref(&first)).await.expect("nothing to give back");
    assert_eq!(get_partition(store, &first.partition).await.owner, Some(second.owner));
    let stale = Ownership { epoch: Epoch(1), ..second.clone() };
    store.release(&[stale]).await.expect("nothing to give back");
    assert_eq!(get_partition(store, &first.partition).await.owner, Some(second.owner));
    let pending = request(&second, 0, 9);
    intend(store, &pending).await;
    store.release(std::slice::from_ref(&second)).await.expect("released");
    let now = get_partition(store, &first.partition).await;
    assert_eq!((now.owner, now.epoch), (None, Epoch(2)), "the epoch stays");
    assert!(assert_fenced(commit(store, &pending).await).contains("nobody"));
}

pub(crate) async fn a_halted_partition_takes_no_owner_and_no_commit(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let pending = request(&held, 0, 9);
    intend(store, &pending).await;
    let stale = Ownership { epoch: Epoch(0), ..held.clone() };
    assert!(matches!(store.halt(&stale, "x").await, Err(CatalogError::Fenced { .. })));
    store.halt(&held, "stream_regressed\0").await.expect("halted");
    let now = get_partition(store, &held.partition).await;
    assert_eq!((now.state, now.halt_reason.as_deref()), (PartitionState::Halted, Some("stream_regressed\u{fffd}")));
    assert!(assert_fenced(commit(store, &pending).await).contains("halted: stream_regressed"));
    assert!(store.record_intents(&intents(&request(&held, 0, 9))).await[0].is_err());
    store.remove_agent(held.owner).await.expect("removed");
    let other = agent(store).await;
    assert!(matches!(acquire(store, other, &held.partition).await, AcquireOutcome::Halted { .. }));
}

pub(crate) async fn a_removed_agent_releases_everything(store: &dyn MetadataStore) {
    create_topic(store, "orders", 3).await;
    let (one, two) = (agent(store).await, agent(store).await);
    let all = [0, 1, 2].map(|partition_id| partition("orders", partition_id));
    store.acquire(one, LONG_LEASE, &all[..2]).await.expect("acquired");
    take(store, two, &all[2]).await;
    let mut listed: Vec<_> = store.list_agents(LONG_LEASE).await.expect("listed").iter().map(|a| a.owner).collect();
    listed.sort();
    let mut expected = [one, two];
    expected.sort();
    assert_eq!(listed, expected);
    store.remove_agent(one).await.expect("removed");
    store.remove_agent(one).await.expect("again is harmless");
    let listed = store.list_agents(Duration::MAX).await.expect("listed");
    assert_eq!(
        listed,
        [Agent { owner: two, name: "host-1".to_owned(), scope: Scope::All, contact: Default::default() }]
    );
    let owners: Vec<_> =
        store.list_partitions(&name("orders")).await.expect("listed").iter().map(|now| now.owner).collect();
    assert_eq!(owners, [None, None, Some(two)]);
}

pub(crate) async fn takeovers_are_counted_while_the_watermark_stands_still(store: &dyn MetadataStore) {
    let mut held = owned(store, "orders").await;
    assert_eq!((held.takeovers, held.suspect), (0, None), "nobody died");
    for times in 1..=3 {
        expire(store, held.owner).await;
        let AcquireOutcome::Acquired(taken) =
            acquire_expired(store, agent(store).await, NO_LEASE, &held.partition).await
        else {
            panic!("the lease has expired");
        };
        assert_eq!(taken.takeovers, times);
        held = taken;
    }
    store.release(std::slice::from_ref(&held)).await.expect("released");
    let again = take(store, held.owner, &held.partition).await;
    assert_eq!(again.takeovers, 3, "an orderly handover neither adds nor forgets");
    let own = take(store, held.owner, &held.partition).await;
    assert_eq!(own.takeovers, 4, "an owner that takes its own partition again had failed");
    commit_range(store, &own, 0, 9).await;
    store.release(std::slice::from_ref(&own)).await.expect("released");
    assert_eq!(take(store, held.owner, &held.partition).await.takeovers, 0, "a commit is progress");
}

pub(crate) async fn a_suspect_is_noted_until_it_is_cleared_or_passed(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    assert_eq!(store.mark_suspect(&held, 7).await.expect("held"), 1);
    assert_eq!(store.mark_suspect(&held, 7).await.expect("held"), 1, "a repetition counts once");
    let again = fail_over(store, &held).await;
    assert_eq!(again.suspect, Some(Suspect { offset: 7, times: 1 }));
    assert_eq!(store.mark_suspect(&again, 7).await.expect("held"), 2);
    let again = fail_over(store, &again).await;
    assert_eq!(again.suspect, Some(Suspect { offset: 7, times: 2 }));
    assert!(matches!(store.mark_suspect(&held, 7).await, Err(CatalogError::Fenced { .. })), "no longer held");
    assert!(matches!(store.clear_suspect(&held).await, Err(CatalogError::Fenced { .. })), "no longer held");
    assert_eq!(store.mark_suspect(&again, 8).await.expect("held"), 1, "another message");
    store.clear_suspect(&again).await.expect("held");
    let again = fail_over(store, &again).await;
    assert_eq!(again.suspect, None);
    store.mark_suspect(&again, 10).await.expect("held");
    commit_range(store, &again, 0, 9).await;
    let again = fail_over(store, &again).await;
    assert_eq!(again.suspect, Some(Suspect { offset: 10, times: 1 }), "the commit did not pass it");
    commit_range(store, &again, 10, 19).await;
    assert_eq!(fail_over(store, &again).await.suspect, None);
}

pub(crate) async fn a_view_shows_who_is_there_and_who_owns_what(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    create_topic(store, "audit", 1).await;
    let other = OwnerId(Uuid::now_v7());
    let picky = Agent {
        owner: other,
        name: "host-2".to_owned(),
        scope: Scope::Only(vec![name("audit")]),
        contact: Default::default(),
    };
    store.heartbeat(&picky).await.expect("registered");
    let view = store.ownership_view(LONG_LEASE).await.expect("read");
    let plain = Agent { owner: held.owner, name: "host-1".to_owned(), scope: Scope::All, contact: Default::default() };
    assert_eq!(view.agents, [plain.clone(), picky.clone()]);
    let leaving = [Agent { scope: Scope::Nothing, ..plain }, Agent { scope: Scope::Only(vec![]), ..picky }];
    for agent in &leaving {
        store.heartbeat(agent).await.expect("renewed");
    }
    let agents = store.ownership_view(LONG_LEASE).await.expect("read").agents;
    assert_eq!(agents, leaving.map(|agent| Agent { scope: Scope::Nothing, ..agent }), "no topic is not every topic");
    assert_eq!(view.young, BTreeSet::from([held.owner, other]), "they came just now");
    commit_range(store, &held, 0, 9).await;
    let view = store.ownership_view(LONG_LEASE).await.expect("read");
    let row = |topic, owner, epoch, high_watermark| PartitionOwner {
        partition: partition(topic, 0),
        owner,
        epoch: Epoch(epoch),
        high_watermark,
        state: PartitionState::Active,
    };
    assert_eq!(view.partitions, [row("audit", None, 0, 0), row("orders", Some(held.owner), 1, 10)]);
    expire(store, held.owner).await;
    let view = store.ownership_view(NO_LEASE).await.expect("read");
    assert!(view.agents.iter().all(|agent| agent.owner != held.owner), "its lease has expired");
    assert_eq!(view.partitions[1].owner, Some(held.owner), "nobody has taken it over yet");
}

pub(crate) async fn a_halted_partition_resumes_in_a_new_incarnation(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let first = commit_range(store, &held, 0, 9).await;
    let pending = request(&held, 10, 19);
    intend(store, &pending).await;
    let at = ResumePoint { high_watermark: 5, anchor: None, reason: "the stream was made again".to_owned() };
    let refused = store.resume(&held.partition, held.incarnation, &at).await.expect_err("it is active");
    assert!(refused.to_string().contains("not halted"), "{refused}");
    store.halt(&held, "stream_regressed").await.expect("held");
    let now = store.resume(&held.partition, held.incarnation, &at).await.expect("resumed");
    assert_eq!((now.incarnation, now.high_watermark, now.anchor), (Incarnation(1), 5, None));
    assert_eq!((now.state, now.halt_reason, now.owner), (PartitionState::Active, None, None));
    assert!(store.resume(&held.partition, Incarnation(0), &at).await.is_err(), "resumed already");
    let absent = store.resume(&partition("absent", 0), Incarnation(0), &at).await;
    assert!(matches!(absent, Err(CatalogError::PartitionNotFound { .. })), "{absent:?}");
    assert_fenced(commit(store, &pending).await);
    let uploads = store.list_uploads(&held.partition).await.expect("read");
    assert_eq!(uploads.iter().map(|upload| upload.state).collect::<Vec<_>>(), [UploadState::Doomed]);

    let taken = take(store, agent(store).await, &held.partition).await;
    assert_eq!((taken.incarnation, taken.high_watermark, taken.epoch), (Incarnation(1), 5, Epoch(3)));
    // The same offsets once more, in the next incarnation.
    let second = commit_range(store, &taken, 5, 9).await;
    let starts = store.list_incarnations(&held.partition).await.expect("read");
    assert_eq!(starts.len(), 1);
    assert_eq!((starts[0].incarnation, starts[0].start_offset), (Incarnation(1), 5));
    assert_eq!(starts[0].reason, "the stream was made again");
    let commits = store.list_commits(&held.partition).await.expect("read");
    let ranges: Vec<_> =
        commits.iter().map(|c| (c.incarnation.0, c.commit_no, c.range.base(), c.range.end())).collect();
    assert_eq!(ranges, [(0, 1, 0, 9), (1, 2, 5, 9)]);
    assert_eq!((commits[0].anchor, commits[1].anchor), (first.anchor, second.anchor));
    assert_eq!((commits[1].epoch, commits[1].owner), (taken.epoch, taken.owner));
    assert_eq!(commits[1].data_segment_id, Some(second.segments[0].id.clone()));
}

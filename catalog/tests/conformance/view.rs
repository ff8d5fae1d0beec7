//! Many parts of the catalog at one moment.
//!
//! Owns: that a view has what was asked for, and that known snapshots change no answer. Does not own: the parts by
//! themselves (`segments`, `agents`, `commits`).

use std::sync::Arc;

use catalog::{
    ConsumerOffset, MetadataStore, ObjectInfo, ResumePoint, SegmentKind, TopicSnapshot, View, ViewRequest, ViewedTopics,
};
use common::Incarnation;

use super::fixture::*;
use super::replacing::{live_objects, replace};

async fn view_of(store: &dyn MetadataStore, topics: ViewedTopics, known: &[Arc<TopicSnapshot>]) -> View {
    let request = ViewRequest { topics, known: known.to_vec(), list_topics: true, ..ViewRequest::default() };
    store.view(&request).await.expect("read")
}

/// The view with and without what is known is the same; returns what is known from now on.
async fn same(store: &dyn MetadataStore, known: Vec<Arc<TopicSnapshot>>, step: &str) -> Vec<Arc<TopicSnapshot>> {
    let fresh = view_of(store, ViewedTopics::All, &[]).await;
    let saved = view_of(store, ViewedTopics::All, &known).await;
    assert_eq!(View { lost: vec![], ..saved.clone() }, fresh, "{step}");
    assert!(saved.lost.is_empty() || step.contains("of a lost history"), "{step}: {:?}", saved.lost);
    for snapshot in &fresh.snapshots {
        assert_eq!(**snapshot, store.snapshot(&snapshot.topic.name).await.expect("read"), "{step}");
        assert_eq!(snapshot.snapshot_id, fresh.snapshot_id, "{step}");
    }
    saved.snapshots
}

pub(crate) async fn a_view_is_the_same_whatever_is_known(store: &dyn MetadataStore) {
    let mut known = same(store, vec![], "no topic").await;
    let orders = owned(store, "orders").await;
    known = same(store, known, "a topic").await;
    let clicks = owned(store, "clicks").await;
    commit_range(store, &orders, 0, 9).await;
    known = same(store, known, "a commit").await;
    commit_range(store, &clicks, 0, 4).await;
    known = same(store, known, "a commit of another topic").await;
    commit_range(store, &orders, 10, 19).await;
    store.add_segment(imported(&orders.partition, 30, 39)).await.expect("listed");
    known = same(store, known, "two objects more").await;
    commit(store, &gap_request(&orders, 20, 24)).await;
    known = same(store, known, "a gap moves the watermark alone").await;
    let data = live_objects(store, "orders").await.into_iter().filter(|object| object.kind == SegmentKind::Data);
    let data: Vec<_> = data.collect();
    replace(store, orders.owner, &data[..2]).await;
    known = same(store, known, "a replacement").await;
    commit_range(store, &orders, 25, 29).await;
    store.delete_segments_before(&clicks.partition, 5).await.expect("expired");
    known = same(store, known, "objects come and go").await;
    assert_eq!(known.len(), 2);
    let kept = Arc::clone(&known[1]);
    known = same(store, known, "nothing changed").await;
    assert_eq!(known[1], kept);
    let before = store.get_topic(&name("orders")).await.expect("read").expect("exists").schema_version;
    store.update_topic_config(&name("orders"), before, Some(5), Default::default()).await.expect("updated");
    known = same(store, known, "another retention").await;
    store.delete_topic(&name("orders")).await.expect("deleted");
    known = same(store, known, "a topic less").await;
    create_topic(store, "orders", 1).await;
    same(store, [known, vec![kept]].concat(), "another topic of the same name").await;
}

/// After a failover to a server that lagged, snapshots and objects have numbers that a reader knows for others, and objects
/// that it knows as replaced or expired are back.
pub(crate) async fn a_known_snapshot_of_a_lost_history_changes_no_answer(store: &dyn MetadataStore) {
    let orders = owned(store, "orders").await;
    for base in [0, 10, 20] {
        commit_range(store, &orders, base, base + 9).await;
    }
    let now = same(store, vec![], "nothing known").await.pop().expect("a topic");
    let known = |change: &dyn Fn(&mut TopicSnapshot)| {
        let mut known = TopicSnapshot::clone(&now);
        change(&mut known);
        vec![Arc::new(known)]
    };
    let without = |known: &mut TopicSnapshot, place: usize| {
        let gone = known.objects.remove(place);
        known.segments.retain(|segment| segment.object.file_id != gone.file_id);
    };
    let lost = |known: &mut TopicSnapshot| (known.snapshot_id, known.snapshot_time_us) = (now.snapshot_id, 1);
    let of_another_key = |known: &mut TopicSnapshot, place: usize| {
        let mut other = ObjectInfo::clone(&known.objects[place]);
        other.key.push_str("-lost");
        let other = Arc::new(other);
        let of_it = known.segments.iter_mut().filter(|segment| segment.object.file_id == other.file_id);
        of_it.for_each(|segment| segment.object = Arc::clone(&other));
        known.objects[place] = other;
    };
    let cases: [(&str, Vec<Arc<TopicSnapshot>>, bool); 4] = [
        (
            "the number of a snapshot of a lost history",
            known(&|known| {
                lost(known);
                without(known, 1)
            }),
            true,
        ),
        (
            "the last object of a lost history",
            known(&|known| {
                lost(known);
                of_another_key(known, 2)
            }),
            true,
        ),
        (
            "a list without rows of a lost history",
            known(&|known| {
                lost(known);
                known.objects.clear();
                known.segments.clear()
            }),
            false,
        ),
        (
            "fewer objects, but the first ones",
            known(&|known| {
                lost(known);
                without(known, 2)
            }),
            false,
        ),
    ];
    for (step, known, is_lost) in cases {
        same(store, known.clone(), step).await;
        let view = view_of(store, ViewedTopics::All, &known).await;
        assert_eq!(!view.lost.is_empty(), is_lost, "{step}");
    }
}

pub(crate) async fn a_view_has_what_was_asked_for_and_nothing_else(store: &dyn MetadataStore) {
    let orders = owned(store, "orders").await;
    create_topic(store, "clicks", 2).await;
    store.announce(&ingester("http://127.0.0.1:8081")).await.expect("announced");
    commit_range(store, &orders, 0, 9).await;
    commit(store, &gap_request(&orders, 10, 14)).await;
    intend(store, &request(&orders, 20, 29)).await;

    let view = view_of(store, ViewedTopics::These(vec![name("orders"), name("absent")]), &[]).await;
    let names = |view: &View| view.topics.iter().map(|topic| topic.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&view), ["clicks", "orders"]);
    assert_eq!(view.snapshots.iter().map(|of| of.topic.name.as_str()).collect::<Vec<_>>(), ["orders"]);
    assert_eq!((view.commits.len(), view.gaps.len(), view.agents.len(), view.uploads.len()), (0, 0, 0, 0));

    let request = ViewRequest { commits: true, gaps: true, agents: true, uploads: true, ..ViewRequest::default() };
    let view = store.view(&request).await.expect("read");
    assert_eq!((names(&view).len(), view.snapshots.len()), (0, 0));
    let commits: Vec<_> = view.commits.iter().map(|(of, commit)| (of.clone(), commit.clone())).collect();
    let listed = store.list_commits(&orders.partition).await.expect("listed");
    assert_eq!(commits, listed.into_iter().map(|commit| (orders.partition.clone(), commit)).collect::<Vec<_>>());
    let gaps = store.list_gaps(&orders.partition).await.expect("listed");
    assert_eq!(view.gaps, gaps.into_iter().map(|gap| (orders.partition.clone(), gap)).collect::<Vec<_>>());
    let roles: Vec<_> = view.agents.iter().map(|agent| (agent.role.as_str(), agent.partitions)).collect();
    assert_eq!(roles, [("ingester", 0), ("writer", 1)]);
    assert_eq!(view.uploads, store.list_uploads(&orders.partition).await.expect("listed"));
    assert!(!view.uploads.is_empty());
    assert_eq!((view.groups.len(), view.offsets.len()), (0, 0));
}

pub(crate) async fn a_view_has_the_groups_with_their_topics_and_lag(store: &dyn MetadataStore) {
    let orders = owned(store, "orders").await;
    create_topic(store, "clicks", 1).await;
    commit_range(store, &orders, 0, 9).await;
    let (reader, claim) = super::groups::holder(store, "a", &orders.partition).await;
    store.commit_claimed("a", reader, &[super::groups::offset(&claim, 4)]).await.expect("committed");
    store.ensure_consumer_group("b").await.expect("made");
    let ahead = ConsumerOffset {
        group_id: "c".to_owned(),
        topic: name("clicks"),
        partition_id: 0,
        incarnation: Incarnation(0),
        committed_offset: 3,
        metadata: Some("a note".to_owned()),
    };
    store.commit_offset(ahead.clone()).await.expect("committed");
    let request = ViewRequest { groups: true, offsets: true, ..ViewRequest::default() };
    let view = store.view(&request).await.expect("read");
    assert_eq!(view.groups, store.list_groups().await.expect("listed"));
    let topics: Vec<_> = view.groups.iter().map(|of| (of.group_id.as_str(), of.members, of.topics.clone())).collect();
    assert_eq!(topics, [("a", 1, vec![name("orders")]), ("b", 0, vec![]), ("c", 0, vec![name("clicks")])]);
    let offsets: Vec<_> = view.offsets.iter().map(|row| (row.offset.committed_offset, row.lag())).collect();
    assert_eq!(offsets, [(4, Some(6)), (3, Some(0))], "one is ahead of what is committed");
    assert_eq!((&view.offsets[1].offset, view.offsets[1].high_watermark), (&ahead, 0));
    store.halt(&orders, "for the test").await.expect("halted");
    let point = ResumePoint { high_watermark: 0, anchor: None, reason: "for the test".to_owned() };
    store.resume(&orders.partition, orders.incarnation, &point).await.expect("resumed");
    let view = store.view(&request).await.expect("read");
    assert_eq!(
        (view.offsets[0].lag(), view.offsets[0].incarnation),
        (None, Incarnation(1)),
        "offsets of two histories"
    );
    store.delete_topic(&name("orders")).await.expect("deleted");
    let view = store.view(&request).await.expect("read");
    assert_eq!(view.offsets.iter().map(|row| row.offset.group_id.as_str()).collect::<Vec<_>>(), ["c"]);
    assert_eq!(view.groups[0].topics, [name("orders")], "a member still waits for it");
}

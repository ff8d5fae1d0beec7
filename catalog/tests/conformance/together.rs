//! Cases: commits of many partitions whose rows share an object.

use std::sync::Arc;
use std::time::Duration;

use catalog::{
    AcquireOutcome, CatalogError, CommitOutcome, CommitRequest, MetadataStore, NewObject, Ownership, Refusal,
    ReplacementIntent, SegmentKind, UploadState,
};
use common::OwnerId;
use uuid::Uuid;

use super::fixture::*;

/// Lets the first segments of the requests share one new object.
pub(crate) fn share(requests: &mut [CommitRequest]) {
    let rows = requests.iter().filter_map(|request| request.segments.first()).map(|segment| segment.record_count).sum();
    let topic = requests[0].partition.topic.encoded();
    let object: Arc<NewObject> = new_object(format!("{topic}/{}.parquet", Uuid::now_v7()), rows).into();
    for segment in requests.iter_mut().filter_map(|request| request.segments.first_mut()) {
        segment.object = Arc::clone(&object);
    }
}

/// The intent of the object that the requests share.
pub(crate) fn intent(requests: &[CommitRequest]) -> ReplacementIntent {
    let object = &requests[0].segments[0].object;
    let (topic, owner) = (requests[0].partition.topic.clone(), requests[0].owner);
    ReplacementIntent { topic, owner, bucket: object.bucket.clone(), key: object.key.clone() }
}

/// Three partitions of one owner, and requests of ten offsets each that share an object whose intent is recorded.
pub(crate) async fn prepared(store: &dyn MetadataStore) -> (Vec<Ownership>, Vec<CommitRequest>) {
    create_topic(store, "orders", 3).await;
    let owner = agent(store).await;
    let mut held = Vec::new();
    for partition_id in 0..3 {
        held.push(take(store, owner, &partition("orders", partition_id)).await);
    }
    let requests = sharing(store, &held).await;
    (held, requests)
}

/// The next ten offsets of each, in an object whose intent is recorded.
async fn sharing(store: &dyn MetadataStore, held: &[Ownership]) -> Vec<CommitRequest> {
    let mut requests: Vec<_> = held.iter().map(|held| request(held, 0, 9)).collect();
    share(&mut requests);
    store.record_replacement_intent(&intent(&requests)).await.expect("recorded");
    requests
}

fn assert_nothing_done(outcomes: &[CommitOutcome]) {
    assert!(!outcomes.iter().any(|outcome| matches!(outcome, CommitOutcome::Done(_))), "{outcomes:?}");
}

pub(crate) async fn requests_that_share_an_object_are_committed_as_one(store: &dyn MetadataStore) {
    let (held, mut requests) = prepared(store).await;
    // Locks are taken in order of partition, whatever the order of the requests.
    requests.reverse();
    let before = store.list_snapshots().await.expect("read").len();
    let outcomes = store.commit_together(&requests).await;
    assert_eq!(outcomes.len(), 3);
    outcomes.iter().for_each(|outcome| assert_done(outcome, 10));
    let snapshot = store.snapshot(&name("orders")).await.expect("read");
    assert_eq!(store.list_snapshots().await.expect("read").len(), before + 1, "one snapshot");
    let [object] = &snapshot.objects[..] else { panic!("{:?}", snapshot.objects) };
    assert_eq!((object.record_count, object.level), (30, 0));
    assert_eq!((object.min_partition_id, object.max_partition_id), (0, 2));
    assert_eq!((object.min_offset, object.max_offset), (0, 9));
    assert_eq!((object.min_timestamp_us, object.max_timestamp_us), (-1, 1_700_000_000_000_000));
    assert_eq!(snapshot.segments.len(), 3);
    for segment in &snapshot.segments {
        assert_eq!((segment.object.file_id, segment.range, segment.record_count), (object.file_id, range(0, 9), 10));
    }
    assert!(store.list_shared_uploads(&name("orders")).await.expect("read").is_empty(), "the intent is consumed");
    for outcome in store.commit_together(&requests).await {
        assert_done(&outcome, 10);
    }
    for (held, request) in held.iter().zip(requests.iter().rev()) {
        assert_done(&store.resolve(request).await.expect("found"), 10);
        assert_chain(store, &held.partition).await;
        commit_range(store, held, 10, 19).await;
    }
}

pub(crate) async fn thousands_of_partitions_share_an_object(store: &dyn MetadataStore) {
    const PARTITIONS: u32 = 2_000;
    create_topic(store, "wide", PARTITIONS).await;
    let owner = agent(store).await;
    let wanted: Vec<_> = (0..PARTITIONS).map(|partition_id| partition("wide", partition_id)).collect();
    let taken = store.acquire(owner, Duration::from_secs(3_600), &wanted).await.expect("asked");
    let held: Vec<Ownership> = taken
        .into_iter()
        .map(|outcome| match outcome {
            AcquireOutcome::Acquired(held) => held,
            other => panic!("{other:?}"),
        })
        .collect();
    let mut requests = sharing(store, &held).await;
    let wrong = held.len() / 2;
    requests[wrong].epoch.0 += 1;
    assert_nothing_done(&store.commit_together(&requests).await);
    assert_eq!(store.snapshot(&name("wide")).await.expect("read").segments.len(), 0, "one compare failed");
    requests[wrong].epoch.0 -= 1;
    for outcome in store.commit_together(&requests).await {
        assert_done(&outcome, 10);
    }
    let snapshot = store.snapshot(&name("wide")).await.expect("read");
    assert_eq!((snapshot.objects.len(), snapshot.segments.len()), (1, held.len()));
    assert!(snapshot.partitions.iter().all(|partition| (partition.high_watermark, partition.commit_no) == (10, 1)));
}

pub(crate) async fn a_fenced_partition_takes_the_others_back(store: &dyn MetadataStore) {
    let (held, requests) = prepared(store).await;
    store.release(std::slice::from_ref(&held[1])).await.expect("released");
    take(store, agent(store).await, &held[1].partition).await;
    let outcomes = store.commit_together(&requests).await;
    let [CommitOutcome::NotDone(first), CommitOutcome::Refused(Refusal::Fenced { .. }), CommitOutcome::NotDone(_)] =
        &outcomes[..]
    else {
        panic!("{outcomes:?}")
    };
    assert!(matches!(first, CatalogError::NotCommitted(of) if *of == held[0].partition), "{first}");
    for held in &held {
        assert_eq!(get_partition(store, &held.partition).await.high_watermark, 0);
    }
    assert!(store.snapshot(&name("orders")).await.expect("read").objects.is_empty());
    // The same object cannot be listed without the rows of one partition, another one can.
    let fewer = [requests[0].clone(), requests[2].clone()];
    assert_nothing_done(&store.commit_together(&fewer).await);
    store.abandon_replacement(&intent(&requests)).await.expect("given up");
    let anew = sharing(store, &[held[0].clone(), held[2].clone()]).await;
    store.commit_together(&anew).await.iter().for_each(|outcome| assert_done(outcome, 10));
}

pub(crate) async fn a_shared_object_needs_its_intent(store: &dyn MetadataStore) {
    let (held, requests) = prepared(store).await;
    store.abandon_replacement(&intent(&requests)).await.expect("given up");
    for outcome in store.commit_together(&requests).await {
        let CommitOutcome::Refused(Refusal::IntentLost { key }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(key, requests[0].segments[0].object.key);
    }
    let resolved = store.resolve(&requests[0]).await.expect("looked up");
    assert!(matches!(resolved, CommitOutcome::NotDone(_)), "{resolved:?}");
    // The intent of one partition is not that of a shared object.
    let mut own: Vec<_> = held[..1].iter().map(|held| request(held, 0, 9)).collect();
    intend(store, &own[0]).await;
    assert_nothing_done(&store.commit_together(&own).await);
    share(&mut own);
    store.record_replacement_intent(&intent(&own)).await.expect("recorded");
    assert!(!matches!(commit(store, &own[0]).await, CommitOutcome::Done(_)), "nor the other way round");
    assert_done(&store.commit_together(&own).await[0], 10);
}

pub(crate) async fn requests_that_do_not_belong_together_are_refused(store: &dyn MetadataStore) {
    let (held, requests) = prepared(store).await;
    let refused = |outcomes: Vec<CommitOutcome>| {
        let texts: Vec<String> = outcomes
            .iter()
            .map(|outcome| match outcome {
                CommitOutcome::NotDone(error @ CatalogError::Refused(_)) => error.to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        texts.first().cloned().unwrap_or_default()
    };
    let rows = refused(store.commit_together(&requests[..2]).await);
    assert!(rows.contains("have 20 rows, the object 30; they must be the same"), "{rows}");
    let twice = refused(store.commit_together(&[requests[0].clone(), requests[0].clone()]).await);
    assert!(twice.contains("orders/0 by owner"), "{twice}");
    let mut stranger = requests.clone();
    stranger[1].owner = OwnerId(Uuid::now_v7());
    assert!(refused(store.commit_together(&stranger).await).contains("stands among"));
    let mut mixed = requests.clone();
    mixed[1].segments[0].kind = SegmentKind::Quarantine;
    assert!(refused(store.commit_together(&mixed).await).contains("two objects by one key"));
    assert!(store.commit_together(&[]).await.is_empty());
    for held in &held {
        assert_eq!(get_partition(store, &held.partition).await.high_watermark, 0);
    }
    store.commit_together(&requests).await.iter().for_each(|outcome| assert_done(outcome, 10));
}

pub(crate) async fn a_takeover_dooms_the_shared_objects_of_an_owner_that_expired(store: &dyn MetadataStore) {
    let (held, requests) = prepared(store).await;
    let next = agent(store).await;
    // With a lease of no time, everybody has expired.
    until_all_is_past(store).await;
    let taken = store.acquire(next, Duration::ZERO, &[held[1].partition.clone()]).await.expect("asked").remove(0);
    assert!(matches!(taken, AcquireOutcome::Acquired(_)), "{taken:?}");
    let uploads = store.list_shared_uploads(&name("orders")).await.expect("read");
    assert_eq!(uploads.iter().map(|upload| upload.state).collect::<Vec<_>>(), [UploadState::Doomed]);
    assert_nothing_done(&store.commit_together(&requests).await);
    // The others go on with a new object.
    let anew = sharing(store, &[held[0].clone(), held[2].clone()]).await;
    store.release(std::slice::from_ref(&held[0])).await.expect("released");
    take(store, next, &held[0].partition).await;
    let uploads = store.list_shared_uploads(&name("orders")).await.expect("read");
    assert!(uploads.iter().any(|upload| upload.state == UploadState::Pending), "{uploads:?}: it has not expired");
    store.abandon_replacement(&intent(&anew)).await.expect("given up");
}

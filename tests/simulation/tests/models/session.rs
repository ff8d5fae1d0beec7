//! A session with the model of the catalog.
//!
//! Owns: outcomes of calls that the network spoils. Does not own: long histories (`session::history`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use catalog::{
    AcquireOutcome, CatalogError, CommitOutcome, CommitStore, MetadataStore, OwnershipStore, Refusal, SegmentStore,
    TopicStore,
};
use common::ErrorKind;
use simulation::catalog::{Change, Fate, Faults, Guards, Link, ModelCatalog, Rates, Session};
use tokio::time::{Instant, sleep};

use crate::fixture::*;

mod history;

const LATE: Duration = Duration::from_secs(5);

/// Calls take 1 ms each way, late ones 5 s more; nothing goes wrong unless a test asks for it.
fn calm() -> Faults {
    Faults::new(1, Rates { network_ms: (1, 1), late_ms: (5_000, 5_000), ..Rates::default() })
}

/// A partition that agent 1 holds through a session.
async fn held() -> (ModelCatalog, Faults, Session, catalog::Ownership) {
    let (model, faults) = (model(Guards::default()), calm());
    create_orders(&model).await;
    let session = Session::new(&model, &faults, 1);
    let held = take(&session, 1).await;
    (model, faults, session, held)
}

fn is_unavailable<T>(answer: &catalog::Result<T>) -> bool {
    answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable)
}

fn is_not_committed(outcome: &CommitOutcome) -> bool {
    matches!(outcome, CommitOutcome::NotDone(CatalogError::NotCommitted(_)))
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_reply_is_lost_is_unknown_and_resolves_to_done() {
    let (model, faults, session, held) = held().await;
    let request = intended(&session, &held, (0, 9), "a").await;
    faults.force("commit", Fate::ReplyLost);
    assert!(matches!(commit(&session, &request).await, CommitOutcome::Unknown(_)));
    assert_eq!(get_orders(&model).await.high_watermark, 10);
    assert!(is_done(&session.resolve(&request).await.expect("looked up")));
    assert!(is_done(&commit(&session, &request).await), "the same request again changes nothing");
    assert_eq!(get_orders(&model).await.commit_no, 1);
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_request_is_lost_is_not_done() {
    let (model, faults, session, held) = held().await;
    let request = intended(&session, &held, (0, 9), "a").await;
    faults.force("commit", Fate::RequestLost);
    let outcome = commit(&session, &request).await;
    assert!(matches!(&outcome, CommitOutcome::NotDone(error) if error.kind() == ErrorKind::Unavailable), "{outcome:?}");
    faults.force("commit", Fate::CommitLost);
    assert!(matches!(commit(&session, &request).await, CommitOutcome::Unknown(_)), "nobody can know");
    sleep(LATE).await;
    assert_eq!(get_orders(&model).await.high_watermark, 0);
    assert!(is_not_committed(&session.resolve(&request).await.expect("looked up")));
    assert!(is_done(&commit(&session, &request).await));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_arrives_after_a_takeover_is_refused() {
    let (model, faults, session, held) = held().await;
    let late = intended(&session, &held, (0, 9), "a").await;
    faults.force("commit", Fate::ArrivesLate);
    assert!(matches!(commit(&session, &late).await, CommitOutcome::Unknown(_)), "the caller gave up");
    let next = fail_over(&model, 1, 2).await;
    sleep(LATE).await;
    assert_eq!(get_orders(&model).await.high_watermark, 0, "it arrived, and was fenced");
    let outcome = session.resolve(&late).await.expect("looked up");
    assert!(is_fenced(&outcome), "{outcome:?}");
    let again = intended(&model, &next, (0, 4), "b").await;
    assert!(is_done(&commit(&model, &again).await));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_arrives_after_its_resolve_meets_the_compares() {
    let (model, faults, session, held) = held().await;
    let late = intended(&session, &held, (0, 9), "a").await;
    faults.force("commit", Fate::ArrivesLate);
    commit(&session, &late).await;
    assert!(is_not_committed(&session.resolve(&late).await.expect("looked up")), "it is under way still");
    assert!(is_done(&commit(&session, &late).await), "the identical request overtakes it");
    sleep(LATE).await;
    let now = get_orders(&model).await;
    assert_eq!((now.high_watermark, now.commit_no), (10, 1));

    let late = intended(&session, &held, (10, 19), "b").await;
    faults.force("commit", Fate::ArrivesLate);
    commit(&session, &late).await;
    session.abandon_intents(&intents(&late)).await.expect("given up");
    sleep(LATE).await;
    assert_eq!(get_orders(&model).await.high_watermark, 10, "its intent was lost");
    let outcome = commit(&session, &late).await;
    assert!(matches!(outcome, CommitOutcome::Refused(Refusal::IntentLost { .. })), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_late_commit_that_nobody_overtakes_is_applied_once() {
    let (model, faults, session, held) = held().await;
    let late = intended(&session, &held, (0, 9), "a").await;
    faults.force("commit", Fate::ArrivesLate);
    assert!(matches!(commit(&session, &late).await, CommitOutcome::Unknown(_)));
    assert_eq!(get_orders(&model).await.high_watermark, 0);
    sleep(LATE).await;
    assert_eq!(get_orders(&model).await.high_watermark, 10);
    assert!(is_done(&session.resolve(&late).await.expect("looked up")));
}

#[tokio::test(start_paused = true)]
async fn resolve_and_takeover_wait_for_a_commit_that_the_server_has_begun() {
    let (model, faults, session, held) = held().await;
    let request = intended(&session, &held, (0, 9), "a").await;
    faults.force("commit", Fate::EndsLate);
    let begun = Instant::now();
    assert!(matches!(commit(&session, &request).await, CommitOutcome::Unknown(_)));
    assert!(begun.elapsed() < LATE);
    let (resolved, next) = tokio::join!(session.resolve(&request), fail_over(&model, 1, 2));
    assert!(begun.elapsed() >= LATE, "the row was locked");
    assert!(is_done(&resolved.expect("looked up")));
    assert_eq!(next.high_watermark, 10);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_too_long_for_a_row_is_sent_away() {
    let (model, faults, session, held) = held().await;
    let request = intended(&session, &held, (0, 9), "a").await;
    faults.set_rates(Rates { late_ms: (50_000, 50_000), ..Rates::default() });
    faults.force("commit", Fate::EndsLate);
    commit(&session, &request).await;
    assert!(is_unavailable(&session.resolve(&request).await));
    let outcome = commit(&session, &request).await;
    assert!(matches!(outcome, CommitOutcome::NotDone(_)), "this one certainly is not: {outcome:?}");
    assert_eq!(get_orders(&model).await.high_watermark, 0);
    assert!(is_done(&session.resolve(&request).await.expect("looked up")));
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_caller_is_dropped_is_applied() {
    let (model, _faults, session, held) = held().await;
    let request = intended(&session, &held, (0, 9), "a").await;
    {
        let sent = commit(&session, &request);
        tokio::pin!(sent);
        assert!(poll_once(sent.as_mut()).await.is_none(), "it is under way");
    }
    assert_eq!(get_orders(&model).await.high_watermark, 0);
    sleep(LATE).await;
    assert_eq!(get_orders(&model).await.high_watermark, 10);
}

/// Polls the future once.
async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_paused_writer_sends_and_hears_nothing_but_what_it_sent_is_applied() {
    let (model, faults, session, held) = held().await;
    let request = intended(&session, &held, (0, 9), "a").await;
    let next = intended(&session, &held, (10, 19), "b").await;
    let answer = tokio::spawn({
        let session = session.clone();
        async move { (commit(&session, &request).await, commit(&session, &next).await, Instant::now()) }
    });
    tokio::task::yield_now().await;
    faults.pause(1);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(get_orders(&model).await.high_watermark, 10, "only what was sent");
    let resumed = Instant::now();
    faults.resume(1);
    let (first, second, ended) = answer.await.expect("joined");
    assert!(is_done(&first) && is_done(&second) && ended >= resumed, "{first:?} {second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_down_loses_both_ways_and_one_without_replies_loses_answers() {
    let (model, faults, session, held) = held().await;
    let other = Session::new(&model, &faults, 2);
    faults.set_link(1, Link::Down);
    assert!(is_unavailable(&session.check().await));
    other.check().await.expect("another writer is not concerned");
    faults.set_link(1, Link::RepliesLost);
    let request = request(&held, 0, 9, "a");
    assert!(is_unavailable(&session.record_intents(&intents(&request)).await.remove(0)));
    assert_eq!(model.inspect(|state| state.uploads.len()), 1, "it was applied");
    faults.set_links(Link::Down);
    assert!(is_unavailable(&session.list_topics().await) && is_unavailable(&other.list_topics().await));
    let outcome = commit(&session, &request).await;
    assert!(matches!(outcome, CommitOutcome::NotDone(_)), "nothing was sent: {outcome:?}");
    faults.set_links(Link::Up);
    assert!(is_done(&commit(&session, &request).await));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_crashes_forgets_transactions_under_way_and_keeps_committed_ones() {
    let (model, faults, session, held) = held().await;
    let first = intended(&session, &held, (0, 9), "a").await;
    assert!(is_done(&commit(&session, &first).await));
    let second = intended(&session, &held, (10, 19), "b").await;
    faults.force("commit", Fate::EndsLate);
    assert!(matches!(commit(&session, &second).await, CommitOutcome::Unknown(_)));
    model.crash();
    assert!(is_not_committed(&session.resolve(&second).await.expect("no row is locked any more")));
    sleep(LATE).await;
    assert_eq!(get_orders(&model).await.high_watermark, 10);
    assert!(is_done(&commit(&session, &second).await));
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_lags_takes_over_without_the_last_commits() {
    let (model, _faults, session, held) = held().await;
    let first = intended(&session, &held, (0, 9), "a").await;
    assert!(is_done(&commit(&session, &first).await));
    let standby = model.state();
    let lost = intended(&session, &held, (10, 19), "b").await;
    assert!(is_done(&commit(&session, &lost).await));
    model.restore(standby);
    assert_eq!(get_orders(&model).await.high_watermark, 10);
    assert_eq!(model.get_segments(&orders()).await.expect("read").len(), 1);
    let outcome = commit(&session, &lost).await;
    assert!(
        matches!(outcome, CommitOutcome::Refused(Refusal::IntentLost { .. })),
        "its intent lagged too: {outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn leases_expire_by_the_clock_of_the_database_even_when_it_jumps() {
    let (model, _faults, session, held) = held().await;
    sleep(LEASE / 2).await;
    assert!(matches!(acquire(&model, 2).await, AcquireOutcome::Held { owner, .. } if owner == held.owner));
    model.jump_clock(-3_600_000);
    assert!(matches!(acquire(&model, 2).await, AcquireOutcome::Held { .. }), "the heartbeat lies in the future");
    model.jump_clock(7_200_000);
    let next = take(&model, 2).await;
    assert_eq!((next.epoch.0, next.takeovers), (2, 1));
    let late = request(&held, 0, 9, "a");
    assert!(is_fenced(&commit(&session, &late).await));
}

#[tokio::test(start_paused = true)]
async fn the_observer_sees_each_change_with_its_writer_and_no_reads() {
    let (model, _faults, session, held) = held().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = seen.clone();
    model.observe(Box::new(move |state, event| {
        let watermark = state.partitions[&orders()].partition.high_watermark;
        told.lock().expect("no holder panics").push((event.writer, event.changes.clone(), watermark));
    }));
    let request = intended(&session, &held, (0, 9), "a").await;
    session.get_partition(&orders()).await.expect("read");
    assert!(is_done(&commit(&session, &request).await));
    assert!(is_fenced(&commit(&session, &self::request(&held, 5, 9, "b")).await));
    model.remove_agent(owner(1)).await.expect("removed");
    let seen = seen.lock().expect("no holder panics");
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(matches!(&seen[0], (Some(1), changes, 0) if matches!(&changes[..], [Change::Intended(_)])));
    let is_commit = |changes: &[Change]| matches!(changes, [Change::Committed(committed)] if *committed == request);
    assert!(matches!(&seen[1], (Some(1), changes, 10) if is_commit(changes)));
    assert!(matches!(&seen[2], (None, changes, 10) if matches!(&changes[..], [_, Change::Released(..)])));
}

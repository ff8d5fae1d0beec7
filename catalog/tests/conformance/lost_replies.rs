//! Cases: the network between writer and PostgreSQL fails in the middle of an exchange, after every byte of it.
//!
//! Owns: the places of the cuts, and the expected answers of the catalog. Does not own: the lanes (`lanes`), the cut
//! (`support::proxy`), and the writer's reaction to the answer.

use std::time::Duration;

use catalog::{CommitOutcome, CommitRequest, CommitStore};
use common::ErrorKind;
use support::pgbouncer::PgBouncer;
use support::proxy::Direction;

use super::fixture::*;
use super::lanes::{DIRECTIONS, Fate, LANES, Lane, SPARE, Tally, on_every_lane};

/// Bytes at the end of an exchange, with COMMIT and its answer.
const END: u64 = 64;

fn fate(outcome: &CommitOutcome) -> Fate<'_> {
    match outcome {
        CommitOutcome::Done(_) => Fate::Done,
        CommitOutcome::NotDone(error) => Fate::NotDone(error),
        CommitOutcome::Unknown(_) => Fate::Unknown,
        CommitOutcome::Refused(_) => Fate::Refused,
    }
}

impl Lane {
    /// Bytes of one commit on a connection that knows every statement, by direction.
    async fn measure_commit(&mut self) -> [u64; 2] {
        loop {
            self.commit_calmly().await;
            let (connections, before) = (self.proxy.connections(), self.passed());
            self.commit_calmly().await;
            let after = self.passed();
            if self.proxy.connections() == connections {
                return [after[0] - before[0], after[1] - before[1]];
            }
        }
    }

    /// Bytes of one lookup of a commit's outcome, on a new connection.
    async fn measure_resolve(&mut self, request: &CommitRequest) -> [u64; 2] {
        let before = self.passed();
        self.store.resolve(request).await.expect("looked up");
        let after = self.passed();
        [after[0] - before[0], after[1] - before[1]]
    }

    /// Commits with a cut, then settles the outcome as a writer does. Returns true if no other connection was opened.
    async fn cut_commit(&mut self, direction: Direction, bytes: u64, tally: &mut Tally) -> bool {
        let request = self.next_request().await;
        let connections = self.proxy.connections();
        let cut = self.proxy.cut_after(direction, bytes);
        let outcome = commit(&self.store, &request).await;
        self.proxy.disarm();
        let is_one = self.proxy.connections() == connections;
        let was_cut = cut.await.is_ok();
        let settled = self.store.resolve(&request).await.expect("looked up");
        let place = format!("{direction:?} {bytes}: {outcome:?}, settled as {settled:?}");
        tally.count(&fate(&outcome), &fate(&settled), &place);
        assert!(was_cut || matches!(outcome, CommitOutcome::Done(_)), "nothing was cut: {place}");
        // Sending the identical request again is correct in every case.
        assert_done(&commit(&self.store, &request).await, self.next);
        is_one
    }
}

/// Cuts a commit after every byte in this lane's `share`.
async fn cut_everywhere(mut lane: Lane, share: usize, stride: u64) -> Tally {
    let exchange = lane.measure_commit().await;
    let mut tally = Tally::default();
    for (direction, length) in DIRECTIONS.into_iter().zip(exchange) {
        let is_cut = |bytes: &u64| bytes.is_multiple_of(stride) || bytes + END >= length;
        for bytes in (0..=length + SPARE).filter(is_cut).skip(share).step_by(LANES) {
            // Repeated if the connection was cut before the commit took it, so that another was opened.
            for _ in 0..3 {
                lane.commit_calmly().await;
                if lane.cut_commit(direction, bytes, &mut tally).await {
                    break;
                }
            }
        }
        println!("lane {share}, {direction:?}: {length} bytes");
    }
    assert_chain(&lane.direct, &lane.held.partition).await;
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_cut_off_after_any_byte_is_settled_and_recorded_once() {
    let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
    cut_off(&url, 1).await;
}

/// The pooler outlives the cut, and has the transaction in its hands. The texts of all statements are sent each time, so
/// that a commit has many more bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_cut_off_before_a_pooler_anywhere_is_settled_and_recorded_once() {
    let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
    let pooler = PgBouncer::before(&url, &["pool_mode = transaction"]).await.expect("a pooler");
    cut_off(pooler.url(), 61).await;
}

/// Cuts commits off after every byte whose number is a multiple of `stride`, and after each of the last ones.
async fn cut_off(url: &str, stride: u64) {
    let total = on_every_lane(url, |lane, share| cut_everywhere(lane, share, stride)).await;
    // Cuts before COMMIT, in it, after it, and beyond the answer all occur.
    assert!(total.not_done > 0 && total.unknown_not_done > 0 && total.unknown_done > 0 && total.done > 0, "{total:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_on_a_new_connection_is_settled_wherever_it_is_cut_off() {
    let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
    let mut lane = Lane::start(&url, "orders").await;
    let mut tally = Tally::default();
    for bytes in (0..6_000).step_by(97) {
        for direction in DIRECTIONS {
            lane.proxy.cut();
            lane.cut_commit(direction, bytes, &mut tally).await;
        }
    }
    println!("{tally:?}");
    assert!(tally.not_done > 0 && tally.done > 0, "{tally:?}");
    assert_chain(&lane.direct, &lane.held.partition).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_at_an_unknown_outcome_that_is_cut_off_is_repeated_and_tells_the_truth() {
    let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
    let mut lane = Lane::start(&url, "orders").await;
    let committed = lane.next_request().await;
    assert_done(&commit(&lane.store, &committed).await, lane.next);
    let waiting = lane.next_request().await;
    let exchange = lane.measure_resolve(&committed).await;
    let mut failed = 0;
    for (direction, length) in DIRECTIONS.into_iter().zip(exchange) {
        for bytes in (0..=length + SPARE).step_by(17) {
            for request in [&committed, &waiting] {
                let _cut = lane.proxy.cut_after(direction, bytes);
                let first = lane.store.resolve(request).await;
                lane.proxy.disarm();
                let answer = match first {
                    Ok(answer) => answer,
                    Err(error) => {
                        failed += 1;
                        assert_eq!(error.kind(), ErrorKind::Unavailable, "{direction:?} {bytes}: {error}");
                        lane.store.resolve(request).await.expect("looked up")
                    }
                };
                let is_done = matches!(answer, CommitOutcome::Done(_));
                assert_eq!(is_done, request == &committed, "{direction:?} {bytes}: {answer:?}");
                assert!(is_done || matches!(answer, CommitOutcome::NotDone(_)), "{direction:?} {bytes}: {answer:?}");
            }
        }
    }
    println!("{exchange:?} bytes, {failed} looks cut off");
    assert!(failed > 50, "{failed}");
    assert_done(&commit(&lane.store, &waiting).await, lane.next);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intent_that_is_cut_off_is_recorded_by_the_next_attempt() {
    let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
    let mut lane = Lane::start(&url, "orders").await;
    let mut failed = 0;
    for bytes in (0..1_500).step_by(11) {
        for direction in DIRECTIONS {
            let request = request(&lane.held, lane.next, lane.next);
            let _cut = lane.proxy.cut_after(direction, bytes);
            let first = lane.store.record_intents(&intents(&request)).await.remove(0);
            lane.proxy.disarm();
            if let Err(error) = first {
                failed += 1;
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{direction:?} {bytes}: {error}");
                intend(&lane.store, &request).await;
            }
            lane.next += 1;
            assert_done(&commit(&lane.store, &request).await, lane.next);
        }
    }
    println!("{failed} intents cut off");
    assert!(failed > 20, "{failed}");
    assert_chain(&lane.direct, &lane.held.partition).await;
}

/// The route is lost in the middle of a commit, and neither end gets a signal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_never_comes_is_given_up_and_settled() {
    let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
    let mut lane = Lane::start(&url, "orders").await;
    lane.store = lane.store.with_answer_timeout(Duration::from_secs(2));
    let exchange = lane.measure_commit().await;
    let (mut unknown, mut not_done) = (0, 0);
    for (direction, length) in DIRECTIONS.into_iter().zip(exchange) {
        for bytes in [length / 3, length / 2, length - 20, length - 1] {
            lane.commit_calmly().await;
            let request = lane.next_request().await;
            let _stranded = lane.proxy.strand_after(direction, bytes);
            let outcome = commit(&lane.store, &request).await;
            match &outcome {
                CommitOutcome::Unknown(error) | CommitOutcome::NotDone(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{direction:?} {bytes}: {error}");
                }
                // The pool's test got no answer, and the commit took another connection.
                CommitOutcome::Done(_) => {}
                CommitOutcome::Refused(refusal) => panic!("{direction:?} {bytes}: {refusal}"),
            }
            unknown += u64::from(matches!(outcome, CommitOutcome::Unknown(_)));
            not_done += u64::from(matches!(outcome, CommitOutcome::NotDone(_)));
            // The server ends a silent session, and with it the lock; a test need not wait for that.
            lane.proxy.disarm();
            lane.proxy.cut();
            while !matches!(lane.store.resolve(&request).await, Ok(CommitOutcome::Done(_))) {
                commit(&lane.store, &request).await;
            }
        }
    }
    println!("{unknown} unknown, {not_done} not done");
    assert!(unknown > 0 && not_done > 0);
    assert_chain(&lane.direct, &lane.held.partition).await;
}

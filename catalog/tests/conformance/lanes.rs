//! Lanes: partitions whose owner's connection to PostgreSQL goes through a proxy that cuts it off.
//!
//! Owns: a lane with its commits, the tally of outcomes, and running several lanes at the same time. Does not own: the
//! places of the cuts and the expected answers (`lost_replies`, `lost_replacements`), the cut (`support::proxy`).

use std::net::SocketAddr;
use std::time::Duration;

use catalog::{CatalogError, CommitRequest, Ownership, PostgresMetadataStore};
use common::ErrorKind;
use support::proxy::{Direction, Proxy};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::fixture::*;

pub(super) const DIRECTIONS: [Direction; 2] = [Direction::ToServer, Direction::ToClient];
/// Partitions that are cut off at once, each behind a proxy of its own.
pub(super) const LANES: usize = 4;
/// Exchanges differ by a few digits; the last cuts lie slightly beyond the measured one.
pub(super) const SPARE: u64 = 16;

/// One partition, and its owner's connection to the database.
pub(super) struct Lane {
    pub(super) proxy: Proxy,
    /// Through the proxy.
    pub(super) store: PostgresMetadataStore,
    /// Around the proxy.
    pub(super) direct: PostgresMetadataStore,
    pub(super) held: Ownership,
    /// The next offset.
    pub(super) next: u64,
}

/// What an operation, or the look at its outcome, answered.
#[derive(Debug)]
pub(super) enum Fate<'a> {
    Done,
    NotDone(&'a CatalogError),
    Unknown,
    Refused,
}

/// Numbers of operations that were cut off, by outcome.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) done: u64,
    pub(super) not_done: u64,
    pub(super) unknown_done: u64,
    pub(super) unknown_not_done: u64,
}

impl Lane {
    pub(super) async fn start(url: &str, topic: &str) -> Self {
        let server = server_address(url);
        let proxy = Proxy::start(server).await.expect("a proxy");
        let direct = PostgresMetadataStore::connect(url).await.expect("opens");
        let through = url.replace(&server.to_string(), &proxy.address().to_string());
        let store = PostgresMetadataStore::connect(&through).await.expect("opens");
        let held = owned(&direct, topic).await;
        Self { proxy, store, direct, held, next: 0 }
    }

    /// A request for the next offset, with its intent recorded around the proxy.
    pub(super) async fn next_request(&mut self) -> CommitRequest {
        let request = request(&self.held, self.next, self.next);
        intend(&self.direct, &request).await;
        self.next += 1;
        request
    }

    /// A commit without a cut. The connection that it returns to the pool knows every statement.
    pub(super) async fn commit_calmly(&mut self) {
        let request = self.next_request().await;
        assert_done(&commit(&self.store, &request).await, self.next);
        self.settle_pool().await;
    }

    /// Waits until the connection is back in the pool.
    pub(super) async fn settle_pool(&self) {
        // The pool tests a returned connection; until the test ends it opens a new connection for another caller.
        let mut before = [0, 0];
        while before != self.passed() {
            before = self.passed();
            sleep(Duration::from_millis(2)).await;
        }
    }

    pub(super) fn passed(&self) -> [u64; 2] {
        DIRECTIONS.map(|direction| self.proxy.passed(direction))
    }
}

impl Tally {
    /// Counts an operation by its outcome and what the catalog says of it later. The two must not contradict.
    pub(super) fn count(&mut self, outcome: &Fate<'_>, settled: &Fate<'_>, place: &str) {
        match (outcome, settled) {
            (Fate::Done, Fate::Done) => self.done += 1,
            (Fate::NotDone(error), Fate::NotDone(_)) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{place}");
                self.not_done += 1;
            }
            (Fate::Unknown, Fate::Done) => self.unknown_done += 1,
            (Fate::Unknown, Fate::NotDone(_)) => self.unknown_not_done += 1,
            _ => panic!("{place}"),
        }
    }

    fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.not_done += other.not_done;
        self.unknown_done += other.unknown_done;
        self.unknown_not_done += other.unknown_not_done;
    }
}

/// Runs `cut_everywhere` on every lane of the database at `url`, with the lane's number, and returns the sum.
pub(super) async fn on_every_lane<F>(url: &str, cut_everywhere: impl Fn(Lane, usize) -> F) -> Tally
where
    F: Future<Output = Tally> + Send + 'static,
{
    let mut lanes = JoinSet::new();
    for share in 0..LANES {
        lanes.spawn(cut_everywhere(Lane::start(url, &format!("orders-{share}")).await, share));
    }
    let mut total = Tally::default();
    for tally in lanes.join_all().await {
        total.add(&tally);
    }
    println!("{total:?}");
    total
}

pub(super) fn server_address(url: &str) -> SocketAddr {
    let authority = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).expect("an authority");
    authority.rsplit('@').next().expect("a host").parse().expect("an address and a port")
}

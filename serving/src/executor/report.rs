//! What is counted and logged of each query.
//!
//! Owns: names, units, labels and help texts of the metrics, and the line of a query in the log. A query that nobody
//! reported an end of was cancelled: its client left, or the process ends.
//! Does not own: the recorder (the crate `service`), the text of a statement, which only the level `debug` shows.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Client, Door};
use crate::error::{FailureKind, QueryFailure};

pub(super) const RUNNING: &str = "siltstone_queries_running";
pub(super) const QUEUED: &str = "siltstone_queries_queued";
const QUERIES: &str = "siltstone_queries_total";
const SECONDS: &str = "siltstone_query_seconds";
const ROWS: &str = "siltstone_query_rows_total";

/// Gives every metric its help text, and sets those without labels to zero.
pub fn describe_metrics() {
    describe_gauge!(RUNNING, "queries that run, or are being planned");
    describe_gauge!(QUEUED, "queries that wait for a slot");
    describe_counter!(QUERIES, "queries that ended, by door and outcome: done, failed, refused, cancelled");
    describe_histogram!(SECONDS, "from the arrival of a query to its last row, by door");
    describe_counter!(ROWS, "rows that queries answered");
    gauge!(RUNNING).set(0.0);
    gauge!(QUEUED).set(0.0);
    counter!(ROWS).increment(0);
}

/// A query on its way to its end.
#[derive(Debug)]
pub(super) struct Report {
    id: Uuid,
    door: Door,
    token: Option<String>,
    began: Instant,
    rows: u64,
    is_reported: bool,
}

impl Report {
    pub(super) fn begin(id: Uuid, client: &Client) -> Self {
        let token = client.caller.token_id().map(str::to_owned);
        Self { id, door: client.door, token, began: Instant::now(), rows: 0, is_reported: false }
    }

    /// Counts rows of the answer, and returns their number so far.
    pub(super) fn add(&mut self, rows: usize) -> u64 {
        self.rows += rows as u64;
        counter!(ROWS).increment(rows as u64);
        self.rows
    }

    /// Nothing ended: the statement was only planned.
    pub(super) fn forget(mut self) {
        self.is_reported = true;
    }

    pub(super) fn done(mut self) {
        self.count("done");
        let (query, door, token, rows) = (self.id, self.door.as_str(), self.token.as_deref(), self.rows);
        tracing::info!(%query, door, token, rows, ms = self.ms(), "query answered");
    }

    /// Reports the failure, and gives it back.
    pub(super) fn failed(&mut self, failure: QueryFailure) -> QueryFailure {
        self.count(if failure.kind == FailureKind::Busy { "refused" } else { "failed" });
        let (query, door, token, rows) = (self.id, self.door.as_str(), self.token.as_deref(), self.rows);
        let (ms, error) = (self.ms(), &failure.message);
        match failure.kind {
            FailureKind::Internal | FailureKind::Unavailable => {
                tracing::warn!(%query, door, token, rows, ms, %error, "query failed");
            }
            _ => tracing::info!(%query, door, token, rows, ms, %error, "query failed"),
        }
        failure
    }

    fn ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn count(&mut self, outcome: &'static str) {
        self.is_reported = true;
        counter!(QUERIES, "door" => self.door.as_str(), "outcome" => outcome).increment(1);
        histogram!(SECONDS, "door" => self.door.as_str()).record(self.began.elapsed());
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if !self.is_reported {
            self.count("cancelled");
            let (query, door, token, rows) = (self.id, self.door.as_str(), self.token.as_deref(), self.rows);
            tracing::info!(%query, door, token, rows, ms = self.ms(), "query cancelled");
        }
    }
}

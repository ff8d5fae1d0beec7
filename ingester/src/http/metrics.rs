//! The metrics of requests and of their records.
//!
//! Owns: names, units, labels and help texts. Does not own: the recorder (the crate `service`), the places that count.

use axum::http::{Method, StatusCode};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use tokio::time::Instant;

use super::access::Seen;
use super::answer::Outcome;

pub(crate) const REQUESTS: &str = "siltstone_http_requests_total";
pub(crate) const REQUEST_SECONDS: &str = "siltstone_http_request_seconds";
pub(crate) const IN_FLIGHT: &str = "siltstone_http_requests_in_flight";
pub(crate) const BODY_BYTES: &str = "siltstone_http_body_bytes_total";
pub(crate) const RECORDS: &str = "siltstone_http_records_total";

/// The route of a request that has none.
const NO_ROUTE: &str = "none";

/// Gives every metric its help text, and sets those without labels to zero.
pub(crate) fn describe() {
    describe_counter!(REQUESTS, "requests over HTTP that ended, by route, method and status; cut: the client left");
    describe_histogram!(REQUEST_SECONDS, "from the head of a request to its answer, by route and method");
    describe_gauge!(IN_FLIGHT, "requests over HTTP that are under way");
    describe_counter!(BODY_BYTES, "bytes of bodies as they were sent");
    describe_counter!(RECORDS, "records that were answered, by outcome: stored, duplicate, or the code of the error");
    gauge!(IN_FLIGHT).set(0.0);
    counter!(BODY_BYTES).increment(0);
    counter!(RECORDS, "outcome" => "stored").increment(0);
}

/// Counts bytes of a body.
pub(super) fn count_body(bytes: usize) {
    counter!(BODY_BYTES).increment(bytes as u64);
}

/// Counts the records of an answer.
pub(super) fn count_records(records: &[Outcome]) {
    let (mut stored, mut duplicates) = (0, 0);
    for record in records {
        match (&record.error, record.place) {
            (Some(error), _) => counter!(RECORDS, "outcome" => error.code.as_str()).increment(1),
            (None, Some(place)) if place.duplicate => duplicates += 1,
            (None, _) => stored += 1,
        }
    }
    for (outcome, count) in [("stored", stored), ("duplicate", duplicates)] {
        if count > 0 {
            counter!(RECORDS, "outcome" => outcome).increment(count);
        }
    }
}

/// A request that is measured. Dropped without an answer, it counts as cut.
pub(super) struct Measured {
    seen: Seen,
    method: &'static str,
    began: Instant,
    status: Option<StatusCode>,
}

impl Measured {
    pub(super) fn begin(seen: Seen, method: &Method) -> Self {
        gauge!(IN_FLIGHT).increment(1.0);
        Self { seen, method: label_of(method), began: Instant::now(), status: None }
    }

    /// Milliseconds since the beginning.
    pub(super) fn ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    pub(super) fn answered(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        gauge!(IN_FLIGHT).decrement(1.0);
        let (route, method) = (self.seen.route().unwrap_or(NO_ROUTE), self.method);
        let status = self.status.map_or_else(|| "cut".to_owned(), |status| status.as_u16().to_string());
        counter!(REQUESTS, "route" => route, "method" => method, "status" => status).increment(1);
        histogram!(REQUEST_SECONDS, "route" => route, "method" => method).record(self.began.elapsed());
    }
}

/// The name of a method that HTTP defines: clients must not make labels.
fn label_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn a_request_whose_client_left_counts_as_cut_and_clients_make_no_labels() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let page = || recorder.handle().render();
        metrics::with_local_recorder(&recorder, || {
            describe();
            let brew = Method::from_bytes(b"BREW").expect("a method");
            let under_way = Measured::begin(Seen::default(), &Method::POST);
            assert!(page().contains(&format!("{IN_FLIGHT} 1\n")), "{}", page());
            drop(under_way);
            Measured::begin(Seen::default(), &brew).answered(StatusCode::METHOD_NOT_ALLOWED);
        });
        let page = page();
        for line in [
            "siltstone_http_requests_in_flight 0",
            "siltstone_http_requests_total{route=\"none\",method=\"POST\",status=\"cut\"} 1",
            "siltstone_http_requests_total{route=\"none\",method=\"other\",status=\"405\"} 1",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in:\n{page}");
        }
    }
}

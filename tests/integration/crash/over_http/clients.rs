//! The clients: each sends one request after the other, and repeats it with the same key until it is answered.
//!
//! Owns: the records, the requests, and the last answer to each record. Does not own: the rows that they must become
//! (`judge`).
//!
//! A client also drops some answers of success as if they had not arrived, and repeats the request at another server.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use futures::future::join_all;
use serde::Deserialize;
use serde_json::json;
use support::http::{self, Response};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);
/// One answer of success in this many does not arrive.
const DROPPED_EVERY: u32 = 12;
/// Numbers of the records of one client.
const NUMBERS_PER_CLIENT: u64 = 1_000_000_000;

/// The requests of all clients: the same for the same seed, as many as there is time for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) clients: usize,
    pub(super) sends_keys: bool,
}

/// The form of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Sound,
    /// Its number is in quotes: it belongs in quarantine.
    Broken,
    /// An array: it is refused, and stored nowhere.
    NotAnObject,
}

/// A record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) n: u64,
    pub(super) form: Form,
    pub(super) text: String,
}

impl Record {
    /// The bytes of the record.
    pub(super) fn payload(&self) -> String {
        match self.form {
            Form::Sound => json!({ "n": self.n, "text": self.text }),
            Form::Broken => json!({ "n": self.n.to_string(), "text": self.text }),
            Form::NotAnObject => json!([self.n]),
        }
        .to_string()
    }
}

/// Partition and offset.
pub(super) type Place = (u32, u64);

/// The final answer to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The queue has it, or with `committed` the catalog.
    Stored { place: Place, is_committed: bool },
    /// It is committed, in quarantine.
    Quarantined { place: Place },
    /// A final error, with its code: it is stored once at most.
    Refused { code: String },
}

/// A record and its answers.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) record: Record,
    pub(super) told: Told,
    /// Another place that an earlier answer named.
    pub(super) other_place: Option<Place>,
}

/// Everything that was sent and answered.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) answered: Vec<Answered>,
    requests: u64,
    cut_off: u64,
    refused_for_now: u64,
    dropped: u64,
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answered, requests, cut_off, refused_for_now, dropped } = self;
        write!(
            f,
            "{} records in {requests} requests answered (repeated after {cut_off} errors of the connection, {refused_for_now} \
             answers 5xx or 429, {dropped} answers that were dropped)",
            answered.len()
        )
    }
}

/// One entry of an answer.
#[derive(Debug, Deserialize)]
struct Entry {
    partition: Option<u32>,
    offset: Option<u64>,
    error: Option<EntryError>,
}

#[derive(Debug, Deserialize)]
struct EntryError {
    code: String,
}

#[derive(Debug, Deserialize)]
struct Body {
    #[serde(default)]
    records: Vec<Entry>,
}

impl Entry {
    fn place(&self) -> Option<Place> {
        Some((self.partition?, self.offset?))
    }
}

/// Sends until `enough` is cancelled; returns when the last request of each client is answered.
pub(super) async fn send(addresses: Vec<String>, plan: Plan, enough: CancellationToken) -> Sent {
    let client = |number| Client::new(number, plan, addresses.clone()).run(enough.clone());
    let mut all = Sent::default();
    for sent in join_all((0..plan.clients).map(client)).await {
        all.answered.extend(sent.answered);
        all.requests += sent.requests;
        all.cut_off += sent.cut_off;
        all.refused_for_now += sent.refused_for_now;
        all.dropped += sent.dropped;
    }
    all
}

struct Client {
    rng: Rng,
    addresses: Vec<String>,
    key_prefix: Option<String>,
    is_committed: bool,
    next: u64,
    sent: Sent,
}

/// A request that is repeated as it is.
struct Request {
    path: String,
    content_type: &'static str,
    key: Option<String>,
    body: String,
    records: Vec<Record>,
}

impl Client {
    fn new(number: usize, plan: Plan, addresses: Vec<String>) -> Self {
        Self {
            rng: Rng::with_seed(plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number as u64),
            addresses,
            key_prefix: plan.sends_keys.then(|| format!("{}-{number}", plan.seed)),
            is_committed: number % 2 == 1,
            next: number as u64 * NUMBERS_PER_CLIENT,
            sent: Sent::default(),
        }
    }

    async fn run(mut self, enough: CancellationToken) -> Sent {
        while !enough.is_cancelled() {
            let request = self.request();
            self.deliver(request).await;
        }
        self.sent
    }

    fn record(&mut self) -> Record {
        let n = self.next;
        self.next += 1;
        let form = match self.rng.u32(..100) {
            0 | 1 => Form::Broken,
            2 => Form::NotAnObject,
            _ => Form::Sound,
        };
        let letters = ['a', 'Z', '0', ' ', '"', '\\', '\n', 'ß', '日'];
        let length = self.rng.usize(..120);
        let text = std::iter::repeat_with(|| letters[self.rng.usize(..letters.len())]).take(length).collect();
        Record { n, form, text }
    }

    fn request(&mut self) -> Request {
        let count = if self.rng.u32(..10) == 0 { self.rng.usize(20..60) } else { self.rng.usize(1..6) };
        let records: Vec<Record> = std::iter::repeat_with(|| self.record()).take(count).collect();
        let payloads: Vec<String> = records.iter().map(Record::payload).collect();
        let (content_type, body) = match self.rng.bool() {
            true => ("application/x-ndjson", payloads.join("\n")),
            false => ("application/json", format!("[{}]", payloads.join(","))),
        };
        let acks = if self.is_committed { "committed" } else { "queued" };
        let by_field = if self.rng.u32(..4) == 0 { "&key_field=n" } else { "" };
        let key = self.key_prefix.as_ref().map(|prefix| format!("{prefix}/{}", records[0].n));
        Request { path: format!("/v1/topics/orders/records?acks={acks}{by_field}"), content_type, key, body, records }
    }

    async fn deliver(&mut self, request: Request) {
        let mut headers = vec![("Content-Type", request.content_type)];
        headers.extend(request.key.as_deref().map(|key| ("Idempotency-Key", key)));
        let mut places: Vec<Vec<Place>> = vec![Vec::new(); request.records.len()];
        self.sent.requests += 1;
        loop {
            let server = &self.addresses[self.rng.usize(..self.addresses.len())];
            let answer = http::post(&format!("{server}{}", request.path), &headers, request.body.as_bytes()).await;
            let Ok(answer) = answer else {
                self.sent.cut_off += 1;
                sleep(PAUSE_AFTER_FAILURE).await;
                continue;
            };
            let Some(entries) = entries(&answer, request.records.len()) else {
                // The connection ended in the middle of the answer.
                self.sent.cut_off += 1;
                continue;
            };
            entries.iter().zip(&mut places).for_each(|(entry, places)| places.extend(entry.place()));
            if answer.status >= 500 || answer.status == 429 {
                self.sent.refused_for_now += 1;
                sleep(PAUSE_AFTER_FAILURE).await;
                continue;
            }
            if self.rng.u32(..DROPPED_EVERY) == 0 {
                self.sent.dropped += 1;
                continue;
            }
            return self.note(request.records, &entries, &places);
        }
    }

    fn note(&mut self, records: Vec<Record>, entries: &[Entry], places: &[Vec<Place>]) {
        for ((record, entry), places) in records.into_iter().zip(entries).zip(places) {
            let told = match (&entry.error, entry.place()) {
                (None, Some(place)) => Told::Stored { place, is_committed: self.is_committed },
                (Some(error), Some(place)) if error.code == "quarantined" => Told::Quarantined { place },
                (Some(error), _) => Told::Refused { code: error.code.clone() },
                (None, None) => panic!("an entry without place and error: {entry:?}"),
            };
            let other_place = places.iter().copied().find(|place| Some(*place) != places.last().copied());
            self.sent.answered.push(Answered { record, told, other_place });
        }
    }
}

/// The entries of an answer, one for each record unless it is an error of the whole request; `None` if it is not whole.
fn entries(answer: &Response, records: usize) -> Option<Vec<Entry>> {
    let body: Body = serde_json::from_slice(&answer.body).ok()?;
    let is_whole_error = answer.status >= 500 || answer.status == 429;
    assert!(is_whole_error || body.records.len() == records, "{}: {}", answer.status, answer.text());
    Some(body.records)
}

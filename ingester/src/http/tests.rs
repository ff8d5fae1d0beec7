//! Publishing over HTTP through real sockets, into a queue and a catalog in memory.

use std::sync::Arc;
use std::time::Duration;

use catalog::{AutoCreate, MetadataStore, NewToken, TopicConfig};
use common::config::Settings;
use common::queue::memory::InMemoryQueue;
use common::topic::{Format, TopicOptions};
use common::{Message, Queue, TopicName, TopicPartition};
use lake::Storage;
use serde_json::{Value, json};
use service::{Intake, IntakeLimits, Listener};
use support::http::{self, Response};

use super::{Api, ApiOptions, ApiParts};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");

/// The service with one topic `orders` of three partitions.
pub(super) struct Setup {
    pub(super) queue: Arc<InMemoryQueue>,
    pub(super) catalog: Arc<dyn MetadataStore>,
    _intake: Intake,
    pub(super) url: String,
}

impl Setup {
    pub(super) async fn new() -> Self {
        Self::with(16 << 20, ApiOptions::default()).await
    }

    async fn with(queue_bytes: usize, options: ApiOptions) -> Self {
        Self::with_tokens(queue_bytes, options, vec![]).await
    }

    /// The same with these tokens, so that each request needs one; one with the name `revoked` is revoked.
    pub(super) async fn with_tokens(queue_bytes: usize, options: ApiOptions, tokens: Vec<NewToken>) -> Self {
        let queue = Arc::new(InMemoryQueue::new(queue_bytes));
        let catalog = catalog::connect("sqlite::memory:").await.expect("a catalog in memory");
        let config = TopicConfig {
            name: TopicName::new("orders").expect("valid"),
            partition_count: 3,
            retention_ms: None,
            config: TopicOptions { format: Format::Raw, ..TopicOptions::default() },
        };
        catalog::create_topic(queue.as_ref(), catalog.as_ref(), config).await.expect("new topic");
        for token in tokens {
            let token = catalog.create_token(token).await.expect("created");
            if token.name == "revoked" {
                catalog.revoke_token(&token.name).await.expect("revoked");
            }
        }
        let parts = ApiParts {
            queue: Arc::clone(&queue) as Arc<dyn Queue>,
            catalog: Arc::clone(&catalog),
            storage: Storage::memory(),
            hints: None,
            tail: None,
            is_queue_kept: true,
            cache: Default::default(),
            auto_create: AutoCreate::default(),
            queries: None,
        };
        let api = Api::open(parts, options).await.expect("queue and catalog answer");
        let settings = Settings { ingest_addr: ([127, 0, 0, 1], 0).into(), ..Settings::default() };
        let listener = Listener::bind_ingest(&settings).await.expect("any port");
        let intake = Intake::serve(listener, api.router(), IntakeLimits::default());
        Self { queue, catalog, url: format!("http://{}", intake.addr()), _intake: intake }
    }

    async fn post(&self, query: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let url = format!("{}/v1/topics/orders/records{query}", self.url);
        http::post(&url, headers, body).await.expect("an answer")
    }

    pub(super) async fn stored(&self, partition: u32) -> Vec<Message> {
        let partition = TopicPartition::new(TopicName::new("orders").expect("valid"), partition);
        self.queue.read(&partition, 0, u64::MAX).await.expect("readable")
    }

    async fn payloads(&self, partition: u32) -> Vec<String> {
        let stored = self.stored(partition).await.into_iter();
        stored.map(|message| String::from_utf8(message.payload.to_vec()).expect("text")).collect()
    }
}

/// Status and body, which must be JSON.
#[track_caller]
pub(super) fn answered(response: &Response) -> (u16, Value) {
    assert!(response.header("x-request-id").is_some(), "{response:?}");
    let body = serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {response:?}"));
    (response.status, body)
}

/// Status and code of an error of the one form.
#[track_caller]
pub(super) fn refused(response: &Response) -> (u16, String) {
    let (status, body) = answered(response);
    assert!(body["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    (status, body["error"]["code"].as_str().expect("a code").to_owned())
}

#[tokio::test]
async fn an_object_and_an_array_of_objects_are_records() {
    let setup = Setup::new().await;
    let one = answered(&setup.post("?partition=1", &[JSON], "\u{feff} {\"id\": 1} ".as_bytes()).await);
    assert_eq!(one, (200, json!({ "records": [{ "partition": 1, "offset": 0, "duplicate": false }] })));
    let many = answered(&setup.post("?partition=1", &[JSON], br#"[{"id":2}, {"id": 3.10}]"#).await);
    assert_eq!(many.1["records"][1], json!({ "partition": 1, "offset": 2, "duplicate": false }));
    assert_eq!(setup.payloads(1).await, [r#"{"id": 1}"#, r#"{"id":2}"#, r#"{"id": 3.10}"#]);
    assert_eq!(answered(&setup.post("", &[JSON], b"[]").await), (200, json!({ "records": [] })));
}

#[tokio::test]
async fn lines_and_bytes_are_records_and_records_without_a_key_take_turns() {
    let setup = Setup::new().await;
    let lines = answered(&setup.post("", &[NDJSON], b"{\"n\":1}\n\n{\"n\":2}\r\n{\"n\":3}").await);
    assert_eq!(lines.0, 200);
    let partitions: Vec<_> = lines.1["records"].as_array().expect("a list").iter().map(|r| &r["partition"]).collect();
    assert_eq!(partitions, [0, 1, 2]);
    let bytes =
        [("Content-Type", "application/octet-stream"), ("Siltstone-Key", "k"), ("Siltstone-Header-Source", "x")];
    let sent = answered(&setup.post("?partition=2", &bytes, b"\0any\nbytes\xff").await);
    assert_eq!(sent.1["records"][0]["offset"], 1);
    let message = &setup.stored(2).await[1];
    assert_eq!((&message.payload[..], message.key.as_deref()), (&b"\0any\nbytes\xff"[..], Some(&b"k"[..])));
    assert_eq!(message.headers, [("source".to_owned(), "x".to_owned())]);
}

#[tokio::test]
async fn an_invalid_record_is_reported_by_its_number_and_holds_back_no_other() {
    let setup = Setup::new().await;
    let (status, body) = answered(&setup.post("?partition=0", &[NDJSON], b"{\"n\":1}\nbroken\n[]\n{\"n\":2}\n").await);
    assert_eq!((status, &body["error"]["code"]), (422, &json!("refused")));
    let records = body["records"].as_array().expect("a list");
    assert_eq!(records[0]["offset"], 0);
    assert_eq!(records[1]["error"]["code"], "invalid_record");
    assert!(records[1]["error"]["message"].as_str().expect("text").starts_with("not JSON: "), "{body}");
    assert_eq!(records[2]["error"]["message"], "not a JSON object");
    assert_eq!(records[3]["offset"], 1);
    assert_eq!(setup.payloads(0).await, [r#"{"n":1}"#, r#"{"n":2}"#]);
    let (status, body) = answered(&setup.post("?partition=0&atomic=true", &[NDJSON], b"{\"n\":3}\nbroken").await);
    assert_eq!((status, &body["records"][0]["error"]["code"]), (422, &json!("not_sent")));
    assert_eq!(setup.payloads(0).await.len(), 2, "with atomic=true nothing is sent");
    let whole = setup.post("?atomic=true", &[JSON], br#"[{"n":4},{"n":5}]"#).await;
    assert_eq!(whole.status, 200);
}

#[tokio::test]
async fn records_keep_their_own_times_and_a_wrong_time_is_reported_by_its_number() {
    let setup = Setup::new().await;
    let lines = b"{\"at\":1767225600000}\n{\"at\":\"soon\"}\n{\"n\":1}\n{\"at\":\"2026-01-01T01:00:00.000001+01:00\"}";
    let (status, body) = answered(&setup.post("?partition=0&timestamp_field=at", &[NDJSON], lines).await);
    assert_eq!(status, 422);
    for (index, part) in [(1, "member \"at\" is \"soon\""), (2, "no member \"at\"")] {
        let error = &body["records"][index]["error"];
        assert_eq!(error["code"], "invalid_record");
        assert!(error["message"].as_str().expect("text").contains(part), "{error}");
    }
    let header = ("Siltstone-Timestamp", "2026-01-01T00:00:00.5Z");
    let bytes = ("Content-Type", "application/octet-stream");
    assert_eq!(setup.post("?partition=0", &[bytes, header], b"x").await.status, 200);
    assert_eq!(setup.post("?partition=0&timestamp=7", &[JSON], b"{}").await.status, 200);
    let times = setup.stored(0).await.into_iter().map(|message| message.headers);
    let expected = [
        "2026-01-01T00:00:00.000Z",
        "2026-01-01T00:00:00.000001Z",
        "2026-01-01T00:00:00.500Z",
        "1970-01-01T00:00:00.007Z",
    ];
    let expected = expected.map(|text| vec![("Siltstone-Timestamp".to_owned(), text.to_owned())]);
    assert_eq!(times.collect::<Vec<_>>(), expected);
    let wrong = setup.post("?timestamp=2026-01-01", &[JSON], b"{}").await;
    assert_eq!(refused(&wrong), (400, "invalid_request".to_owned()));
    let of_bytes = setup.post("?timestamp_field=at", &[bytes], b"x").await;
    assert_eq!(refused(&of_bytes), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn a_retry_with_the_same_idempotency_key_stores_nothing_twice() {
    let setup = Setup::new().await;
    let headers = [JSON, ("Idempotency-Key", "order-7")];
    let first = answered(&setup.post("", &headers, br#"[{"n":1},{"n":2}]"#).await).1;
    let again = answered(&setup.post("", &headers, br#"[{"n":1},{"n":2}]"#).await);
    assert_eq!(again.0, 200);
    for index in 0..2 {
        let (first, again) = (&first["records"][index], &again.1["records"][index]);
        assert_eq!((&first["duplicate"], &again["duplicate"]), (&json!(false), &json!(true)));
        assert_eq!((&first["partition"], &first["offset"]), (&again["partition"], &again["offset"]));
    }
    let other = setup.post("", &[JSON, ("Idempotency-Key", "order-8")], br#"{"n":1}"#).await;
    assert_eq!(answered(&other).1["records"][0]["duplicate"], false);
    let mut stored = 0;
    for partition in 0..3 {
        stored += setup.stored(partition).await.len();
    }
    assert_eq!(stored, 3);
}

#[tokio::test]
async fn a_key_chooses_the_partition_and_the_trace_is_kept() {
    let setup = Setup::new().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [NDJSON, ("traceparent", trace)];
    let lines = b"{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"a\"}\n{\"other\":1}";
    let (status, body) = answered(&setup.post("?key_field=id", &headers, lines).await);
    assert_eq!(status, 422);
    assert_eq!(body["records"][0]["partition"], body["records"][2]["partition"]);
    let expected = "there is no member \"id\" to take the key from";
    assert_eq!(body["records"][3]["error"]["message"], expected);
    let partition = body["records"][0]["partition"].as_u64().expect("a number") as u32;
    let message = &setup.stored(partition).await[0];
    assert_eq!(message.key.as_deref(), Some(&b"a"[..]));
    assert_eq!(message.headers, [("traceparent".to_owned(), trace.to_owned())]);
}

#[tokio::test]
async fn requests_that_cannot_be_taken_are_refused_in_one_form() {
    let setup = Setup::new().await;
    let post =
        async |query: &str, headers: &[(&str, &str)], body: &[u8]| refused(&setup.post(query, headers, body).await);
    assert_eq!(post("", &[], b"{}").await, (415, "unsupported_media_type".to_owned()));
    assert_eq!(post("", &[("Content-Type", "text/plain")], b"{}").await.0, 415);
    assert_eq!(post("", &[JSON, ("Content-Encoding", "br")], b"{}").await.0, 415);
    assert_eq!(post("?acks=all", &[JSON], b"{}").await, (400, "invalid_request".to_owned()));
    assert_eq!(post("?partition=3", &[JSON], b"{}").await.0, 400);
    assert_eq!(post("?key_field=a", &[("Content-Type", "application/octet-stream")], b"{}").await.0, 400);
    for body in ["", "{", "[{}", "{} {}", "nothing"] {
        assert_eq!(post("", &[JSON], body.as_bytes()).await, (400, "invalid_body".to_owned()), "{body:?}");
    }
    assert_eq!(post("", &[JSON], b"7").await, (422, "refused".to_owned()), "JSON, and no object");
    assert_eq!(post("", &[JSON, ("Content-Encoding", "gzip")], b"no gzip").await, (400, "invalid_body".to_owned()));
    let at = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let answer = http::request(method, &format!("{}{path}", setup.url), headers, b"{}").await.expect("an answer");
        refused(&answer)
    };
    assert_eq!(at("POST", "/v1/topics/absent/records", &[JSON]).await, (404, "topic_not_found".to_owned()));
    assert_eq!(at("POST", "/v1/topics/a%00b/records", &[JSON]).await, (400, "invalid_request".to_owned()));
    assert_eq!(at("POST", "/v1/topics/%ff/records", &[JSON]).await, (400, "invalid_request".to_owned()));
    assert_eq!(at("GET", "/v2", &[]).await, (404, "not_found".to_owned()));
    assert_eq!(at("PUT", "/v1/topics/orders/records", &[]).await, (405, "method_not_allowed".to_owned()));
    let foreign = at("POST", "/v1/topics/orders/records", &[JSON, ("Origin", "https://evil.example")]).await;
    assert_eq!(foreign, (403, "origin_not_allowed".to_owned()));
    for partition in 0..3 {
        assert!(setup.stored(partition).await.is_empty());
    }
}

#[tokio::test]
async fn a_page_of_this_machine_may_publish_and_read_the_answer() {
    let setup = Setup::new().await;
    let origin = ("Origin", "http://localhost:3000");
    let wanted =
        [origin, ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "content-type")];
    let url = format!("{}/v1/topics/orders/records", setup.url);
    let preflight = http::request("OPTIONS", &url, &wanted, b"").await.expect("an answer");
    assert_eq!((preflight.status, preflight.header("access-control-allow-headers")), (204, Some("content-type")));
    assert_eq!(preflight.header("access-control-allow-origin"), Some("http://localhost:3000"));
    let sent = setup.post("", &[JSON, origin], b"{}").await;
    assert_eq!((sent.status, sent.header("access-control-allow-origin")), (200, Some("http://localhost:3000")));
    let plain = setup.post("", &[JSON, ("X-Request-Id", "mine")], b"{}").await;
    assert_eq!((plain.header("access-control-allow-origin"), plain.header("x-request-id")), (None, Some("mine")));
}

#[tokio::test]
async fn limits_on_bodies_and_records_are_answered_with_what_was_taken() {
    let options = ApiOptions { body_bytes_max: 3 << 20, ..ApiOptions::default() };
    let setup = Setup::with(16 << 20, options).await;
    let large = vec![b'x'; (3 << 20) + 1];
    let bytes = ("Content-Type", "application/octet-stream");
    assert_eq!(refused(&setup.post("", &[bytes], &large).await), (413, "too_large".to_owned()));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(2000));
    std::io::Write::write_all(&mut packed, line.repeat(2000).as_bytes()).expect("in memory");
    let packed = packed.finish().expect("in memory");
    let (status, body) = answered(&setup.post("?partition=0", &[NDJSON, ("Content-Encoding", "gzip")], &packed).await);
    assert_eq!((status, &body["error"]["code"]), (413, &json!("too_large")));
    let records = body["records"].as_array().expect("a list");
    let stored = records.iter().filter(|record| record["offset"].is_u64()).count();
    assert!((500..1700).contains(&stored), "{stored} of {} are stored", records.len());
    assert_eq!(setup.stored(0).await.len(), stored, "the answer says what is stored");
    assert!(records[stored..].iter().all(|record| record["error"]["code"] == "not_sent"));
    let many = "{}\n".repeat(200_001);
    let (status, body) = answered(&setup.post("?atomic=true", &[NDJSON], many.as_bytes()).await);
    assert_eq!((status, &body["error"]["code"]), (413, &json!("too_large")));
    assert!(body["error"]["message"].as_str().expect("text").contains("more than 200000 records"), "{}", body["error"]);
}

#[tokio::test]
async fn a_record_that_the_queue_refuses_holds_back_no_other() {
    let setup = Setup::with(64 << 10, ApiOptions::default()).await;
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(70_000));
    let lines: String =
        (0..20).map(|n| if n == 13 { format!("{large}\n") } else { format!("{{\"n\":{n}}}\n") }).collect();
    let (status, body) = answered(&setup.post("?partition=0", &[NDJSON], lines.as_bytes()).await);
    assert_eq!(status, 422);
    assert_eq!(body["records"][13]["error"]["code"], "too_large");
    let others = (0..20).filter(|n| *n != 13).map(|n| format!("{{\"n\":{n}}}")).collect::<Vec<_>>();
    assert_eq!(setup.payloads(0).await, others, "in their order");
}

#[tokio::test]
async fn a_queue_that_does_not_confirm_in_time_leaves_the_record_unconfirmed() {
    let options = ApiOptions { timeout: Duration::from_millis(200), ..ApiOptions::default() };
    let setup = Setup::with(8 << 10, options).await;
    let filler = format!("{{\"a\":\"{}\"}}", "x".repeat(7_000));
    assert_eq!(setup.post("?partition=0", &[JSON], filler.as_bytes()).await.status, 200);
    let full = setup.post("?partition=0", &[JSON], filler.as_bytes()).await;
    assert_eq!((full.status, full.header("retry-after")), (503, Some("1")));
    let record = &answered(&full).1["records"][0];
    assert_eq!(record["error"]["code"], "unconfirmed");
    assert!(record["error"]["message"].as_str().expect("text").contains("INGEST_TIMEOUT_SECS"), "{record}");
    // Two parts, the first of which has no room: the second is not sent, so that a repetition keeps the order.
    let lines = "{}\n".repeat(5_001);
    let (status, body) = answered(&setup.post("?partition=0", &[NDJSON], lines.as_bytes()).await);
    assert_eq!((status, &body["records"][4_999]["error"]["code"]), (503, &json!("unconfirmed")));
    assert_eq!(body["records"].as_array().map(Vec::len), Some(5_000), "nothing more was read");
    assert_eq!(body["error"]["message"], "the queue did not confirm all records; the rest is not sent");
}

#[tokio::test]
async fn a_commit_that_does_not_come_in_time_is_no_success() {
    let options = ApiOptions { timeout: Duration::from_millis(200), ..ApiOptions::default() };
    let setup = Setup::with(16 << 20, options).await;
    let late = setup.post("?partition=0&acks=committed", &[JSON], b"[{},{}]").await;
    assert_eq!(late.header("retry-after"), Some("1"));
    let (status, body) = answered(&late);
    assert_eq!((status, &body["error"]["code"]), (504, &json!("timeout")));
    for (index, record) in body["records"].as_array().expect("a list").iter().enumerate() {
        assert_eq!((&record["offset"], &record["error"]["code"]), (&json!(index), &json!("not_committed")));
    }
    assert!(setup.stored(0).await.iter().all(|message| message.is_awaited));
}

#[tokio::test]
async fn beyond_the_bytes_in_flight_new_requests_are_sent_away() {
    let options = ApiOptions { in_flight_bytes: 1, timeout: Duration::from_secs(2), ..ApiOptions::default() };
    let setup = Setup::with(8 << 10, options).await;
    let filler = format!("{{\"a\":\"{}\"}}", "x".repeat(7_000));
    assert_eq!(setup.post("?partition=0", &[JSON], filler.as_bytes()).await.status, 200);
    // It waits for room in the queue and is the only one that is let in meanwhile.
    let waiting = setup.post("?partition=0", &[JSON], filler.as_bytes());
    let refused_meanwhile = async {
        while setup.queue.waiting_publishers() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        setup.post("?partition=1", &[JSON], b"{}").await
    };
    let (waited, sent_away) = tokio::join!(waiting, refused_meanwhile);
    assert_eq!(refused(&sent_away), (503, "unavailable".to_owned()));
    assert_eq!(sent_away.header("retry-after"), Some("1"));
    assert_eq!(waited.status, 503, "it was let in, and the queue had no room in time");
    assert_eq!(setup.post("?partition=1", &[JSON], b"[]").await.status, 200, "the bytes are free again");
}

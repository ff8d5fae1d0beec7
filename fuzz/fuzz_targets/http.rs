//! The HTTP service behind its router: any method, target, headers and body get an answer that is no defect.
//!
//! Owns: requests made of bytes, and a queue that confirms everything and keeps nothing.
//! Does not own: connections and HTTP itself (axum, hyper).
//!
//! The input is a request as it is on the wire, with line feeds: `POST /v1/topics/json/records?key=a`, headers, an empty line,
//! and the body.
#![no_main]

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request, StatusCode};
use catalog::{AutoCreate, NewToken, TokenSecret, TopicConfig};
use common::queue::{Bounds, PublishAck, SubscribeRequest};
use common::topic::{ColumnSpec, ColumnType, Format, TopicOptions};
use common::{Message, OutgoingMessage, Queue, QueueError, Subscription, TopicDefinition, TopicName, TopicPartition};
use ingester::http::{Api, ApiOptions, ApiParts};
use lake::Storage;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use tower_service::Service;

/// Catalog and routes are made anew after so many requests, which may have made topics.
const REQUESTS: u32 = 10_000;

/// Confirms everything, and keeps nothing.
#[derive(Debug, Default)]
struct Sink {
    next: Mutex<HashMap<TopicPartition, u64>>,
}

#[async_trait]
impl Queue for Sink {
    async fn create_topic(&self, _: &TopicDefinition) -> Result<(), QueueError> {
        Ok(())
    }
    async fn delete_topic(&self, _: &TopicDefinition) -> Result<(), QueueError> {
        Ok(())
    }
    async fn open_topic(&self, _: &TopicDefinition, _: Option<i64>, _: &[u64]) -> Result<(), QueueError> {
        Ok(())
    }
    async fn publish(
        &self,
        to: &TopicPartition,
        messages: Vec<OutgoingMessage>,
    ) -> Result<Vec<PublishAck>, QueueError> {
        let mut next = self.next.lock().expect("no holder panics");
        let next = next.entry(to.clone()).or_default();
        let ack = |_| {
            *next += 1;
            PublishAck { offset: *next - 1, duplicate: false }
        };
        Ok(messages.iter().map(ack).collect())
    }
    async fn subscribe(&self, _: SubscribeRequest) -> Result<Box<dyn Subscription>, QueueError> {
        Err(QueueError::refused("nobody reads it"))
    }
    async fn bounds(&self, of: &TopicPartition) -> Result<Bounds, QueueError> {
        let next_offset = self.next.lock().expect("no holder panics").get(of).copied().unwrap_or_default();
        let (history, limits) = (String::new(), None);
        Ok(Bounds { first_offset: 0, next_offset, history, limits, created_us: None, duplicate_window: None, omits: None })
    }
    async fn read(&self, _: &TopicPartition, _: u64, _: u64) -> Result<Vec<Message>, QueueError> {
        Ok(Vec::new())
    }
    async fn check(&self) -> Result<(), QueueError> {
        Ok(())
    }
}

struct Served {
    runtime: Runtime,
    /// Needs no token.
    open: Router,
    /// Needs one, which nobody knows.
    guarded: Router,
    requests: u32,
}

impl Served {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (open, guarded) = runtime.block_on(async { (router(false).await, router(true).await) });
        Self { runtime, open, guarded, requests: 0 }
    }

    fn answer(&mut self, request: Request<Body>) -> StatusCode {
        self.requests += 1;
        let has_token = request.headers().contains_key("authorization");
        let router = if has_token { &mut self.guarded } else { &mut self.open };
        let ready = Service::<Request<Body>>::poll_ready(router, &mut Context::from_waker(Waker::noop()));
        assert!(matches!(ready, Poll::Ready(Ok(()))), "a router is always ready");
        let answering = Service::<Request<Body>>::call(router, request);
        self.runtime.block_on(async {
            let response = answering.await.expect("a router does not fail");
            let status = response.status();
            let body = axum::body::to_bytes(response.into_body(), 16 << 20).await.expect("a body that ends");
            if status.is_client_error() || status.is_server_error() {
                let error: serde_json::Value = serde_json::from_slice(&body).expect("an error is JSON");
                assert!(error["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
            }
            status
        })
    }
}

/// The service with three topics, and with a token that each request needs if it `is_guarded`.
async fn router(is_guarded: bool) -> Router {
    let queue: Arc<dyn Queue> = Arc::new(Sink::default());
    let catalog = catalog::connect("sqlite::memory:").await.expect("a catalog in memory");
    let json = TopicOptions::json(vec![ColumnSpec::new("n", ColumnType::Int64)]);
    let text = TopicOptions { format: Format::Text, packed: true, ..TopicOptions::default() };
    for (name, config) in [("raw", TopicOptions::default()), ("json", json), ("text", text)] {
        let name = TopicName::new(name).expect("valid");
        let topic = TopicConfig { name, partition_count: 3, retention_ms: None, config };
        catalog::create_topic(queue.as_ref(), catalog.as_ref(), topic).await.expect("new");
    }
    if is_guarded {
        let secret = TokenSecret::generate();
        let grants = vec!["read:*".parse().expect("valid")];
        let (id, name, hash) = (secret.id().to_owned(), "t".to_owned(), secret.hash());
        let token = NewToken { id, name, hash, grants, expires_at: None };
        catalog.create_token(token).await.expect("new");
    }
    // A wait for a commit would last as long as this: nobody commits.
    let timeout = Duration::from_millis(5);
    let options = ApiOptions { body_bytes_max: 64 << 10, timeout, ..ApiOptions::default() };
    let auto_create = AutoCreate::default();
    let parts = ApiParts {
        queue,
        catalog,
        storage: Storage::memory(),
        hints: None,
        tail: None,
        is_queue_kept: true,
        cache: Default::default(),
        auto_create,
        queries: None,
    };
    Api::open(parts, options).await.expect("queue and catalog answer").router()
}

/// The request in `input`; `None` if no server would read one.
fn request_of(input: &[u8]) -> Option<Request<Body>> {
    let mut rest = input;
    let mut line = || {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        Some(line)
    };
    let (method, target) = std::str::from_utf8(line()?).ok()?.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(target).header("Host", "localhost");
    while let Some(header) = line().filter(|header| !header.is_empty()) {
        let colon = header.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&header[..colon]).ok()?;
        let value = HeaderValue::from_bytes(header[colon + 1..].trim_ascii()).ok()?;
        request = request.header(name, value);
    }
    request.body(Body::from(rest.to_vec())).ok()
}

thread_local! {
    static SERVED: RefCell<Option<Served>> = const { RefCell::new(None) };
}

fuzz_target!(|input: &[u8]| {
    let Some(request) = request_of(input) else { return };
    SERVED.with_borrow_mut(|served| {
        let status = served.get_or_insert_with(Served::new).answer(request);
        assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR);
        if served.as_ref().is_some_and(|served| served.requests >= REQUESTS) {
            *served = None;
        }
    });
});

//! Records over HTTP: the service of `siltstone up`, and the clients that load it, in one process.
//!
//! Owns: the requests, and the service for the time of a phase. Does not own: the service (`ingester`), a connection
//! (`client`). The CPU time of the clients is counted with that of the service.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use catalog::AutoCreate;
use common::config::Settings;
use ingester::http::ApiParts;
use ingester::service::HttpService;
use service::{Listener, connect};
use tokio::sync::watch;
use tokio::task::JoinSet;
use writer::RunningWriter;

use super::client::{Client, request};
use super::latency::{self, Caller, Latency, Size};
use super::report::{NDJSON, Run};
use super::{Place, run_of};
use crate::commands::bench::load::Payloads;
use crate::commands::bench::measure::Measurement;

/// Records of one request.
const REQUEST_RECORDS: u64 = 5_000;
/// Connections that send at once: more than the cores of a small machine, so that none waits for a client.
const CONNECTIONS: usize = 4;

/// The service at an address of its own.
struct Server {
    http: HttpService,
    addr: SocketAddr,
}

impl Server {
    async fn start(place: &Place<'_>, hints: Option<watch::Receiver<u64>>) -> anyhow::Result<Self> {
        let settings = Settings { ingest_addr: ([127, 0, 0, 1], 0).into(), ..place.bench.settings.clone() };
        let listener = Listener::bind_ingest(&settings).await?;
        let addr = listener.addr();
        let (queue, catalog) = (Arc::clone(&place.queue), Arc::clone(&place.catalog));
        let storage = connect::storage(&settings)?;
        let parts = ApiParts {
            queue,
            catalog,
            storage,
            hints,
            tail: None,
            is_queue_kept: true,
            cache: Default::default(),
            auto_create: AutoCreate::default(),
            queries: None,
        };
        Ok(Self { http: HttpService::start(&settings, listener, parts).await?, addr })
    }
}

fn path(place: &Place<'_>, acks: &str) -> String {
    format!("/v1/topics/{}/records?acks={acks}", place.bench.topic.name.encoded())
}

/// Requests of many records, as fast as they are answered; nobody reads the queue meanwhile.
pub(super) async fn throughput(place: &Place<'_>, messages: u64) -> anyhow::Result<Run> {
    let server = Server::start(place, None).await?;
    let (bench, path) = (place.bench, path(place, "queued"));
    let mut clients = Vec::new();
    for number in 0..CONNECTIONS as u64 {
        // Each connection repeats one request: records need no id to be told apart.
        let mut payloads = Payloads::new(bench.topic.config.format, bench.payload_bytes, number);
        let share = messages / CONNECTIONS as u64 + u64::from(number < messages % CONNECTIONS as u64);
        let mut request_of = |records: u64| {
            let lines: Vec<Bytes> = (0..records).map(|_| payloads.next()).collect();
            request(server.addr, &path, "application/x-ndjson", &lines.join(&b"\n"[..]))
        };
        let (times, left) = (share / REQUEST_RECORDS, share % REQUEST_RECORDS);
        let (full, rest) = (request_of(REQUEST_RECORDS), (left > 0).then(|| request_of(left)));
        clients.push((Client::connect(server.addr).await?, times, full, rest));
    }
    let (measurement, mut tasks) = (Measurement::start(), JoinSet::new());
    for (mut client, times, full, rest) in clients {
        tasks.spawn(async move {
            for _ in 0..times {
                client.send(&full).await?;
            }
            match rest {
                Some(rest) => client.send(&rest).await,
                None => Ok(()),
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let phase = measurement.finish(messages, messages * bench.payload_bytes as u64);
    server.http.drain().await;
    Ok(run_of(vec![(NDJSON, phase)]))
}

struct Poster {
    client: Client,
    addr: SocketAddr,
    path: String,
    payloads: Payloads,
}

impl Caller for Poster {
    async fn call(&mut self) -> anyhow::Result<()> {
        let request = request(self.addr, &self.path, "application/json", &self.payloads.next());
        self.client.send(&request).await
    }
}

/// Times of requests of one record each, every client over a connection of its own.
pub(super) async fn latency(place: &Place<'_>, running: &RunningWriter, size: Size) -> anyhow::Result<Latency> {
    let server = Server::start(place, Some(running.commits())).await?;
    let path = path(place, &size.acks.to_string());
    let mut posters = Vec::with_capacity(size.clients);
    for number in 0..size.clients as u64 {
        let payloads = Payloads::new(place.bench.topic.config.format, place.bench.payload_bytes, number);
        let client = Client::connect(server.addr).await?;
        posters.push(Poster { client, addr: server.addr, path: path.clone(), payloads });
    }
    let measured = latency::measure(posters, size).await;
    server.http.drain().await;
    measured
}

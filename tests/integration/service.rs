//! The services as processes: pages, signals, refusals at start, standby.
//!
//! Owns: starting a service, finding its address in its log, and reading its pages. Does not own: the expectations of
//! each test (the modules below).

mod balance;
mod catalog_faults;
mod compaction;
mod disk_faults;
mod drain;
mod failover;
mod failpoints;
mod histories;
mod kinds;
mod limits;
mod logins;
mod logs;
mod pages;
mod poison;
mod refusals;
mod standby;
mod store_faults;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_nats::jetstream;
use serde_json::Value;
use support::http::{self, Response};
use support::nats::NatsServer;
use support::process::Process;
use tokio::time::{Instant, sleep};

use crate::binary::{Answer, DEADLINE, POLL, Siltstone};

/// The binary that starts a service.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The `writer` binary.
    Writer,
    /// `siltstone up`.
    Up,
}

/// A running service; killed when dropped.
struct Service {
    process: Process,
    log: PathBuf,
    address: String,
}

async fn on_nats() -> (NatsServer, Siltstone) {
    let nats = NatsServer::start().await.expect("a NATS server");
    let siltstone = on(&nats);
    (nats, siltstone)
}

/// Settings of a service on this server whose batches stay open until a test closes them; the log is JSON.
fn on(nats: &NatsServer) -> Siltstone {
    Siltstone::new()
        .with("QUEUE_TYPE", "nats")
        .with("NATS_URL", &nats.url())
        .with("FLUSH_INTERVAL_SECS", "3600")
        .with("LEASE_SECS", "2")
        .with("LOG_FORMAT", "json")
}

async fn create_orders(siltstone: &Siltstone) {
    siltstone.run(&["topic", "create", "orders", "--column", "n:int64!"]).await.ok();
}

/// Publishes `{"n":…}` for each number like a stock client, without the catalog; all are confirmed.
async fn publish(nats: &NatsServer, numbers: std::ops::Range<u64>) {
    let client = async_nats::connect(nats.url()).await.expect("connected");
    let context = jetstream::new(client);
    let mut confirmations = Vec::new();
    for n in numbers {
        let sent = context.publish("orders.0", format!("{{\"n\":{n}}}").into()).await;
        confirmations.push(sent.expect("sent").into_future());
    }
    for confirmed in confirmations {
        confirmed.await.expect("confirmed");
    }
}

/// `(rows, different numbers, largest number)` of `orders`.
async fn counted(siltstone: &Siltstone) -> (u64, u64, u64) {
    let sql = "SELECT count(*) AS r, count(DISTINCT n) AS d, max(n) AS m FROM orders";
    let row = siltstone.run(&["query", "--json", sql]).await.ok().json();
    let number = |name: &str| row[name].as_u64().unwrap_or(0);
    (number("r"), number("d"), number("m"))
}

/// The high watermark of `orders`.
async fn high_watermark(siltstone: &Siltstone) -> u64 {
    let described = siltstone.run(&["topic", "describe", "orders", "--json"]).await.ok().json();
    described["partitions"][0]["high_watermark"].as_u64().expect("a number")
}

/// Waits until every offset of `orders` below `offset` is committed.
async fn committed(siltstone: &Siltstone, offset: u64) {
    let end = Instant::now() + DEADLINE;
    loop {
        // An unreachable or locked catalog does not answer.
        let described = siltstone.run(&["topic", "describe", "orders", "--json"]).await;
        let watermark = (described.code == 0).then(|| described.json()["partitions"][0]["high_watermark"].as_u64());
        if watermark.flatten().is_some_and(|watermark| watermark >= offset) {
            return;
        }
        assert!(Instant::now() < end, "the watermark stays below {offset}: {described:?}");
        sleep(POLL).await;
    }
}

/// The names of all files below a directory, some of which may vanish meanwhile.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// The command with the settings of `siltstone`.
fn command(kind: Kind, siltstone: &Siltstone) -> Command {
    let up = siltstone.command(&["up"]);
    match kind {
        Kind::Up => up,
        Kind::Writer => {
            let mut command = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_siltstone")).with_file_name("writer"));
            command.env_clear().current_dir(siltstone.path());
            command.envs(up.get_envs().filter_map(|(name, value)| Some((name, value?))));
            command
        }
    }
}

/// The longest refused start; a longer one hangs.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(60);

/// Runs a service that must end by itself.
async fn run_to_end(kind: Kind, siltstone: &Siltstone) -> Answer {
    let ended = support::process::run("service", command(kind, siltstone), b"", REFUSAL_DEADLINE).await;
    let ended = ended.unwrap_or_else(|error| panic!("{error:#}"));
    Answer { code: ended.status.code().unwrap_or(-1), out: ended.stdout, err: ended.stderr }
}

impl Service {
    /// Starts it without waiting.
    fn spawn(kind: Kind, siltstone: &Siltstone) -> Self {
        Self::spawn_command(command(kind, siltstone), siltstone)
    }

    fn spawn_command(command: Command, siltstone: &Siltstone) -> Self {
        let log = siltstone.path().join(format!("{}.log", support::unique_name()));
        let process = Process::spawn("service", command, &log).expect("the service starts");
        Self { process, log, address: String::new() }
    }

    /// Starts it and returns once its pages are served.
    async fn start(kind: Kind, siltstone: &Siltstone) -> Self {
        Self::spawn(kind, siltstone).started().await
    }

    /// Starts the writer under a limit that the shell's `ulimit` sets.
    async fn start_under(limit: &str, siltstone: &Siltstone) -> Self {
        let writer = command(Kind::Writer, siltstone);
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("ulimit {limit} && exec \"$0\"")).arg(writer.get_program());
        shell.env_clear().current_dir(siltstone.path());
        shell.envs(writer.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Self::spawn_command(shell, siltstone).started().await
    }

    async fn started(self) -> Self {
        let mut service = self;
        let line = service.logged("writer started").await;
        service.address = line["http"].as_str().expect("the address is logged").to_owned();
        service
    }

    /// Waits for the first log line with this message.
    async fn logged(&mut self, message: &str) -> Value {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(line) = self.lines().into_iter().find(|line| line["message"] == message) {
                return line;
            }
            let exited = self.process.exited().expect("its status");
            assert!(exited.is_none(), "it ended before {message:?}: {}", self.log_text());
            assert!(Instant::now() < end, "no {message:?}: {}", self.log_text());
            sleep(POLL).await;
        }
    }

    /// The first log line with this message, which must exist.
    fn logged_at_end(&self, message: &str) -> Value {
        let found = self.lines().into_iter().find(|line| line["message"] == message);
        found.unwrap_or_else(|| panic!("no {message:?}: {}", self.log_text()))
    }

    fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).expect("a log")).into_owned()
    }

    /// The whole lines of the log, each of which must be JSON.
    fn lines(&self) -> Vec<Value> {
        let text = self.log_text();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let json = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        whole.lines().map(json).collect()
    }

    async fn get(&self, page: &str) -> Response {
        let answer = http::get(&format!("http://{}{page}", self.address)).await;
        answer.unwrap_or_else(|error| panic!("{error:#}: {}", self.log_text()))
    }

    /// Every sample of `/metrics`: name with labels, value.
    async fn metrics(&self) -> BTreeMap<String, f64> {
        let page = self.get("/metrics").await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/plain; version=0.0.4")));
        let text = page.text();
        let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            (name.to_owned(), value.parse().expect("a number"))
        };
        samples.map(sample).collect()
    }

    /// Waits until a sample fulfils the condition.
    async fn metric(&self, name: &str, holds: impl Fn(f64) -> bool) -> f64 {
        let end = Instant::now() + DEADLINE;
        loop {
            let value = self.metrics().await.get(name).copied();
            if let Some(value) = value.filter(|value| holds(*value)) {
                return value;
            }
            assert!(Instant::now() < end, "{name} is {value:?}: {}", self.log_text());
            sleep(POLL).await;
        }
    }

    /// Waits until this many messages were fetched.
    async fn fetched(&self, messages: u64) {
        self.metric("siltstone_messages_fetched_total", |value| value == messages as f64).await;
    }

    /// Waits for `/readyz` to answer with this status, and returns its body.
    async fn readiness(&self, status: u16) -> Value {
        let end = Instant::now() + DEADLINE;
        loop {
            let page = self.get("/readyz").await;
            assert_eq!(page.header("content-type"), Some("application/json"));
            let body: Value = serde_json::from_slice(&page.body).expect("JSON");
            assert_eq!(body["ready"], page.status == 200, "{body}");
            if page.status == status {
                return body;
            }
            assert!(Instant::now() < end, "/readyz answers {}: {body}", page.status);
            sleep(POLL).await;
        }
    }

    fn signal(&self, name: &str) {
        self.process.signal(name).expect("sent");
    }

    /// Its exit code.
    async fn ended(&mut self) -> i32 {
        let status = self.process.wait(DEADLINE).await.unwrap_or_else(|error| panic!("{error}: {}", self.log_text()));
        status.code().unwrap_or(-1)
    }
}

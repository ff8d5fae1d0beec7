//! Exactly once under faults: several real writers on real servers, killed, paused and cut off while messages arrive.
//!
//! Owns: the size of a run, its line of figures, and the two large runs that every change must pass. Does not own:
//! the servers (`world`), the faults (`chaos`), the messages (`publisher`), the judgement (`oracle`), smaller cases
//! of one kind each (`processes`, `power`, `power_cuts`), clients that publish over HTTP (`over_http`).
//!
//! A longer run is the same tests with other numbers: `scripts/crash-test --help`.

mod chaos;
mod oracle;
mod over_http;
mod power;
mod power_cuts;
mod processes;
mod publisher;
mod world;

use std::fmt;
use std::io::Write;
use std::str::FromStr;

use tokio::sync::watch;

use chaos::Faults;
use oracle::Verdict;
use publisher::{Plan, Published};
use world::{Kind, World};

/// The size of a run, and the number of its faults.
#[derive(Clone, Copy, Debug)]
struct Scale {
    seed: u64,
    writers: usize,
    partitions: u32,
    messages: u64,
    /// SIGKILLs of writers.
    kills: usize,
    /// SIGSTOPs of writers, each longer than a lease.
    stops: usize,
    /// SIGTERMs of writers.
    terms: usize,
    /// SIGKILLs of the NATS server, and as many of PostgreSQL.
    restarts: usize,
    /// True if the network between them is faulty too.
    network: bool,
    /// Retention of the topic: longer than any run, or so short that old messages go meanwhile.
    retention_secs: u64,
}

/// The run that every change must pass; each number can be set in the environment.
const SHORT: Scale = Scale {
    seed: 0,
    writers: 4,
    partitions: 8,
    messages: 24_000,
    kills: 7,
    stops: 2,
    terms: 1,
    restarts: 1,
    network: true,
    retention_secs: 86_400,
};

impl Scale {
    /// The short run, with the numbers that `SILTSTONE_CRASH_…` sets.
    fn from_env() -> Self {
        let restarts = set("RESTARTS", SHORT.restarts);
        Self {
            seed: set("SEED", fastrand::u64(1..1_000_000)),
            writers: set("WRITERS", SHORT.writers),
            partitions: set("PARTITIONS", SHORT.partitions),
            messages: set("MESSAGES", SHORT.messages),
            kills: set("KILLS", SHORT.kills),
            stops: set("STOPS", SHORT.stops),
            terms: set("TERMS", SHORT.terms),
            restarts,
            network: set("NETWORK", SHORT.network),
            retention_secs: set("RETENTION", SHORT.retention_secs),
        }
    }

    fn plan(&self) -> Plan {
        Plan { seed: self.seed, messages: self.messages, partitions: self.partitions }
    }
}

/// The variable's value, which must be of its type.
fn set<T: FromStr>(name: &str, default: T) -> T {
    let name = format!("SILTSTONE_CRASH_{name}");
    match std::env::var(&name) {
        Ok(text) if !text.is_empty() => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not usable")),
        _ => default,
    }
}

/// The final line of a run.
struct Figures<'a> {
    kind: Kind,
    scale: &'a Scale,
    published: &'a Published,
    faults: &'a Faults,
    verdict: &'a Verdict,
}

impl fmt::Display for Figures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "crash run: {:?}, seed {}, {} writers, {} partitions, {} messages confirmed ({} sent again, {} recognised), {}; {}",
            self.kind,
            self.scale.seed,
            self.scale.writers,
            self.scale.partitions,
            self.published.count(),
            self.published.repeated,
            self.published.recognised,
            self.faults,
            self.verdict,
        )
    }
}

/// Prints a line past the capture of the test harness: the figures of a passed run are needed too.
fn say(line: &str) {
    let told = writeln!(std::io::stdout().lock(), "{line}");
    told.expect("standard output takes a line");
}

/// Publishes all messages under faults, then heals them, waits for the last commit and judges. Returns the number of
/// messages that retention took.
async fn run(kind: Kind, scale: Scale) -> u64 {
    say(&format!("crash run: {kind:?} with {scale:?}"));
    let mut world = World::start(kind, scale.partitions, scale.writers).await;
    let retention = format!("{}s", scale.retention_secs);
    world.siltstone.run(&["topic", "update", "orders", "--retention", &retention]).await.ok();
    let (allowed, permits) = watch::channel(0);
    let publishing = tokio::spawn(publisher::publish(world.nats.url(), scale.plan(), permits));
    let mut faults = chaos::rage(&mut world, &scale, &allowed).await;
    let published = world.confirmed(publishing).await;
    assert_eq!(published.count(), scale.messages, "every message is confirmed in the end");
    world.settle(&published).await;
    faults.note_logs(&world);
    world.stop_writers().await;
    let verdict = oracle::judge(&world, &scale.plan(), &published).await;
    say(&Figures { kind, scale: &scale, published: &published, faults: &faults, verdict: &verdict }.to_string());
    assert!(verdict.is_clean(), "{:#?}", verdict.violations);
    verdict.expired
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_on_postgres_and_s3_lose_and_double_nothing_under_fire() {
    run(Kind::PostgresS3, Scale::from_env()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_on_sqlite_and_a_directory_lose_and_double_nothing_under_fire() {
    run(Kind::SqliteLocal, Scale::from_env()).await;
}

/// Only the oldest messages of each partition go, and none before its age.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_under_fire_takes_old_messages_and_no_others() {
    let scale = Scale::from_env();
    let retention_secs = scale.retention_secs.min(10);
    let expired = run(Kind::SqliteLocal, Scale { retention_secs, ..scale }).await;
    assert!(expired > 0, "nothing was old enough");
}

//! Exactly once over HTTP: many clients repeat each request until it is answered, while everything behind them is killed.
//!
//! Owns: the size of a run, its line of figures, the two runs that every change must pass, and the run without keys that
//! must fail. Does not own: the requests (`clients`), the processes (`fleet`), the faults (`faults`), the judgement (`judge`).
//!
//! A longer run is the same tests with other numbers: `scripts/crash-test --only http --seconds 600`.

mod clients;
mod faults;
mod fleet;
mod judge;

use std::fmt;
use std::time::Duration;

use support::process::log_tail;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use self::clients::{Plan, Sent};
use self::faults::Faults;
use self::fleet::Fleet;
use self::judge::Verdict;
use super::world::{Kind, World};
use super::{say, set};

/// For a debug build on a busy machine; a longer wait means a hang.
const DEADLINE: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(300);
/// Longer than any run: a key is good for the duplicate window, and a request is repeated until it is answered.
const DUPLICATE_WINDOW: &str = "24h";

/// The size of a run.
#[derive(Clone, Copy, Debug)]
struct Scale {
    seed: u64,
    clients: usize,
    /// Time in which clients begin requests, and processes are killed.
    seconds: u64,
    partitions: u32,
    /// False for the run that must fail.
    sends_keys: bool,
    has_faults: bool,
}

/// The run that every change must pass; each number can be set in the environment.
const SHORT: Scale = Scale { seed: 0, clients: 50, seconds: 12, partitions: 4, sends_keys: true, has_faults: true };

impl Scale {
    fn from_env() -> Self {
        Self {
            seed: set("SEED", fastrand::u64(1..1_000_000)),
            clients: set("CLIENTS", SHORT.clients),
            seconds: set("SECONDS", SHORT.seconds),
            partitions: set("PARTITIONS", SHORT.partitions),
            ..SHORT
        }
    }
}

/// The final line of a run.
struct Figures<'a> {
    kind: Kind,
    scale: Scale,
    sent: &'a Sent,
    faults: &'a Faults,
    verdict: &'a Verdict,
}

impl fmt::Display for Figures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scale { seed, clients, seconds, .. } = self.scale;
        write!(f, "HTTP run: {:?}, seed {seed}, {clients} clients, {seconds} s: ", self.kind)?;
        write!(f, "{}; {}; {}", self.sent, self.faults, self.verdict)
    }
}

/// Sends under faults, then lets everything run until all that was stored is committed, and judges.
async fn run(kind: Kind, scale: Scale) -> Verdict {
    say(&format!("HTTP run: {kind:?} with {scale:?}"));
    let settings = [("INGEST_TIMEOUT_SECS", "5"), ("LOG_FORMAT", "text")];
    let mut world = World::start_servers(kind, scale.partitions, 0, &settings).await;
    remember_ids(&world, scale.partitions).await;
    let mut fleet = Fleet::start(&world);
    fleet.wait_started(&world).await;
    let (enough, addresses) = (CancellationToken::new(), fleet.addresses());
    let plan = Plan { seed: scale.seed, clients: scale.clients, sends_keys: scale.sends_keys };
    let sending = tokio::spawn(clients::send(addresses, plan, enough.clone()));
    let seconds = Duration::from_secs(scale.seconds);
    let faults = match scale.has_faults {
        true => faults::rage(&mut world, &mut fleet, scale.seed, seconds).await,
        false => faults::none(&world, &mut fleet, seconds).await,
    };
    enough.cancel();
    let sent = answered(&world, &mut fleet, sending).await;
    settle(&world, &mut fleet).await;
    fleet.stop(&world).await;
    let verdict = judge::judge(&world, &sent).await;
    say(&Figures { kind, scale, sent: &sent, faults: &faults, verdict: &verdict }.to_string());
    verdict
}

/// Makes the topic anew with a long window of ids.
async fn remember_ids(world: &World, partitions: u32) {
    world.siltstone.run(&["topic", "delete", "orders", "--yes"]).await.ok();
    let partitions = partitions.to_string();
    let create = ["topic", "create", "orders", "--partitions", &partitions, "--duplicate-window", DUPLICATE_WINDOW];
    let columns = ["--column", "n:int64", "--column", "text:string"];
    world.siltstone.run(&[&create[..], &columns].concat()).await.ok();
}

/// The answers, once every client has its last one.
async fn answered(world: &World, fleet: &mut Fleet, mut sending: tokio::task::JoinHandle<Sent>) -> Sent {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Ok(sent) = timeout(POLL, &mut sending).await {
            return sent.expect("no client panics");
        }
        fleet.tend(world);
        assert!(Instant::now() < end, "not everything is answered: {}", fleet.log_tails());
    }
}

/// Waits, with everything alive, until all that the queue holds is committed.
async fn settle(world: &World, fleet: &mut Fleet) {
    let end = Instant::now() + DEADLINE;
    loop {
        fleet.pass_time(world, POLL).await;
        let partitions = world.partitions().await;
        let halted = partitions.iter().find(|row| row["state"] != "active");
        assert!(halted.is_none(), "halted: {halted:?}\n{}", fleet.log_tails());
        if partitions.iter().all(|row| row["lag"] == 0) {
            return;
        }
        let queue = || log_tail(&world.nats.log());
        assert!(Instant::now() < end, "{partitions:?}\n{}\n{}", fleet.log_tails(), queue());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_over_http_find_each_record_once_under_fire_on_postgres_and_s3() {
    let verdict = run(Kind::PostgresS3, Scale::from_env()).await;
    assert!(verdict.is_clean(), "{:#?}", verdict.violations);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_over_http_find_each_record_once_under_fire_on_sqlite_and_a_directory() {
    let verdict = run(Kind::SqliteLocal, Scale::from_env()).await;
    assert!(verdict.is_clean(), "{:#?}", verdict.violations);
}

/// The same clients without `Idempotency-Key`: answers that do not arrive make them store records twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_send_no_keys_double_records_and_the_judge_finds_them() {
    let scale = Scale { seed: 7, clients: 8, seconds: 3, sends_keys: false, has_faults: false, ..SHORT };
    let verdict = run(Kind::SqliteLocal, scale).await;
    assert!(verdict.doubled > 0 && !verdict.is_clean(), "{verdict}");
    assert_eq!((verdict.lost, verdict.is_audit_clean), (0, true), "{:#?}", verdict.violations);
}

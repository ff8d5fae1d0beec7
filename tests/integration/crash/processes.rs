//! Writers in an operator's hands: two of one configuration, replaced one by one, stopped under load, starved.
//!
//! Owns: the cases. Each ends like the large runs: every confirmed message is compared with every row.

use std::process::Command;
use std::time::Duration;

use support::process::Process;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::oracle;
use super::publisher::{self, Plan, Published};
use super::world::{Kind, LEASE, World};

const MESSAGES: u64 = 6_000;
const PARTITIONS: u32 = 4;

/// Writers on SQLite, and a producer that has begun.
struct Case {
    world: World,
    plan: Plan,
    allowed: watch::Sender<u64>,
    publishing: JoinHandle<Published>,
}

impl Case {
    async fn start(writers: usize, wrapper: &[&str]) -> Self {
        let mut world = World::start_servers(Kind::SqliteLocal, PARTITIONS, writers, &[]).await;
        world.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        for writer in 0..writers {
            world.start_writer(writer);
        }
        let plan = Plan { seed: fastrand::u64(..), messages: MESSAGES, partitions: PARTITIONS };
        println!("{plan:?}");
        let (allowed, permits) = watch::channel(0);
        let publishing = tokio::spawn(publisher::publish(world.nats.url(), plan, permits));
        Self { world, plan, allowed, publishing }
    }

    /// Allows another `share` of the messages, in eighths, and waits until the writers are in the middle of them.
    async fn load(&mut self, share: u64) {
        self.allowed.send_modify(|allowed| *allowed += MESSAGES * share / 8);
        self.world.pass_time(Duration::from_millis(700)).await;
    }

    /// Publishes all messages and checks that each is committed once. Returns the number of unrequested ends of
    /// writers.
    async fn end(mut self) -> u64 {
        self.allowed.send_replace(MESSAGES);
        let published = self.world.confirmed(self.publishing).await;
        assert_eq!(published.count(), MESSAGES);
        self.world.settle(&published).await;
        self.world.stop_writers().await;
        let verdict = oracle::judge(&self.world, &self.plan, &published).await;
        println!("{verdict}");
        assert!(verdict.is_clean(), "{:#?}", verdict.violations);
        self.world.ended_by_themselves
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_of_one_configuration_never_own_a_partition_together() {
    let mut case = Case::start(2, &[]).await;
    for writer in [0, 1, 0, 1] {
        case.load(1).await;
        case.world.kill_writer(writer, LEASE * 2).await;
        case.world.pass_time(LEASE * 2 + Duration::from_secs(1)).await;
    }
    let taken: usize = case.world.logs().iter().filter(|log| log.contains("partition taken over")).count();
    assert_eq!(taken, 2, "both had their turn");
    assert_eq!(case.end().await, 0, "a writer ended by itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_are_replaced_one_by_one_while_others_run() {
    let mut case = Case::start(2, &[]).await;
    case.world.wait_started(0).await;
    case.world.wait_started(1).await;
    for round in 0..4 {
        case.load(1).await;
        // The new one runs before the old one gets its signal, as in a rolling upgrade.
        let (old, new) = (round % 2, 2 + round % 2);
        case.world.add_writer(new);
        case.world.wait_started(new).await;
        case.load(1).await;
        assert_eq!(case.world.terminate_writer(old, 1).await, Some(0));
        case.world.start_writer(old);
        case.world.wait_started(old).await;
        case.load(1).await;
        assert_eq!(case.world.terminate_writer(new, 1).await, Some(0));
    }
    assert_eq!(case.end().await, 0, "a writer ended by itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_under_load_drains_at_a_signal_and_a_second_signal_loses_nothing() {
    let mut case = Case::start(1, &[]).await;
    case.world.wait_started(0).await;
    case.load(2).await;
    assert_eq!(case.world.terminate_writer(0, 1).await, Some(0), "it drained");
    case.world.start_writer(0);
    case.world.wait_started(0).await;
    case.load(2).await;
    // It may have drained before the second signal.
    let code = case.world.terminate_writer(0, 2).await;
    assert!(matches!(code, Some(0 | 1)), "{code:?}");
    case.world.start_writer(0);
    assert_eq!(case.end().await, 0, "a writer ended by itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starved_writers_lose_partitions_and_no_message() {
    let mut hogs = Vec::new();
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let log = tempfile::NamedTempFile::new().expect("a file");
    for _ in 0..2 * cores {
        let mut hog = Command::new("sh");
        hog.args(["-c", "while :; do :; done"]);
        hogs.push(Process::spawn("hog", hog, log.path()).expect("it starts"));
    }
    let mut case = Case::start(2, &["nice", "-n", "19"]).await;
    case.load(4).await;
    case.world.pass_time(LEASE * 2).await;
    case.load(4).await;
    case.world.pass_time(LEASE * 2).await;
    hogs.clear();
    case.end().await;
}

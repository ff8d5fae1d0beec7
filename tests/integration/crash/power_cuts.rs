//! Repeated power loss on a local disk that forgets unsynced data.
//!
//! Owns: the times of the cuts, and the processes on the disk. Does not own: the disk (`support::power_disk`).

use std::time::Duration;

use support::nats::{NatsOptions, NatsServer};
use support::power_disk::PowerDisk;
use tokio::sync::watch;

use super::publisher::{self, Plan};
use super::world::{Kind, World, synced};
use super::{oracle, say, set};
use crate::binary::DEADLINE;

const MESSAGES: u64 = 4_000;
const CUTS: u64 = 5;
const PARTITIONS: u32 = 4;
const WRITERS: usize = 2;

/// The parts that are on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    /// Catalog and segments; the queue is on another machine.
    Writers,
    /// The queue too, as on a laptop: JetStream confirms only synced messages.
    All,
}

struct Cuts {
    disk: PowerDisk,
    host: Host,
    rng: fastrand::Rng,
}

impl Cuts {
    /// Cuts the power for the `number`th time, and restores it.
    async fn cut(&mut self, world: &mut World, number: u64) {
        // Writers outlive the disk only where the queue is on another machine: JetStream's behaviour on a dead disk
        // is not under test.
        let outlive_the_disk = self.host == Host::Writers && number % 2 == 1;
        if outlive_the_disk {
            self.disk.cut_power().expect("cut");
            world.pass_time(Duration::from_millis(self.rng.u64(..1_500))).await;
        }
        world.kill_writers().await;
        if self.host == Host::All {
            world.nats.kill().await.expect("killed");
        }
        if !outlive_the_disk {
            self.disk.cut_power().expect("cut");
        }
        self.disk.restore_power().expect("mounted again");
        if self.host == Host::All {
            world.nats.restart().await.expect("started again");
        }
    }
}

async fn run(host: Host) {
    let (count, messages) = (set("POWER_CUTS", CUTS), set("MESSAGES", MESSAGES));
    let plan = Plan { seed: set("SEED", fastrand::u64(1..1_000_000)), messages, partitions: PARTITIONS };
    say(&format!("{count} power cuts of {host:?} with {plan:?}"));
    let disk = PowerDisk::mount(512).expect("a disk");
    let data = disk.path().join("data");
    let store_dir = (host == Host::All).then(|| disk.path().join("jetstream"));
    let nats = NatsServer::start_with(NatsOptions { store_dir, ..synced() }).await.expect("a NATS server");
    let settings = [("STORAGE_PATH", data.to_str().expect("UTF-8"))];
    let mut cuts = Cuts { disk, host, rng: fastrand::Rng::with_seed(plan.seed) };
    let mut world = World::start_around(nats, Kind::SqliteLocal, PARTITIONS, WRITERS, &settings).await;
    let (allowed, permits) = watch::channel(0);
    let publishing = tokio::spawn(publisher::publish(world.nats.url(), plan, permits));
    for cut in 0..count {
        (0..WRITERS).for_each(|writer| world.start_writer(writer));
        let commits = world.commits();
        allowed.send_replace(messages * (2 * cut + 1) / (2 * count + 1));
        world.pass_commit(commits, DEADLINE).await;
        assert!(world.commits() > commits, "nothing was committed since the last cut");
        allowed.send_replace(messages * (2 * cut + 2) / (2 * count + 1));
        world.pass_time(Duration::from_millis(cuts.rng.u64(..1_500))).await;
        cuts.cut(&mut world, cut).await;
    }
    (0..WRITERS).for_each(|writer| world.start_writer(writer));
    allowed.send_replace(messages);
    let published = world.confirmed(publishing).await;
    world.settle(&published).await;
    world.stop_writers().await;
    let verdict = oracle::judge(&world, &plan, &published).await;
    let confirmed = published.count();
    say(&format!("{count} power cuts of {host:?}, seed {}, {confirmed} messages confirmed; {verdict}", plan.seed));
    assert!(verdict.is_clean(), "{:#?}", verdict.violations);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cuts_of_the_writers_disk_lose_and_double_nothing() {
    run(Host::Writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cuts_of_one_disk_with_queue_catalog_and_segments_lose_and_double_nothing() {
    run(Host::All).await;
}

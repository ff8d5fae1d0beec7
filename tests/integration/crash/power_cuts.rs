//! Power loss on a local disk: catalog and segments are on one that forgets, again and again, what was not synced.
//!
//! Owns: when the power is cut, and whether the writers end before it or meet a dead disk. Does not own: the disk
//! (`support::power_disk`), and the queue, which is another machine here.

use std::time::Duration;

use support::power_disk::PowerDisk;
use tokio::sync::watch;

use super::publisher::{self, Plan};
use super::world::{Kind, World};
use super::{oracle, say, set};

const MESSAGES: u64 = 8_000;
const CUTS: u64 = 8;
const PARTITIONS: u32 = 4;
const WRITERS: usize = 2;
/// How long a cut waits for a sign of work after the last one: a start and a few takeovers.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cuts_of_a_local_disk_lose_and_double_nothing() {
    let (cuts, messages) = (set("POWER_CUTS", CUTS), set("MESSAGES", MESSAGES));
    let plan = Plan { seed: set("SEED", fastrand::u64(1..1_000_000)), messages, partitions: PARTITIONS };
    say(&format!("{cuts} power cuts with {plan:?}"));
    let mut rng = fastrand::Rng::with_seed(plan.seed);
    let disk = PowerDisk::mount(512).expect("a disk");
    let data = disk.path().join("data");
    let settings = [("STORAGE_PATH", data.to_str().expect("UTF-8"))];
    let mut world = World::start_servers(Kind::SqliteLocal, PARTITIONS, WRITERS, &settings).await;
    let (allowed, permits) = watch::channel(0);
    let publishing = tokio::spawn(publisher::publish(world.nats.url(), plan, permits));
    for cut in 0..cuts {
        (0..WRITERS).for_each(|writer| world.start_writer(writer));
        let commits = world.commits();
        allowed.send_replace(messages * (2 * cut + 1) / (2 * cuts + 1));
        world.pass_commit(commits, PATIENCE).await;
        allowed.send_replace(messages * (2 * cut + 2) / (2 * cuts + 1));
        world.pass_time(Duration::from_millis(rng.u64(..1_500))).await;
        if rng.bool() {
            // The writers are there while the disk is not: nothing they do now may count.
            disk.cut_power().expect("cut");
            world.pass_time(Duration::from_millis(rng.u64(..1_500))).await;
            world.kill_writers().await;
        } else {
            world.kill_writers().await;
            disk.cut_power().expect("cut");
        }
        disk.restore_power().expect("mounted again");
    }
    (0..WRITERS).for_each(|writer| world.start_writer(writer));
    allowed.send_replace(messages);
    let published = publishing.await.expect("no panic");
    world.settle(&published).await;
    world.stop_writers().await;
    let verdict = oracle::judge(&world, &plan, &published).await;
    say(&format!("{cuts} power cuts, seed {}, {} messages confirmed; {verdict}", plan.seed, published.count()));
    assert!(verdict.is_clean(), "{:#?}", verdict.violations);
    assert!(world.commits() as u64 > cuts, "there was nothing to lose");
}

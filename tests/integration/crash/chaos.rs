//! The faults: their kinds, times and victims, all from one seed.
//!
//! Owns: the order of events, and the faulty network during them. Does not own: carrying them out (`world`,
//! `support::proxy`), and timing: the same seed gives the same faults, not the same interleaving.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use support::proxy::{Direction, Mode, Proxy};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Scale;
use super::world::{LEASE, World};

/// Longest wait of an event for a sign of work: a few takeovers.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Kill,
    Stop,
    Terminate,
    RestartQueue,
    RestartCatalog,
}

/// Counts of the faults, and of the writers' reactions.
#[derive(Debug, Default)]
pub(super) struct Faults {
    kills: u64,
    stops: u64,
    terms: u64,
    queue_restarts: u64,
    catalog_restarts: u64,
    network: u64,
    ended_by_themselves: u64,
    takeovers: u64,
    unknown_outcomes: u64,
    fenced: u64,
    upload_retries: u64,
}

impl Faults {
    /// Counts the events in the writers' logs.
    pub(super) fn note_logs(&mut self, world: &World) {
        self.ended_by_themselves = world.ended_by_themselves;
        for log in world.logs() {
            let count = |message: &str| log.matches(message).count() as u64;
            self.takeovers += count("partition taken over");
            self.unknown_outcomes += count("commit outcome unknown, reading it back");
            self.fenced += count("partition lost; what was not committed is left to its owner");
            self.upload_retries += count("upload failed, retrying");
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} SIGKILLs, {} long SIGSTOPs, {} SIGTERMs, {} restarts of NATS, {} of PostgreSQL, {} network faults, \
             {} ends by themselves, {} takeovers, {} fenced, {} unknown outcomes",
            self.kills,
            self.stops,
            self.terms,
            self.queue_restarts,
            self.catalog_restarts,
            self.network,
            self.ended_by_themselves,
            self.takeovers,
            self.fenced,
            self.unknown_outcomes,
        )
    }
}

/// Carries out every event of the run, spread evenly over its messages: some messages are allowed before each event,
/// some with it, and the rest after the last.
pub(super) async fn rage(world: &mut World, scale: &Scale, allowed: &watch::Sender<u64>) -> Faults {
    let mut rng = Rng::with_seed(scale.seed);
    let events = events(world, scale, &mut rng);
    let calm = CancellationToken::new();
    let proxies = if scale.network { world.proxies.clone() } else { Vec::new() };
    let network = tokio::spawn(disturb(proxies, rng.fork(), calm.clone()));
    let mut faults = Faults::default();
    let steps = events.len() as u64 + 1;
    for (step, event) in (1..).zip(events) {
        let commits = world.commits();
        allowed.send_replace(scale.messages * (2 * step - 1) / (2 * steps));
        world.pass_time(milliseconds(&mut rng, 200..1500)).await;
        // Most faults hit working writers; some arrive before any writer has recovered from the last one.
        if rng.u32(..4) > 0 {
            world.pass_commit(commits, PATIENCE).await;
        }
        // It arrives in the middle of publishing.
        allowed.send_replace(scale.messages * step / steps);
        carry_out(world, event, &mut rng, &mut faults).await;
    }
    allowed.send_replace(scale.messages);
    // The last victims restart among faults.
    world.pass_time(LEASE * 3).await;
    calm.cancel();
    faults.network = network.await.expect("no panic");
    faults
}

fn events(world: &World, scale: &Scale, rng: &mut Rng) -> Vec<Event> {
    let catalog_restarts = if world.postgres.is_some() { scale.restarts } else { 0 };
    let mut events = Vec::new();
    for (event, times) in [
        (Event::Kill, scale.kills),
        (Event::Stop, scale.stops),
        (Event::Terminate, scale.terms),
        (Event::RestartQueue, scale.restarts),
        (Event::RestartCatalog, catalog_restarts),
    ] {
        events.extend(std::iter::repeat_n(event, times));
    }
    rng.shuffle(&mut events);
    events
}

async fn carry_out(world: &mut World, event: Event, rng: &mut Rng, faults: &mut Faults) {
    match event {
        Event::Kill => {
            let (writer, pause) = (victim(world, rng).await, milliseconds(rng, 0..4000));
            world.kill_writer(writer, pause).await;
            faults.kills += 1;
        }
        Event::Stop => {
            let (writer, pause) = (victim(world, rng).await, LEASE + milliseconds(rng, 500..4000));
            world.stop_writer(writer, pause);
            faults.stops += 1;
        }
        Event::Terminate => {
            let writer = victim(world, rng).await;
            // Under faults a drain may fail, or a second signal may cut it short; only the resulting state matters.
            world.terminate_writer(writer, 2).await;
            world.start_writer(writer);
            faults.terms += 1;
        }
        Event::RestartQueue => {
            world.nats.kill().await.expect("killed");
            world.pass_time(milliseconds(rng, 0..2000)).await;
            world.nats.restart().await.expect("started again");
            faults.queue_restarts += 1;
        }
        Event::RestartCatalog => {
            world.postgres.as_mut().expect("there is one").kill().await.expect("killed");
            world.pass_time(milliseconds(rng, 0..2000)).await;
            world.postgres.as_mut().expect("there is one").start_again().await.expect("started again");
            faults.catalog_restarts += 1;
        }
    }
}

/// A running writer; waits until there is one.
async fn victim(world: &mut World, rng: &mut Rng) -> usize {
    let choice = rng.usize(..);
    loop {
        if let Some(writer) = world.running(choice) {
            return writer;
        }
        world.pass_time(Duration::from_millis(100)).await;
    }
}

/// One network fault after the other, on one proxy at a time, until `calm` is cancelled; returns their number.
async fn disturb(proxies: Vec<Arc<Proxy>>, mut rng: Rng, calm: CancellationToken) -> u64 {
    let mut count = 0;
    while !calm.is_cancelled() && !proxies.is_empty() {
        sleep(milliseconds(&mut rng, 300..4000)).await;
        let proxy = &proxies[rng.usize(..proxies.len())];
        disturb_once(proxy, &mut rng).await;
        count += 1;
    }
    count
}

async fn disturb_once(proxy: &Proxy, rng: &mut Rng) {
    let time = milliseconds(rng, 100..1500);
    match rng.u32(..8) {
        0 => {
            proxy.set(Mode::Delay(milliseconds(rng, 1..60)));
            sleep(time).await;
        }
        1 => {
            proxy.set(Mode::Stall);
            // Sometimes longer than a lease.
            sleep(if rng.bool() { time } else { time + LEASE }).await;
        }
        2 => {
            proxy.set(Mode::DropReplies);
            sleep(time).await;
            // The streams are broken: their next bytes would not be understood.
            proxy.cut();
        }
        3 => proxy.cut(),
        4 => proxy.reset(),
        5 => {
            proxy.strand();
            sleep(time * 2).await;
            proxy.reset();
        }
        6 => {
            let direction = if rng.bool() { Direction::ToServer } else { Direction::ToClient };
            // It happens at any time, perhaps in the middle of the next fault, so the signal is not awaited.
            drop(proxy.cut_after(direction, rng.u64(..6_000)));
        }
        _ => proxy.flap(3, milliseconds(rng, 10..200), milliseconds(rng, 10..200)).await,
    }
    proxy.set(Mode::Pass);
}

fn milliseconds(rng: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

//! The faults: whom to kill and when, all from one seed.
//!
//! Owns: the order of the kills, and their counts. Does not own: carrying them out (`fleet`, the world's servers). The same
//! seed gives the same choices, not the same interleaving.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::fleet::Fleet;
use crate::crash::world::World;

/// Counts of the faults.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// SIGKILLs of processes that take records.
    servers: u64,
    writers: u64,
    queue: u64,
    catalog: u64,
    ended_by_themselves: u64,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { servers, writers, queue, catalog, ended_by_themselves } = self;
        write!(
            f,
            "SIGKILLs: {servers} of ingesters and `siltstone up`, {writers} of the writer, {queue} of NATS, {catalog} of \
             PostgreSQL; {ended_by_themselves} ends by themselves"
        )
    }
}

/// Kills one process after the other for as long as `time`.
pub(super) async fn rage(world: &mut World, fleet: &mut Fleet, seed: u64, time: Duration) -> Faults {
    let mut rng = Rng::with_seed(seed);
    let (mut faults, end) = (Faults::default(), Instant::now() + time);
    while Instant::now() < end {
        fleet.pass_time(world, milliseconds(&mut rng, 200..1800)).await;
        let pause = milliseconds(&mut rng, 0..1500);
        match rng.u32(..10) {
            0 | 1 => {
                world.nats.kill().await.expect("killed");
                fleet.pass_time(world, pause).await;
                world.nats.restart().await.expect("started again");
                faults.queue += 1;
            }
            2 if world.postgres.is_some() => {
                world.postgres.as_mut().expect("there is one").kill().await.expect("killed");
                fleet.pass_time(world, pause).await;
                world.postgres.as_mut().expect("there is one").start_again().await.expect("started again");
                faults.catalog += 1;
            }
            _ => match fleet.kill(rng.usize(..1000), pause).await {
                Some(true) => faults.servers += 1,
                Some(false) => faults.writers += 1,
                None => {}
            },
        }
    }
    faults.ended_by_themselves = fleet.ended_by_themselves;
    faults
}

/// The same time without faults.
pub(super) async fn none(world: &World, fleet: &mut Fleet, time: Duration) -> Faults {
    fleet.pass_time(world, time).await;
    Faults { ended_by_themselves: fleet.ended_by_themselves, ..Faults::default() }
}

fn milliseconds(rng: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

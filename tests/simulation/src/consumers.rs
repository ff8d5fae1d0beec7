//! A group of real consumers in virtual time: members come, die and pause at random, over a catalog behind a network of faults.
//!
//! Owns: the members' lives, a queue that only grows, and the invariants. Does not own: the consumers (crate `consumer`), the
//! catalog (`catalog`).
//!
//! The invariants, after each transaction: an offset is committed only once every record below it was given out, and never
//! moves back. At the end: every record was given out, and a record that was given out after it was committed was given out
//! by a member that had lost its partition.

mod queue;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::catalog::{MetadataStore, TopicConfig, TopicStore};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use common::{ErrorKind, TopicName, TopicPartition};
use consumer::{CacheOptions, FetchParts, Fetcher, GroupConsumer, GroupError, Records};
use fastrand::Rng;
use lake::Storage;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use self::queue::GrowingQueue;
use crate::catalog::{CatalogState, Faults, Guards, ModelCatalog, Rates, Session, VirtualClock};

const PARTITIONS: u32 = 5;
const LEASE: Duration = Duration::from_secs(6);
/// Time in which members come and die; the rest of a run lets one of them read what is left.
const TURMOIL: Duration = Duration::from_secs(120);
/// Most members at once.
const MEMBERS_MAX: usize = 4;
const GROUP: &str = "g";

/// The outcome of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Invariants that did not hold, in the order in which that was seen.
    pub violations: Vec<String>,
    /// Records that were published.
    pub published: u64,
    /// Records that were given out again.
    pub repeated: u64,
    /// Members that died without leaving.
    pub deaths: u64,
    /// Partitions that a member learned by a commit to have lost.
    pub fenced: u64,
}

/// What is known of the records, and what is wrong.
#[derive(Debug, Default)]
struct Ledger {
    /// Offsets that some member was given, by partition.
    given: BTreeMap<TopicPartition, BTreeSet<u64>>,
    /// The committed offsets, as the catalog last had them.
    committed: BTreeMap<TopicPartition, u64>,
    outcome: Outcome,
}

impl Ledger {
    /// Compares the catalog's offsets with what was given out.
    fn committed(&mut self, state: &CatalogState) {
        for ((_, of), row) in &state.offsets {
            let before = self.committed.insert(of.clone(), row.committed_offset).unwrap_or_default();
            if row.committed_offset < before {
                let text = format!("{of}: the committed offset went back from {before} to {}", row.committed_offset);
                self.outcome.violations.push(text);
            }
            let given = self.given.entry(of.clone()).or_default();
            if let Some(lost) = (before..row.committed_offset).find(|offset| !given.contains(offset)) {
                let text = format!("{of}: offset {lost} was committed, and given to nobody");
                self.outcome.violations.push(text);
            }
        }
    }

    fn given(&mut self, records: &Records, holds: bool) {
        let committed = self.committed.get(&records.partition).copied().unwrap_or_default();
        for rows in &records.batches {
            let offsets = rows.column_by_name("_offset").expect("every table has it").as_primitive::<Int64Type>();
            for offset in offsets.values().iter().map(|offset| offset.cast_unsigned()) {
                let is_new = self.given.entry(records.partition.clone()).or_default().insert(offset);
                self.outcome.repeated += u64::from(!is_new);
                if offset < committed && holds {
                    let text = format!("{}: offset {offset} was committed, and given out again", records.partition);
                    self.outcome.violations.push(text);
                }
            }
        }
    }
}

/// The parts of a run that every member shares.
#[derive(Clone)]
struct World {
    model: ModelCatalog,
    faults: Faults,
    queue: Arc<GrowingQueue>,
    ledger: Arc<Mutex<Ledger>>,
    topic: TopicName,
}

/// One run: everything in it follows from the seed. To be called on a paused runtime of one thread.
pub async fn run(seed: u64, guards: Guards) -> Outcome {
    let mut rng = Rng::with_seed(seed);
    let model = ModelCatalog::new(VirtualClock::shared(), guards);
    let topic = TopicName::new("t").expect("valid");
    let config = TopicConfig {
        name: topic.clone(),
        partition_count: PARTITIONS,
        retention_ms: None,
        config: Default::default(),
    };
    model.create_topic(config).await.expect("created");
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let seen = Arc::clone(&ledger);
    model.observe(Box::new(move |state, _| locked(&seen).committed(state)));
    let rates = Rates {
        request_lost: 10,
        reply_lost: 20,
        arrives_late: 10,
        network_ms: (0, 20),
        late_ms: (100, 12_000),
        ..Rates::default()
    };
    let faults = Faults::new(seed, rates);
    let world = World { model, faults, queue: Arc::default(), ledger, topic };
    turmoil(&world, &mut rng).await;
    settle(&world).await;
    let mut ledger = locked(&world.ledger);
    for (partition_id, end) in world.queue.ends() {
        let of = TopicPartition::new(world.topic.clone(), partition_id);
        let count = ledger.given.get(&of).map_or(0, BTreeSet::len) as u64;
        ledger.outcome.published += end;
        if count != end {
            let text = format!("{of}: {count} of {end} records were given out");
            ledger.outcome.violations.push(text);
        }
    }
    std::mem::take(&mut ledger.outcome)
}

/// Members come and die while records are published.
async fn turmoil(world: &World, rng: &mut Rng) {
    let mut members: Vec<JoinSet<()>> = Vec::new();
    let end = Instant::now() + TURMOIL;
    let mut number = 0;
    while Instant::now() < end {
        world.queue.publish(rng.u32(..PARTITIONS), rng.u64(1..20));
        if members.len() < MEMBERS_MAX && rng.u8(..) < 60 {
            number += 1;
            let mut member = JoinSet::new();
            member.spawn(live(world.clone(), number, Rng::with_seed(rng.u64(..))));
            members.push(member);
        }
        if members.len() > 1 && rng.u8(..) < 30 {
            // Dropping it is its death: nobody tells the group.
            let dead = rng.usize(..members.len());
            members.remove(dead);
            locked(&world.ledger).outcome.deaths += 1;
        }
        members.retain_mut(|member| match member.try_join_next() {
            None => true,
            Some(ended) => {
                ended.expect("a member does not fail");
                false
            }
        });
        sleep(Duration::from_millis(rng.u64(1..2_000))).await;
    }
}

/// A last member reads what is left, once the leases of the others are over.
async fn settle(world: &World) {
    // A request may come late, and begin another lease.
    sleep(LEASE * 4).await;
    let quiet = Faults::new(0, Rates { network_ms: (0, 1), ..Rates::default() });
    let mut member = join(world, &quiet, 0).await.expect("nothing fails now");
    loop {
        match member.poll(Duration::from_secs(3)).await.expect("nothing fails now") {
            Some(records) => locked(&world.ledger).given(&records, true),
            None => break,
        }
        member.commit().await.expect("nothing fails now");
    }
    member.close().await.expect("nothing fails now");
}

/// The life of one member: it reads, pauses now and then, sometimes for longer than its lease, and commits at times.
async fn live(world: World, number: u32, mut rng: Rng) {
    let Some(mut member) = join(&world, &world.faults, number).await else { return };
    let death = Instant::now() + Duration::from_secs(rng.u64(5..60));
    while Instant::now() < death {
        match member.poll(Duration::from_millis(rng.u64(0..1_500))).await {
            Ok(Some(records)) => {
                let holds = holds(&world, &member, &records.partition);
                locked(&world.ledger).given(&records, holds);
            }
            Ok(None) => {}
            Err(error) => assert_eq!(kind(&error), ErrorKind::Unavailable, "{error}"),
        }
        match rng.u8(..) {
            ..20 => sleep(Duration::from_millis(rng.u64(1..20_000))).await,
            20..120 => sleep(Duration::from_millis(rng.u64(1..300))).await,
            _ => {}
        }
        if rng.u8(..) < 140 {
            match member.commit().await {
                Ok(lost) => locked(&world.ledger).outcome.fenced += lost.len() as u64,
                Err(error) => assert_eq!(kind(&error), ErrorKind::Unavailable, "{error}"),
            }
        }
    }
    sleep_until(death).await;
    if rng.bool() {
        member.close().await.ok();
    }
}

/// True if the catalog has the partition as this member's.
fn holds(world: &World, member: &GroupConsumer, of: &TopicPartition) -> bool {
    let key = (GROUP.to_owned(), of.clone());
    world.model.inspect(|state| state.claims.get(&key).is_some_and(|row| row.member == member.member()))
}

async fn join(world: &World, faults: &Faults, number: u32) -> Option<GroupConsumer> {
    let catalog: Arc<dyn MetadataStore> = Arc::new(Session::new(&world.model, faults, number));
    let parts = FetchParts {
        catalog,
        storage: Storage::memory(),
        tail: Some(Arc::clone(&world.queue) as _),
        commits: None,
        announcements: None,
        cache: CacheOptions::default(),
    };
    let fetcher = Fetcher::open(parts).expect("there is no directory to open");
    let builder = GroupConsumer::builder(fetcher, GROUP).subscribe([world.topic.clone()]).lease(LEASE);
    builder.name(format!("m{number}")).join().await.ok()
}

fn kind(error: &GroupError) -> ErrorKind {
    error.kind()
}

fn locked(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().expect("nothing panics while it holds the lock")
}

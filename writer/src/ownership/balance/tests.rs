//! The promises of balancing, tested with many writers that each read the view and act alone.

use catalog::Scope;
use common::{Epoch, TopicName};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const LEASE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_secs(3);

fn agent(number: u128) -> Agent {
    Agent {
        owner: OwnerId(Uuid::from_u128(number)),
        name: format!("agent {number}"),
        scope: Scope::All,
        contact: Default::default(),
    }
}

fn partition(topic: &str, partition_id: u32) -> TopicPartition {
    TopicPartition::new(TopicName::new(topic).expect("valid"), partition_id)
}

/// Writers that act on their plans at once, and the count of moves.
struct Fleet {
    view: OwnershipView,
    balancers: BTreeMap<OwnerId, Balancer>,
    now: Instant,
    moves: usize,
}

impl Fleet {
    fn new(partition_count: u32) -> Self {
        let owners = (0..partition_count).map(|id| PartitionOwner {
            partition: partition("orders", id),
            owner: None,
            epoch: Epoch(0),
            high_watermark: 0,
            state: PartitionState::Active,
        });
        let view = OwnershipView { partitions: owners.collect(), ..OwnershipView::default() };
        Self { view, balancers: BTreeMap::new(), now: Instant::now(), moves: 0 }
    }

    fn join(&mut self, agent: Agent) {
        self.balancers.insert(agent.owner, Balancer::new(agent.owner, LEASE, self.now));
        self.view.agents.push(agent);
        self.view.agents.sort_by_key(|agent| agent.owner);
    }

    /// Its lease has expired; its partitions still have it as the owner.
    fn die(&mut self, owner: OwnerId) {
        self.balancers.remove(&owner);
        self.view.agents.retain(|agent| agent.owner != owner);
    }

    fn tick(&mut self) {
        self.now += TICK;
        for (owner, balancer) in &mut self.balancers {
            let plan = balancer.plan(&self.view, self.now);
            let [acquire, release] = [plan.acquire, plan.release].map(BTreeSet::from_iter);
            let alive: BTreeSet<OwnerId> = self.view.agents.iter().map(|agent| agent.owner).collect();
            for row in &mut self.view.partitions {
                let is_free = row.owner.is_none_or(|owner| !alive.contains(&owner));
                if acquire.contains(&row.partition) && is_free {
                    row.owner = Some(*owner);
                }
                if release.contains(&row.partition) {
                    assert_eq!(row.owner, Some(*owner), "only what it has is released");
                    row.owner = None;
                    self.moves += 1;
                }
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..60 {
            self.tick();
        }
    }

    fn loads(&self) -> Vec<usize> {
        let load = |agent: &Agent| self.view.partitions.iter().filter(|row| row.owner == Some(agent.owner)).count();
        self.view.agents.iter().map(load).collect()
    }
}

#[test]
fn writers_that_come_later_get_their_share() {
    let mut fleet = Fleet::new(8);
    fleet.join(agent(1));
    fleet.tick();
    assert_eq!(fleet.loads(), [8], "a lone writer takes everything at once");
    for number in 2..=4 {
        fleet.join(agent(number));
    }
    fleet.settle();
    assert_eq!(fleet.loads(), [2, 2, 2, 2]);
    assert_eq!(fleet.moves, 6, "nothing moves twice");
}

#[test]
fn nothing_moves_while_writers_come_and_go() {
    let mut fleet = Fleet::new(8);
    fleet.join(agent(1));
    fleet.tick();
    for restart in 0..50 {
        let unlucky = agent(100 + restart);
        fleet.join(unlucky.clone());
        fleet.tick();
        fleet.tick();
        fleet.die(unlucky.owner);
    }
    assert_eq!((fleet.loads(), fleet.moves), (vec![8], 0));
}

#[test]
fn a_dead_writers_partitions_are_shared_by_the_rest() {
    let mut fleet = Fleet::new(9);
    (1..=3).for_each(|number| fleet.join(agent(number)));
    fleet.settle();
    fleet.die(agent(2).owner);
    fleet.tick();
    let mut loads = fleet.loads();
    loads.sort_unstable();
    assert_eq!(loads, [4, 5]);
}

#[test]
fn a_writer_that_crashes_again_and_again_gets_nothing_that_others_could_have() {
    let mut fleet = Fleet::new(9);
    (1..=3).for_each(|number| fleet.join(agent(number)));
    fleet.settle();
    fleet.die(agent(2).owner);
    for restart in 0..10 {
        let unlucky = agent(100 + restart);
        fleet.join(unlucky.clone());
        fleet.view.young.insert(unlucky.owner);
        fleet.tick();
        fleet.die(unlucky.owner);
    }
    let mut loads = fleet.loads();
    loads.sort_unstable();
    assert_eq!(loads, [4, 5], "the healthy ones have them all");
}

#[test]
fn a_writer_gets_only_topics_that_it_wants() {
    let mut fleet = Fleet::new(4);
    let other = Agent { scope: Scope::Only(vec![TopicName::new("other").expect("valid")]), ..agent(1) };
    fleet.join(other);
    fleet.settle();
    assert_eq!(fleet.loads(), [0]);
    fleet.join(agent(2));
    fleet.settle();
    assert_eq!(fleet.loads(), [0, 4]);
}

#[test]
fn a_writer_that_leaves_gets_nothing_while_it_drains() {
    let mut fleet = Fleet::new(8);
    (1..=2).for_each(|number| fleet.join(agent(number)));
    fleet.settle();
    assert_eq!(fleet.loads(), [4, 4]);
    fleet.view.agents[0].scope = Scope::Nothing;
    fleet.balancers.remove(&agent(1).owner);
    for drained in 1..=4 {
        let row = fleet.view.partitions.iter_mut().find(|row| row.owner == Some(agent(1).owner));
        row.expect("it has one left").owner = None;
        fleet.tick();
        assert_eq!(fleet.loads(), [4 - drained, 4 + drained], "each is taken at once");
    }
}

#[test]
fn two_thousand_partitions_are_shared_fairly_by_fifty_writers() {
    let mut fleet = Fleet::new(2_000);
    fleet.join(agent(1));
    fleet.tick();
    (2..=50).for_each(|number| fleet.join(agent(number)));
    fleet.settle();
    assert_eq!(fleet.loads(), [40; 50]);
    assert_eq!(fleet.moves, 1_960, "nothing moves twice");
}

#[test]
fn a_partition_that_nobody_comes_for_is_taken_by_anybody() {
    let mut view = Fleet::new(1).view;
    view.agents = vec![agent(1), agent(2)];
    let start = Instant::now();
    let mut second = Balancer::new(agent(2).owner, LEASE, start);
    assert_eq!(second.plan(&view, start), Plan::default(), "the first should have it");
    let plan = second.plan(&view, start + LEASE * LEASES_UNTIL_ANYBODY);
    assert_eq!(plan.acquire, [partition("orders", 0)]);
}

#[test]
fn a_halted_partition_and_a_writer_without_heartbeat_are_left_alone() {
    let mut view = Fleet::new(2).view;
    view.partitions[0].state = PartitionState::Halted;
    view.agents = vec![agent(1)];
    let now = Instant::now();
    assert_eq!(Balancer::new(agent(1).owner, LEASE, now).plan(&view, now).acquire, [partition("orders", 1)]);
    assert_eq!(Balancer::new(agent(9).owner, LEASE, now).plan(&view, now), Plan::default());
}

proptest! {
    #[test]
    fn any_history_ends_fair_and_then_nothing_moves(
        partition_count in 1_u32..60,
        steps in proptest::collection::vec((any::<bool>(), 1_u128..50, 0_usize..4), 1..40),
    ) {
        let mut fleet = Fleet::new(partition_count);
        fleet.join(agent(1_000));
        for (joins, number, ticks) in steps {
            let is_there = fleet.balancers.contains_key(&agent(number).owner);
            if joins && !is_there {
                fleet.join(agent(number));
            } else if is_there {
                fleet.die(agent(number).owner);
            }
            (0..ticks).for_each(|_| fleet.tick());
        }
        fleet.settle();
        let loads = fleet.loads();
        prop_assert_eq!(loads.iter().sum::<usize>(), partition_count as usize, "everything is owned by somebody alive");
        let (least, most) = (loads.iter().min().copied(), loads.iter().max().copied());
        prop_assert!(most <= least.map(|least| least + 1), "{:?}", loads);
        let moves = fleet.moves;
        fleet.settle();
        prop_assert_eq!(fleet.moves, moves, "what is fair stays");
    }
}

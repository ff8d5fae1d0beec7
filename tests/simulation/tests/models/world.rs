//! The world of a run.
//!
//! Owns: that a run frees all its parts. Does not own: what a run does (`seeds`).

use std::sync::Arc;

use simulation::catalog::Guards;
use simulation::chance::Chance;
use simulation::forgery::Forgeries;
use simulation::plan::{Plan, Profile};
use simulation::run::runtime;
use simulation::world::World;

#[test]
fn a_run_leaves_nothing_behind() {
    fastrand::seed(1);
    let runtime = runtime();
    let chance = Chance::seeded(1);
    let plan = Plan::draw(&chance, &Profile::all());
    let mut world = runtime.block_on(World::new(plan, chance, Guards::default(), Forgeries::default()));
    runtime.block_on(world.run());
    assert_eq!(world.oracle().violation(), None);
    // Every part of the world holds the clock.
    let clock = Arc::downgrade(world.clock());
    drop(runtime);
    drop(world);
    assert_eq!(clock.strong_count(), 0, "something of the world was not freed");
}

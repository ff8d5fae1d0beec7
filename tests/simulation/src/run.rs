//! One run: a seed and a profile give a verdict.
//!
//! Owns: the runtime with its paused clock, and all other sources of chance in a thread.
//! Does not own: the events of the run (`world`).

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::catalog::Guards;
use crate::chance::Chance;
use crate::forgery::Forgeries;
use crate::logs::{LogCounts, LogWatch};
use crate::oracle::{Figures, Violation};
use crate::plan::{Plan, Profile};
use crate::trace::Trace;
use crate::world::{Counts, World};

/// Lines of the trace that a failure shows.
const LINES_SHOWN: usize = 60;

/// The input of a run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Determines everything.
    pub seed: u64,
    /// The faults.
    pub profile: Profile,
    /// The compares that the catalog makes.
    pub guards: Guards,
    /// Guards of the writer that are switched off, or acted as if they were, by name.
    pub off: Vec<&'static str>,
    /// True when the writers' log lines are in the trace.
    pub is_verbose: bool,
}

impl Setup {
    /// A run of this seed with everything that can go wrong.
    pub fn of(seed: u64) -> Self {
        Self { seed, profile: Profile::all(), guards: Guards::default(), off: vec![], is_verbose: false }
    }
}

/// The end of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Its profile's name.
    pub profile: &'static str,
    /// The promise that was broken, if any.
    pub violation: Option<Violation>,
    /// The oracle's counts.
    pub figures: Figures,
    /// The world's counts.
    pub counts: Counts,
    /// Commits whose outcome was unknown.
    pub unknown_outcomes: u64,
    /// Virtual time, in milliseconds.
    pub virtual_ms: u64,
    /// Lines of the trace.
    pub lines: Vec<String>,
    /// Their hash.
    pub hash: u64,
}

/// One thread and a paused clock.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without threads and sockets needs nothing of the system")
}

/// A text in raw messages that panics their decoder while the guard `decode.survives` is off.
#[cfg(debug_assertions)]
const DEADLY: &str = "message 17 ";

/// Switches these guards off in this thread, all others on.
#[cfg(debug_assertions)]
fn switch_off(off: &[&'static str]) {
    common::mutation::turn_off(off);
    let deadly: &[_] = if off.contains(&"decode.survives") { &[("batch.decode", DEADLY)] } else { &[] };
    common::failpoint::panic_at(deadly);
}

/// Runs a seed to its end. Uses the thread alone: chance and log lines of the thread are this run's.
pub fn run(setup: &Setup) -> Outcome {
    fastrand::seed(setup.seed);
    #[cfg(debug_assertions)]
    switch_off(&setup.off);
    let runtime = runtime();
    let counts = Arc::new(LogCounts::default());
    let chance = Chance::seeded(setup.seed);
    let plan = Plan::draw(&chance, &setup.profile);
    let mut world = runtime.block_on(World::new(plan, chance, setup.guards, Forgeries::of(&setup.off)));
    let lines: Option<Trace> = setup.is_verbose.then(|| world.trace().clone());
    let watch = LogWatch::new(Arc::clone(&counts), lines);
    let ended =
        tracing::subscriber::with_default(watch, || catch_unwind(AssertUnwindSafe(|| runtime.block_on(world.run()))));
    if ended.is_err() {
        world.oracle().report(0, "the simulation itself panicked".to_owned());
    }
    if let Some(defect) = counts.defect().filter(|_| !setup.off.contains(&"decode.survives")) {
        world.oracle().report(13, defect);
    }
    let outcome = Outcome {
        seed: setup.seed,
        profile: setup.profile.name,
        violation: world.oracle().violation(),
        figures: world.figures(),
        counts: world.counts(),
        unknown_outcomes: counts.unknown_outcomes(),
        virtual_ms: runtime.block_on(async { world.elapsed_ms() }),
        lines: world.trace().lines(),
        hash: world.trace().hash(),
    };
    // Tasks first: dropping them wakes others, which must not outlive the values they use.
    drop(runtime);
    outcome
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, profile, .. } = self;
        let Some(violation) = &self.violation else { return write!(f, "seed {seed} holds") };
        for line in &self.lines[self.lines.len().saturating_sub(LINES_SHOWN)..] {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {seed}, profile {profile}: {violation}")?;
        write!(f, "again: cargo run -p simulation -- --profile {profile} --seed {seed} --trace")
    }
}

//! Every guard is needed: without it, the simulation notices within some seeds.
//!
//! Owns: running the table of mutations. Builds without debug assertions have no switches in the writer.

#![allow(missing_docs, reason = "tests")]
#![cfg(debug_assertions)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use simulation::catalog::Guards;
use simulation::mutations::{MUTATIONS, SEEDS_MAX};
use simulation::plan::Profile;
use simulation::run::{Setup, run};

/// The lease decides on work, never on correctness.
#[test]
fn takeovers_without_regard_to_leases_cost_work_and_nothing_else() {
    for seed in 0..25 {
        let guards = Guards { lease_check: false, ..Guards::default() };
        let outcome = run(&Setup { guards, profile: Profile::all(), ..Setup::of(seed) });
        assert_eq!(outcome.violation, None, "{outcome}");
    }
}

#[test]
fn every_missing_guard_is_noticed() {
    let (next, missed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(mutation) = MUTATIONS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match mutation.find_out() {
                        Some((seeds, outcome)) => {
                            let guarded = mutation.run_guarded(outcome.seed);
                            assert_eq!(guarded.violation, None, "{}: it is not the missing guard", mutation.name);
                            let found = outcome.violation.map(|violation| violation.to_string()).unwrap_or_default();
                            println!("{}: {seeds} seeds, {found}", mutation.name);
                        }
                        None => missed.lock().expect("no holder panics").push(mutation.name),
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().expect("no holder panics");
    assert!(missed.is_empty(), "not noticed within {SEEDS_MAX} seeds: {missed:?}");
}

//! Runs of the simulation: many seeds with everything at once, each kind of fault by itself, pairs, the same seed twice.
//!
//! Owns: the number of seeds here. A longer run is a command: `cargo run --release -p simulation -- --seeds 100000`.

#![allow(missing_docs, reason = "tests")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use simulation::plan::{Kind, Profile};
use simulation::report::Total;
use simulation::run::{Outcome, Setup, run};

/// Runs these seeds on every core; every one must hold.
fn run_all(profile: &Profile, seeds: std::ops::Range<u64>) -> Total {
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new(Total::default());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let outcome = run(&Setup { profile: profile.clone(), ..Setup::of(seed) });
                    if outcome.violation.is_some() {
                        println!("{outcome}\n");
                        next.store(seeds.end, Ordering::Relaxed);
                    }
                    total.lock().expect("no holder panics").add(&outcome);
                }
            });
        }
    });
    let total = total.into_inner().expect("no holder panics");
    println!("profile {}: {total}", profile.name);
    assert_eq!(total.violations, 0, "the seed and how to run it again are above");
    total
}

#[test]
fn two_thousand_seeds_keep_every_promise() {
    let total = run_all(&Profile::all(), 0..2_000);
    assert_eq!(total.seeds, 2_000);
    // A run without commits and faults shows nothing.
    assert!(total.commits > 20_000 && total.crashes > 500 && total.takeovers > 500, "{total}");
    assert!(total.confirmed > 50_000, "{total}");
    assert!(total.tails > 50_000 && total.seams > 100, "{total}");
    assert!(total.publications > 1_000, "{total}");
    assert!(total.unknown_outcomes > 100 && total.halts > 100 && total.gaps > 100, "{total}");
}

#[test]
fn readers_of_iceberg_find_what_the_catalog_lists_whatever_befalls_publishers() {
    let profile = Profile::named("published").expect("it has this name");
    let total = run_all(&profile, 0..20);
    assert!(total.publications > 200 && total.crashes > 10, "{total}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let mut hashes = Vec::new();
    for seed in 0..10 {
        let setup = Setup { is_verbose: true, ..Setup::of(seed) };
        let (first, second) = (run(&setup), run(&setup));
        let differs = first.lines.iter().zip(&second.lines).find(|(first, second)| first != second);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!((first.hash, first.lines.len()), (second.hash, second.lines.len()), "seed {seed}");
        hashes.push(first.hash);
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 10, "seeds differ from each other");
}

#[test]
fn without_faults_nothing_is_taken_over_or_missing() {
    let total = run_all(&Profile::calm(), 0..20);
    assert_eq!((total.takeovers, total.unknown_outcomes, total.halts, total.gaps), (0, 0, 0, 0), "{total}");
    assert!(total.messages > 2_000, "{total}");
}

#[test]
fn a_message_that_panics_its_decoder_is_isolated_and_set_aside() {
    let panics = |seed| Setup { profile: Profile::calm(), off: vec!["decode.survives"], ..Setup::of(seed) };
    let runs: Vec<Outcome> = (0..6).map(|seed| run(&panics(seed))).collect();
    for run in &runs {
        assert!(run.violation.is_none(), "{run}");
    }
    // Only topics of raw messages hold the deadly text; messages decoded with it are not set aside.
    let condemned: Vec<u64> = runs.iter().map(|run| run.figures.condemned).collect();
    assert!(condemned.contains(&1) && condemned.iter().all(|count| *count <= 1), "{condemned:?}");
}

/// A test for each kind of fault, often: alone or with the faults that it needs to matter, over some seeds.
macro_rules! alone {
    ($($name:ident: $($kind:ident $most:literal)+ $(, at_least $figure:ident)?;)*) => {
        mod alone {
            use super::*;
            $(#[test]
            fn $name() {
                let total = run_all(&Profile::only(stringify!($name), &[$((Kind::$kind, $most)),+]), 0..25);
                assert!(total.faults > 25, "{total}");
                $(assert!(total.$figure > 0, "{total}");)?
            })*
        }
    };
}

alone! {
    writers_that_die_anywhere: Crash 12, at_least takeovers;
    writers_that_stand_still_longer_than_their_lease: Pause 8, at_least takeovers;
    writers_that_are_told_to_stop: Shutdown 6;
    writers_that_join: Join 3;
    a_queue_out_of_reach: QueueCut 6;
    connections_to_the_queue_that_break: Disturb 12;
    deliveries_lost_doubled_swapped_and_repeated: Deliveries 8;
    a_queue_that_answers_slowly: QueueSlow 6;
    consumers_that_are_deleted: ConsumersDeleted 8;
    a_catalog_out_of_reach: CatalogCut 6;
    a_catalog_whose_answers_are_lost: CatalogRepliesLost 6;
    requests_and_answers_of_the_catalog_lost_and_late: CatalogNoise 8, at_least unknown_outcomes;
    a_database_that_stops: CatalogDown 5;
    a_database_clock_that_jumps_by_an_hour: ClockJump 6;
    a_store_out_of_reach: StoreCut 6;
    a_store_with_errors_before_and_after_the_work_and_wrong_bytes: StoreNoise 8;
    puts_that_land_late_among_writers_that_die: StoreLate 8 Crash 8, at_least takeovers;
    purges_of_unread_messages: Purge 8 QueueCut 8, at_least gaps;
    single_unread_messages_deleted: Delete 8 QueueCut 8, at_least gaps;
    limits_that_discard_unread_messages: Limit 4, at_least gaps;
    streams_that_lose_their_tail: TailLoss 6, at_least halts;
    catalogs_that_fall_behind_at_a_failover: Failover 4;
    streams_that_are_deleted_and_made_again: Recreate 3, at_least halts;
}

//! SQL over random tables: the same rows from `lake::query` and from DuckDB.
//!
//! Each seed makes two topics of random columns and values, stores them by the product's encoder in several objects of two
//! versions of the schema, and asks both engines random statements. A failure prints seed, statement, tables and both
//! answers. `SILTSTONE_DIFFERENTIAL_SEEDS=10000` runs more seeds, `SILTSTONE_DIFFERENTIAL_SEED=7` a single one, and
//! `SILTSTONE_DIFFERENTIAL_MINUTES=60` new seeds for an hour.

mod aggregates;
mod arrow;
mod differences;
mod predicate;
mod reference;
mod run;
mod scalar;
mod scope;
mod shrink;
mod statement;
mod statements;
mod tables;
mod value;
mod values;
mod verdict;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use run::Figures;
use support::duckdb_session::DuckDbSession;

/// Statements of each seed: tables cost more than statements.
const STATEMENTS: u64 = 20;
const SEEDS: u64 = 150;
/// Disagreements that one run reports at most.
const REPORTS_MAX: usize = 20;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

#[test]
fn datafusion_and_duckdb_give_the_same_rows_of_random_statements() {
    let deadline =
        setting("SILTSTONE_DIFFERENTIAL_MINUTES").map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let (from, end) = match setting("SILTSTONE_DIFFERENTIAL_SEED") {
        Some(seed) => (seed, seed + 1),
        // Those below are in every run of the tests.
        None if deadline.is_some() => (SEEDS, u64::MAX),
        None => (0, setting("SILTSTONE_DIFFERENTIAL_SEEDS").unwrap_or(SEEDS)),
    };
    let next = AtomicU64::new(from);
    let found = Mutex::new((Figures::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| worker(&next, end, deadline, &found));
        }
    });
    let (figures, reports) = found.into_inner().expect("no worker panicked");
    println!("{figures:?}");
    assert!(reports.is_empty(), "{} disagreements\n\n{}", reports.len(), reports.join("\n"));
}

fn worker(next: &AtomicU64, end: u64, deadline: Option<Instant>, found: &Mutex<(Figures, Vec<String>)>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut duckdb = DuckDbSession::start().expect("DuckDB");
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end || deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return;
        }
        let (figures, reports) = runtime.block_on(run::run(seed, STATEMENTS, &mut duckdb));
        // At once, because a long run ends late.
        reports.iter().for_each(|report| println!("{report}"));
        let mut found = found.lock().expect("no worker panics");
        found.0.add(&figures);
        found.1.extend(reports);
        if found.1.len() >= REPORTS_MAX {
            next.store(end, Ordering::Relaxed);
        }
    }
}

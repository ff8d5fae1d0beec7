//! Runs seeds of the simulation on every core.
//!
//! Owns: the command line, the figures at the end. Does not own: a run.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;
use simulation::mutations::{MUTATIONS, Mutation};
use simulation::plan::Profile;
use simulation::report::Total;
use simulation::run::{Outcome, Setup, run};

/// Real writers over models of queue, catalog and store, in virtual time. Same seed, same run.
#[derive(Parser, Debug)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// This one seed only.
    #[arg(long)]
    seed: Option<u64>,
    /// Print every line of a single seed, with what the writers logged.
    #[arg(long)]
    trace: bool,
    /// Which faults: all, calm, history, late, published.
    #[arg(long, default_value = "all")]
    profile: String,
    /// Threads; by default one for each core.
    #[arg(long)]
    threads: Option<usize>,
    /// Instead, in debug builds: switch guards off, those whose mutation's name holds this text, and tell the seeds it took
    /// to notice.
    #[arg(long)]
    mutations: Option<String>,
    /// Go on after a violation.
    #[arg(long)]
    keep_going: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(part) = &arguments.mutations {
        return mutate(part, arguments.seed);
    }
    let Some(profile) = Profile::named(&arguments.profile) else {
        eprintln!("profile {:?} is unknown; allowed are all, calm, history, late, published", arguments.profile);
        return ExitCode::FAILURE;
    };
    match arguments.seed {
        Some(seed) => one(seed, profile, arguments.trace),
        None => many(&arguments, &profile),
    }
}

fn one(seed: u64, profile: Profile, is_verbose: bool) -> ExitCode {
    let outcome = run(&Setup { profile, is_verbose, ..Setup::of(seed) });
    if is_verbose {
        outcome.lines.iter().for_each(|line| println!("{line}"));
    }
    println!("{outcome}");
    println!("trace {:016x}, {} lines", outcome.hash, outcome.lines.len());
    if outcome.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn mutate(part: &str, seed: Option<u64>) -> ExitCode {
    // Mutants panic where an assertion stands in for a guard.
    std::panic::set_hook(Box::new(|_| {}));
    let (next, missed) = (AtomicUsize::new(0), AtomicU64::new(0));
    let chosen: Vec<&Mutation> = MUTATIONS.iter().filter(|mutation| mutation.name.contains(part)).collect();
    if let (Some(seed), Some(mutation)) = (seed, chosen.first()) {
        println!("{}", mutation.run(seed));
        return ExitCode::SUCCESS;
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(mutation) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match mutation.find_out() {
                        Some((seeds, Outcome { violation: Some(violation), .. })) => {
                            println!("{}: {seeds} seeds, {violation}", mutation.name);
                        }
                        _ => {
                            println!("{}: NOT NOTICED", mutation.name);
                            missed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    if missed.into_inner() > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn many(arguments: &Arguments, profile: &Profile) -> ExitCode {
    let started = Instant::now();
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from + arguments.seeds;
    let total = Mutex::new(Total::default());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.unwrap_or(cores) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let outcome = run(&Setup { profile: profile.clone(), ..Setup::of(seed) });
                    if outcome.violation.is_some() {
                        println!("{outcome}\n");
                        if !arguments.keep_going {
                            next.store(end, Ordering::Relaxed);
                        }
                    }
                    let mut total = total.lock().expect("no holder panics");
                    total.add(&outcome);
                    if total.seeds % 500 == 0 {
                        println!("{} s: {total}", started.elapsed().as_secs());
                    }
                }
            });
        }
    });
    let total = total.into_inner().expect("no holder panics");
    println!("{} s: {total}", started.elapsed().as_secs());
    if total.violations > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

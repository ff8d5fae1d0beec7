//! The figures of many runs.

use std::fmt;

use crate::run::Outcome;

/// Sums over runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Runs.
    pub seeds: u64,
    /// Virtual time, in milliseconds.
    pub virtual_ms: u64,
    /// Messages committed.
    pub messages: u64,
    /// Commits.
    pub commits: u64,
    /// Writers killed.
    pub crashes: u64,
    /// Other faults.
    pub faults: u64,
    /// Takeovers from owners that did not release.
    pub takeovers: u64,
    /// Commits of unknown outcome.
    pub unknown_outcomes: u64,
    /// Partitions halted.
    pub halts: u64,
    /// Gaps recorded.
    pub gaps: u64,
    /// Replacements.
    pub replacements: u64,
    /// Commits of shared objects.
    pub shared: u64,
    /// Objects that retention took off the list.
    pub expired: u64,
    /// Objects that retention took off the list for their age.
    pub aged: u64,
    /// Rows of commits that were folded away.
    pub folded: u64,
    /// Versions of tables that were published for readers of Iceberg.
    pub publications: u64,
    /// Records whose commit was confirmed to a producer.
    pub confirmed: u64,
    /// Tails that readers read to their ends.
    pub tails: u64,
    /// Those of which a part was committed while they were read.
    pub seams: u64,
    /// Runs in which a promise was broken.
    pub violations: u64,
}

impl Total {
    /// Adds a run.
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.virtual_ms += outcome.virtual_ms;
        self.messages += outcome.figures.messages;
        self.commits += outcome.figures.commits;
        self.crashes += outcome.counts.crashes;
        self.faults += outcome.counts.faults;
        self.takeovers += outcome.figures.takeovers;
        self.unknown_outcomes += outcome.unknown_outcomes;
        self.halts += outcome.figures.halts;
        self.gaps += outcome.figures.gaps;
        self.shared += outcome.figures.shared;
        self.replacements += outcome.figures.replacements;
        self.expired += outcome.figures.expired;
        self.aged += outcome.figures.aged;
        self.folded += outcome.figures.folded;
        self.publications += outcome.figures.publications;
        self.confirmed += outcome.figures.confirmed;
        self.tails += outcome.figures.tails;
        self.seams += outcome.figures.seams;
        self.violations += u64::from(outcome.violation.is_some());
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} seeds, {:.1} virtual hours, {} messages, {} commits, {} faults, {} crashes, {} takeovers, {} unknown \
             outcomes, {} halts, {} gaps, {} shared, {} replacements, {} expired, {} aged, {} folded, {} published, {} \
             confirmed, {} tails with {} seams, {} violations",
            self.seeds,
            self.virtual_ms as f64 / 3_600_000.0,
            self.messages,
            self.commits,
            self.faults,
            self.crashes,
            self.takeovers,
            self.unknown_outcomes,
            self.halts,
            self.gaps,
            self.shared,
            self.replacements,
            self.expired,
            self.aged,
            self.folded,
            self.publications,
            self.confirmed,
            self.tails,
            self.seams,
            self.violations
        )
    }
}

//! The report of the way into the queue, for people and as JSON.
//!
//! Owns: medians over runs, the targets next to the figures, the layout. Does not own: the figures (`library`, `http`).

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Way;
use super::latency::Latency;
use crate::commands::bench::figures::Setup;
use crate::commands::bench::measure::Phase;
use crate::commands::bench::report::median;
use crate::output::{Align, Table};
use crate::units::count_text;

/// Calls of `send_batch`.
pub(super) const BATCHED: &str = "batched";
/// Calls of `enqueue`.
pub(super) const ENQUEUED: &str = "enqueued";
/// The same records without the library.
pub(super) const CEILING: &str = "ceiling";
/// Requests of NDJSON.
pub(super) const NDJSON: &str = "ndjson";

/// The phases of a run, by their names.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Run(pub(super) BTreeMap<&'static str, Phase>);

/// The whole report.
#[derive(Debug, Serialize)]
pub(in crate::commands::bench) struct Report {
    setup: Setup,
    way: &'static str,
    runs: Vec<Run>,
    /// Records a second of each phase.
    median_per_s: BTreeMap<&'static str, f64>,
    /// The library's speed in calls of many records as a part of the ceiling's in the same run.
    #[serde(skip_serializing_if = "Option::is_none")]
    median_ratio: Option<f64>,
    latency: Vec<Latency>,
}

impl Report {
    /// A report of at least one run.
    pub(super) fn new(setup: Setup, way: Way, runs: Vec<Run>, latency: Vec<Latency>) -> Self {
        let mut speeds: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
        for (name, phase) in runs.iter().flat_map(|run| &run.0) {
            speeds.entry(name).or_default().push(phase.messages_per_s);
        }
        let ratio = |run: &Run| Some(run.0.get(BATCHED)?.messages_per_s / run.0.get(CEILING)?.messages_per_s);
        let ratios: Option<Vec<f64>> = runs.iter().map(ratio).collect();
        Self {
            setup,
            way: match way {
                Way::Library => "library",
                Way::Http => "http",
            },
            median_per_s: speeds.into_iter().map(|(name, speeds)| (name, median(speeds))).collect(),
            median_ratio: ratios.map(median),
            runs,
            latency,
        }
    }

    /// The phase in words, and the target of its speed.
    fn words(&self, name: &str) -> (&'static str, &'static str) {
        let is_memory = self.setup.queue == "memory";
        match name {
            BATCHED if is_memory => ("library, calls of 1,000 records", ">= 1,000,000/s"),
            BATCHED => ("library, calls of 1,000 records", ""),
            ENQUEUED => ("library, enqueued one by one", ""),
            CEILING if is_memory => ("the queue alone", ""),
            CEILING => ("a bare client, the same bytes", ""),
            _ => ("NDJSON over HTTP, requests of 5,000 records", ">= 300,000/s"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.setup)?;
        let mut table = Table::new(&[
            ("RECORDS A SECOND", Align::Left),
            ("MEDIAN", Align::Right),
            ("BEST", Align::Right),
            ("A CPU SECOND", Align::Right),
            ("TARGET", Align::Right),
        ]);
        for (name, speed) in &self.median_per_s {
            let phases = || self.runs.iter().filter_map(|run| run.0.get(name));
            let best = phases().map(|phase| phase.messages_per_s).fold(0.0, f64::max);
            let of_cpu: Option<Vec<f64>> = phases().map(|phase| phase.messages_per_cpu_s).collect();
            let of_cpu = of_cpu.map_or_else(String::new, |speeds| whole(median(speeds)));
            let (words, target) = self.words(name);
            table.row([words, &whole(*speed), &whole(best), &of_cpu, target]);
        }
        write!(f, "{table}")?;
        if let Some(ratio) = self.median_ratio {
            let target = if self.setup.queue == "memory" { "" } else { " (target >= 0.8)" };
            writeln!(f, "library in calls of many / without it: {ratio:.2}{target}")?;
        }
        if self.latency.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(&[
            ("ANSWER", Align::Left),
            ("CLIENTS", Align::Right),
            ("P50", Align::Right),
            ("P99", Align::Right),
            ("LONGEST", Align::Right),
            ("ANSWERS A SECOND", Align::Right),
        ]);
        let milliseconds = |ms: f64| format!("{ms:.2} ms");
        for Latency { clients, acks, answers_per_s, p50_ms, p99_ms, max_ms, .. } in &self.latency {
            let [p50, p99, longest] = [*p50_ms, *p99_ms, *max_ms].map(milliseconds);
            table.row([acks.clone(), count_text(*clients as u64), p50, p99, longest, whole(*answers_per_s)]);
        }
        write!(f, "\n{table}")
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive and far below 2^64")]
fn whole(per_s: f64) -> String {
    count_text(per_s as u64)
}

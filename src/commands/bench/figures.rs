//! The plain figures of a bench: its set-up, its runs, its live phase.
//!
//! Owns: their names and units, as the JSON report has them, and the ratio of a run.
//! Does not own: measuring them (each phase), best and median and the layout (`report`).

use std::collections::BTreeMap;

use serde::Serialize;
use writer::Summary;

use super::measure::{Hardware, Phase};

/// The set-up of a bench.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Setup {
    pub(super) build: &'static str,
    pub(super) hardware: Hardware,
    pub(super) queue: String,
    pub(super) store: String,
    pub(super) catalog: String,
    pub(super) format: String,
    pub(super) columns: usize,
    /// Mean.
    pub(super) payload_bytes: u64,
    pub(super) partitions: u32,
    pub(super) flush_interval_secs: u64,
    pub(super) segment_bytes_max: usize,
    pub(super) memory_budget_bytes: usize,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Run {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) publish: Option<Phase>,
    pub(super) ceiling: Phase,
    pub(super) pipeline: Pipeline,
    /// Speed of the pipeline as a part of the ceiling's.
    pub(super) ratio: f64,
}

/// The work of the pipeline.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Pipeline {
    /// Time, CPU and memory until the last commit.
    #[serde(flatten)]
    pub(super) phase: Phase,
    /// Rows in the topic's table.
    pub(super) records: u64,
    /// Records in quarantine.
    pub(super) quarantined: u64,
    /// Segments that were committed.
    pub(super) segments: u64,
    /// Their bytes.
    pub(super) segment_bytes: u64,
    /// Batches by the reason that closed them.
    pub(super) rolls: BTreeMap<String, u64>,
    /// The most bytes of the memory budget in use at once.
    pub(super) budget_peak_bytes: usize,
}

/// From publish to commit.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Freshness {
    /// Messages that were timed.
    pub(super) messages: u64,
    /// Median.
    pub(super) p50_ms: f64,
    /// 99th percentile.
    pub(super) p99_ms: f64,
    /// Maximum.
    pub(super) max_ms: f64,
    /// Each figure may be late by this much.
    pub(super) poll_ms: f64,
}

/// The live phase.
#[derive(Clone, Debug, Serialize)]
pub(super) struct LiveReport {
    #[serde(flatten)]
    pub(super) phase: Phase,
    pub(super) rate: u64,
    pub(super) publish_seconds: u64,
    pub(super) topics: usize,
    pub(super) partitions: usize,
    pub(super) freshness: Freshness,
    pub(super) segments: u64,
    pub(super) segment_bytes: u64,
    pub(super) objects: u64,
    pub(super) rolls: BTreeMap<String, u64>,
    pub(super) budget_peak_bytes: usize,
}

impl Run {
    /// A run of its phases.
    pub(super) fn new(publish: Option<Phase>, ceiling: Phase, pipeline: Pipeline) -> Self {
        let ratio = pipeline.phase.messages_per_s / ceiling.messages_per_s;
        Self { publish, ceiling, pipeline, ratio }
    }
}

impl Pipeline {
    /// The figures of a phase that has ended with this summary of its writer.
    pub(super) fn new(phase: Phase, summary: &Summary, budget_peak_bytes: usize) -> Self {
        Self {
            phase,
            records: summary.records,
            quarantined: summary.quarantined,
            segments: summary.segments,
            segment_bytes: summary.bytes,
            rolls: rolls_of(summary),
            budget_peak_bytes,
        }
    }
}

/// Batches by the reason that closed them, those that happened.
pub(super) fn rolls_of(summary: &Summary) -> BTreeMap<String, u64> {
    let happened = summary.rolls.iter().filter(|(_, count)| *count > 0);
    happened.map(|(reason, count)| (reason.to_string(), *count)).collect()
}

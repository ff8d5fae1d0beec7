//! The report of a bench, for people and as JSON.
//!
//! Owns: best and median, the layout. Does not own: the figures (`figures`), measuring them (each phase).

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::figures::{LiveReport, Run, Setup};
use super::measure::Phase;
use crate::output::{Align, Table};
use crate::units::{bytes_text, count_text};

/// The whole report.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    setup: Setup,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    runs: Vec<Run>,
    #[serde(skip_serializing_if = "Option::is_none")]
    best: Option<Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    median: Option<Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<LiveReport>,
}

/// The figures that are compared between runs.
#[derive(Clone, Copy, Debug, Serialize)]
struct Figures {
    ratio: f64,
    messages_per_s: f64,
    mb_per_s: f64,
    messages_per_cpu_s: Option<f64>,
}

impl Figures {
    fn of(run: &Run) -> Self {
        let phase = &run.pipeline.phase;
        Self {
            ratio: run.ratio,
            messages_per_s: phase.messages_per_s,
            mb_per_s: phase.mb_per_s,
            messages_per_cpu_s: phase.messages_per_cpu_s,
        }
    }
}

impl Report {
    /// A report of these runs, which may be none.
    pub(super) fn new(mut setup: Setup, runs: Vec<Run>, live: Option<LiveReport>) -> Self {
        if let Some(ceiling) = runs.first().map(|run| &run.ceiling).filter(|ceiling| ceiling.messages > 0) {
            // Messages that were only read again keep their own size.
            setup.payload_bytes = ceiling.bytes / ceiling.messages;
        }
        let figures: Vec<Figures> = runs.iter().map(Figures::of).collect();
        let of = |pick: &dyn Fn(Vec<f64>) -> f64| {
            (!figures.is_empty()).then(|| Figures {
                ratio: pick(figures.iter().map(|figures| figures.ratio).collect()),
                messages_per_s: pick(figures.iter().map(|figures| figures.messages_per_s).collect()),
                mb_per_s: pick(figures.iter().map(|figures| figures.mb_per_s).collect()),
                messages_per_cpu_s: figures
                    .iter()
                    .map(|figures| figures.messages_per_cpu_s)
                    .collect::<Option<_>>()
                    .map(pick),
            })
        };
        let best = of(&|values| values.into_iter().fold(f64::NEG_INFINITY, f64::max));
        let median = of(&|values| median(values));
        Self { setup, runs, best, median, live }
    }
}

/// The middle value, or the mean of the two middle ones; `values` is not empty.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.setup)?;
        for (number, run) in self.runs.iter().enumerate() {
            writeln!(f, "run {}\n{run}", number + 1)?;
        }
        if self.runs.len() > 1 {
            for (name, figures) in [("best", self.best), ("median", self.median)] {
                figures.map_or(Ok(()), |figures| writeln!(f, "{name:<7} {figures}"))?;
            }
            writeln!(f)?;
        }
        self.live.as_ref().map_or(Ok(()), |live| write!(f, "{live}"))
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hardware = &self.hardware;
        let memory = hardware.memory_bytes.map_or_else(String::new, |bytes| format!(", {}", bytes_text(bytes)));
        writeln!(f, "{} build; {}, {} threads{memory}", self.build, hardware.cpu, hardware.cores)?;
        writeln!(f, "queue {}; store {}; catalog {}", self.queue, self.store, self.catalog)?;
        writeln!(
            f,
            "{} messages of {} bytes, {} columns, {} partition(s); segments up to {} or {} s; memory budget {}",
            self.format,
            self.payload_bytes,
            self.columns,
            self.partitions,
            bytes_text(self.segment_bytes_max as u64),
            self.flush_interval_secs,
            bytes_text(self.memory_budget_bytes as u64)
        )
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let right = Align::Right;
        let mut table = Table::new(&[
            ("PHASE", Align::Left),
            ("MESSAGES", right),
            ("SECONDS", right),
            ("MESSAGES/S", right),
            ("MB/S", right),
            ("CPU S", right),
            ("MESSAGES/CPU S", right),
            ("PEAK RSS", right),
        ]);
        let phases = [
            ("publish", self.publish.as_ref()),
            ("ceiling", Some(&self.ceiling)),
            ("pipeline", Some(&self.pipeline.phase)),
        ];
        for (name, phase) in phases {
            if let Some(phase) = phase {
                table.row([vec![name.to_owned()], phase.cells()].concat());
            }
        }
        write!(f, "{table}")?;
        let pipeline = &self.pipeline;
        writeln!(f, "ratio pipeline/ceiling {:.2}", self.ratio)?;
        writeln!(
            f,
            "{} rows and {} quarantined in {} segments, {} ({:.1} % of the payloads); rolled by {}; budget peak {}",
            count_text(pipeline.records),
            count_text(pipeline.quarantined),
            count_text(pipeline.segments),
            bytes_text(pipeline.segment_bytes),
            percent(pipeline.segment_bytes, pipeline.phase.bytes),
            rolls_text(&pipeline.rolls),
            bytes_text(pipeline.budget_peak_bytes as u64)
        )
    }
}

impl Phase {
    fn cells(&self) -> Vec<String> {
        let known = |value: Option<String>| value.unwrap_or_else(|| "?".to_owned());
        let rss = self
            .rss_peak_bytes
            .map(|bytes| format!("{}{}", bytes_text(bytes), if self.rss_peak_is_of_phase { "" } else { " (process)" }));
        vec![
            count_text(self.messages),
            format!("{:.2}", self.seconds),
            rate_text(self.messages_per_s),
            format!("{:.1}", self.mb_per_s),
            known(self.cpu_seconds.map(|cpu| format!("{cpu:.2}"))),
            known(self.messages_per_cpu_s.map(rate_text)),
            known(rss),
        ]
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_cpu = self.messages_per_cpu_s.map_or_else(|| "?".to_owned(), rate_text);
        write!(
            f,
            "ratio {:.2}, {} messages/s, {:.1} MB/s, {per_cpu} messages per CPU second",
            self.ratio,
            rate_text(self.messages_per_s),
            self.mb_per_s
        )
    }
}

impl fmt::Display for LiveReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (freshness, phase) = (&self.freshness, &self.phase);
        writeln!(
            f,
            "live: {} messages at {}/s over {} partition(s) of {} topic(s) for {} s",
            count_text(freshness.messages),
            count_text(self.rate),
            count_text(self.partitions as u64),
            count_text(self.topics as u64),
            self.publish_seconds
        )?;
        writeln!(
            f,
            "  publish to commit  p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms (each late by up to {:.0} ms)",
            freshness.p50_ms, freshness.p99_ms, freshness.max_ms, freshness.poll_ms
        )?;
        writeln!(
            f,
            "  segments           {} in {} objects, {}; rolled by {}",
            count_text(self.segments),
            count_text(self.objects),
            bytes_text(self.segment_bytes),
            rolls_text(&self.rolls)
        )?;
        let rss = phase.rss_peak_bytes.map_or_else(|| "?".to_owned(), bytes_text);
        let cpu = phase.cpu_seconds.map_or_else(|| "?".to_owned(), |cpu| format!("{cpu:.2}"));
        let scope = if phase.rss_peak_is_of_phase { "" } else { " (of the whole process)" };
        writeln!(
            f,
            "  memory             budget peak {}, RSS peak {rss}{scope}; {cpu} CPU s in {:.1} s",
            bytes_text(self.budget_peak_bytes as u64),
            phase.seconds
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are positive and far below 2^64")]
fn rate_text(rate: f64) -> String {
    count_text(rate.round() as u64)
}

fn rolls_text(rolls: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> = rolls.iter().map(|(reason, count)| format!("{reason} {}", count_text(*count))).collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}

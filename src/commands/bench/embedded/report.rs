//! The report of embedded use, for people and as JSON.
//!
//! Owns: the layout, and the targets beside the figures. Does not own: the figures (`embedded`).

use std::fmt;

use serde::Serialize;

use super::Figures;
use crate::output::{Align, Table};
use crate::units::{bytes_text, count_text};

/// Shown by `Display`; its JSON is that of the figures.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(in crate::commands::bench) struct Report(pub(super) Figures);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { hardware, append, append_latency, committed, segment, .. } = &self.0;
        writeln!(f, "{} build, {} cores of {}, {}", self.0.build, hardware.cores, hardware.cpu, self.0.store)?;
        let (records, bytes, format) = (count_text(append.messages), self.0.payload_bytes, &self.0.format);
        writeln!(f, "{records} {format} records of {bytes} bytes, appended one by one to one partition")?;
        let mut table = Table::new(&[("FIGURE", Align::Left), ("MEASURED", Align::Right), ("TARGET", Align::Right)]);
        let rate = |per_s: f64| format!("{}/s", count_text(whole(per_s)));
        table.row(["records committed", &rate(committed.messages_per_s), ">= 50,000/s"]);
        table.row(["records appended", &rate(append.messages_per_s), ""]);
        table.row(["append p50", &micros(append_latency.p50_us), ""]);
        table.row(["append p99", &micros(append_latency.p99_us), "< 10 ms"]);
        table.row(["append p99.9", &micros(append_latency.p999_us), ""]);
        table.row(["append longest", &micros(append_latency.max_us), ""]);
        table.row(["flush_all", &format!("{:.3} s", self.0.flush_seconds), ""]);
        let of = format!("a segment of {}", bytes_text(segment.bytes));
        table.row([format!("roll {of}"), format!("{:.0} ms", segment.roll_seconds * 1e3), "< 500 ms".to_owned()]);
        table.row([format!("upload {of}"), format!("{:.0} ms", segment.upload_seconds * 1e3), "< 2000 ms".to_owned()]);
        table.row([format!("commit {of}"), format!("{:.0} ms", segment.commit_seconds * 1e3), String::new()]);
        write!(f, "{table}")
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive and far below 2^64")]
fn whole(per_s: f64) -> u64 {
    per_s as u64
}

fn micros(us: f64) -> String {
    if us < 1_000.0 { format!("{us:.1} µs") } else { format!("{:.1} ms", us / 1e3) }
}

//! The way of a record into the queue, measured: by the library, or over HTTP.
//!
//! Owns: the order of the phases. First throughput, in several runs on the same queue, then the time of an answer with few
//! and many clients, with the writer at work in the same process.
//! Does not own: each way (`library`, `http`), the time of answers (`latency`), showing the figures (`report`).

mod client;
mod http;
mod latency;
mod library;
mod report;

use std::sync::Arc;

use catalog::MetadataStore;
use common::Queue;
use ingester::Acks;
use writer::RunningWriter;

use self::latency::Latency;
use self::report::Run;
use super::pipeline::start_writer;
use super::setup::Bench;
use crate::output;

pub(super) use self::report::Report;

/// The way that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// `ingester::Producer` in this process.
    Library,
    /// Clients over HTTP, in this process too.
    Http,
}

/// The size of a measurement.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    /// Records of each run.
    pub(super) messages: u64,
    pub(super) runs: u32,
    /// Numbers of clients whose answers are timed.
    pub(super) clients: Vec<usize>,
    /// Length of the phase of each number of clients; 0 for none.
    pub(super) client_seconds: u64,
}

/// The parts that every phase works on.
struct Place<'b> {
    bench: &'b Bench,
    queue: Arc<dyn Queue>,
    catalog: Arc<dyn MetadataStore>,
}

/// Measures one way.
pub(super) async fn measure(bench: &Bench, way: Way, scale: &Scale) -> anyhow::Result<Report> {
    let mut runs = Vec::new();
    for number in 1..=scale.runs {
        output::note(&format!("run {number} of {}", scale.runs));
        let place = Place { bench, queue: bench.queue().await?, catalog: bench.fresh_catalog().await? };
        let run = match way {
            Way::Library => Box::pin(library::throughput(&place, scale.messages)).await,
            Way::Http => Box::pin(http::throughput(&place, scale.messages)).await,
        };
        bench.forget(place.catalog).await?;
        runs.push(run?);
    }
    let latencies = Box::pin(latencies(bench, way, scale)).await?;
    Ok(Report::new(bench.describe(), way, runs, latencies))
}

/// Answers for each number of clients, first of the queue, then of the catalog. The topic is one of their own.
async fn latencies(bench: &Bench, way: Way, scale: &Scale) -> anyhow::Result<Vec<Latency>> {
    if scale.client_seconds == 0 {
        return Ok(Vec::new());
    }
    let live = bench.live_bench(1).await?;
    let place = Place { bench: &live, queue: live.queue().await?, catalog: live.fresh_catalog().await? };
    let mut running = start_writer(&place.queue, &live, &place.catalog).await?;
    let measured = Box::pin(each(&place, &running, way, scale)).await;
    running.shutdown().await?;
    live.forget(place.catalog).await?;
    live.drop_topic().await?;
    measured
}

async fn each(place: &Place<'_>, running: &RunningWriter, way: Way, scale: &Scale) -> anyhow::Result<Vec<Latency>> {
    let mut measured = Vec::new();
    for acks in [Acks::Queued, Acks::Committed] {
        for &clients in &scale.clients {
            output::note(&format!("{clients} clients, acks={acks}, for {} s", scale.client_seconds));
            let size = latency::Size { clients, acks, seconds: scale.client_seconds };
            measured.push(match way {
                Way::Library => Box::pin(library::latency(place, running, size)).await?,
                Way::Http => Box::pin(http::latency(place, running, size)).await?,
            });
        }
    }
    Ok(measured)
}

/// A run's figures by their names.
fn run_of(phases: Vec<(&'static str, super::measure::Phase)>) -> Run {
    Run(phases.into_iter().collect())
}

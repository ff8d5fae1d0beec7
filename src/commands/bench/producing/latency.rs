//! The time of an answer with a number of clients, each of which sends its next record after the last answer.
//!
//! Owns: the clients' tasks, and the percentiles. Does not own: one call (`library`, `http`).

use std::time::Duration;

use common::clock::{Clock, SystemClock};
use ingester::Acks;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::commands::bench::measure::per_mille;

/// The size of one phase.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) clients: usize,
    pub(super) acks: Acks,
    pub(super) seconds: u64,
}

/// Times of the answers of one phase.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) clients: usize,
    pub(super) acks: String,
    pub(super) answers: u64,
    pub(super) answers_per_s: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

/// One client.
pub(super) trait Caller: Send + 'static {
    /// Sends one record and waits for its answer, which must be a success.
    fn call(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Lets every client work for the time of the phase; the answers that are due then are waited for.
pub(super) async fn measure<C: Caller>(callers: Vec<C>, size: Size) -> anyhow::Result<Latency> {
    let (started, mut tasks) = (Instant::now(), JoinSet::new());
    let end = started + Duration::from_secs(size.seconds);
    for mut caller in callers {
        tasks.spawn(async move {
            let mut micros = Vec::new();
            while Instant::now() < end {
                let sent_us = SystemClock.now_us();
                caller.call().await?;
                micros.push(SystemClock.now_us() - sent_us);
            }
            anyhow::Ok(micros)
        });
    }
    let mut micros = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        micros.extend(ended??);
    }
    Ok(Latency::of(micros, size, started.elapsed()))
}

impl Latency {
    #[expect(clippy::cast_precision_loss, reason = "figures are approximate")]
    fn of(mut micros: Vec<i64>, size: Size, time: Duration) -> Self {
        micros.sort_unstable();
        let at = |thousandths| per_mille(&micros, thousandths).unwrap_or_default().max(0) as f64 / 1e3;
        Self {
            clients: size.clients,
            acks: size.acks.to_string(),
            answers: micros.len() as u64,
            answers_per_s: micros.len() as f64 / time.as_secs_f64(),
            p50_ms: at(500),
            p99_ms: at(990),
            max_ms: at(1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_answers() {
        let size = Size { clients: 2, acks: Acks::Committed, seconds: 1 };
        let latency = Latency::of((1..=200).rev().map(|number| number * 1_000).collect(), size, Duration::from_secs(2));
        assert_eq!((latency.p50_ms, latency.p99_ms, latency.max_ms), (100.0, 198.0, 200.0));
        assert_eq!((latency.answers, latency.answers_per_s, latency.acks.as_str()), (200, 100.0, "committed"));
        assert_eq!(Latency::of(Vec::new(), size, Duration::from_secs(1)).max_ms, 0.0);
    }
}

//! The progress of the writers, and waiting for more.
//!
//! Owns: reading the progress from publisher, logs and catalog, and healing the network for the last wait. Does not
//! own: keeping the writers alive meanwhile (`World::tend`).

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use support::process::log_tail;
use support::proxy::Mode;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::{DEADLINE, World};
use crate::crash::publisher::Published;

const POLL: Duration = Duration::from_millis(300);

impl World {
    pub(in crate::crash) fn log(&self, writer: usize) -> PathBuf {
        self.siltstone.path().join(format!("writer-{writer}.log"))
    }

    /// The logs of all writers, from their first start on.
    pub(in crate::crash) fn logs(&self) -> Vec<String> {
        let text = |index| String::from_utf8_lossy(&std::fs::read(self.log(index)).unwrap_or_default()).into_owned();
        (0..self.writers.len()).map(text).collect()
    }

    /// Waits until the writer has started, restarting it if necessary.
    pub(in crate::crash) async fn wait_started(&mut self, writer: usize) {
        let deadline = Instant::now() + DEADLINE;
        while !self.logs()[writer][self.starts[writer]..].contains("writer started") {
            assert!(Instant::now() < deadline, "it does not start: {}", log_tail(&self.log(writer)));
            self.pass_time(POLL).await;
        }
    }

    /// Tends the writers for a while.
    pub(in crate::crash) async fn pass_time(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.tend();
            sleep(Duration::from_millis(50).min(end.saturating_duration_since(Instant::now()))).await;
        }
        self.tend();
    }

    /// Tends the writers until one of them has committed since `commits` were counted, for at most `time`.
    pub(in crate::crash) async fn pass_commit(&mut self, commits: usize, time: Duration) {
        let end = Instant::now() + time;
        while self.commits() <= commits && Instant::now() < end {
            self.pass_time(POLL).await;
        }
    }

    /// Number of commits in the writers' logs.
    pub(in crate::crash) fn commits(&self) -> usize {
        self.logs()
            .iter()
            .map(|log| log.matches("segment committed").count() + log.matches("segments committed").count())
            .sum()
    }

    /// The partitions as `topic describe` shows them.
    pub(in crate::crash) async fn partitions(&self) -> Vec<Value> {
        let mut described = self.siltstone.run(&["topic", "describe", "orders", "--json"]).await.ok().json();
        match described["partitions"].take() {
            Value::Array(partitions) => partitions,
            other => panic!("not a list: {other}"),
        }
    }

    /// The published messages, once all are confirmed.
    pub(in crate::crash) async fn confirmed(&self, publishing: JoinHandle<Published>) -> Published {
        let Ok(ended) = timeout(DEADLINE, publishing).await else {
            panic!("not everything is confirmed after {DEADLINE:?}: {}", log_tail(&self.nats.log()));
        };
        ended.expect("the publisher does not panic")
    }

    /// Heals the network and waits, with all writers alive, until every confirmed message is below its watermark.
    pub(in crate::crash) async fn settle(&mut self, published: &Published) {
        for proxy in &self.proxies {
            proxy.disarm();
            proxy.set(Mode::Pass);
        }
        let (wanted, deadline) = (published.last_offsets(), Instant::now() + DEADLINE);
        loop {
            self.pass_time(POLL).await;
            let partitions = self.partitions().await;
            let watermarks: Vec<u64> =
                partitions.iter().map(|row| row["high_watermark"].as_u64().expect("a number")).collect();
            if watermarks.iter().zip(&wanted).all(|(watermark, last)| *last == 0 || watermark > last) {
                return;
            }
            let halted = partitions.iter().find(|row| row["state"] != "active");
            let ends =
                || (0..self.writers.len()).map(|index| log_tail(&self.log(index))).collect::<Vec<_>>().join("\n\n");
            assert!(halted.is_none(), "halted: {halted:?}\n{}", ends());
            assert!(Instant::now() < deadline, "{watermarks:?} do not pass {wanted:?}\n{}", ends());
        }
    }
}

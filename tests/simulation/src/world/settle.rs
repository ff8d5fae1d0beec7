//! The end of a run: faults stop, and everything must settle.
//!
//! Owns: healing, and the checks of a settled run. Does not own: the commits (`oracle`).

use std::time::Duration;

use catalog::{PartitionState, UploadState};
use tokio::time::Instant;

use super::{TICK, World, calm_rates};
use crate::catalog::CatalogState;

/// Faults having stopped, everything must be committed within this time.
const SETTLE_MAX: Duration = Duration::from_secs(180);

impl World {
    /// Stops all faults; one more message for each partition shows that all of them make progress.
    fn heal(&mut self) {
        self.around.trace.note("world", "heals");
        self.failovers.drain(..).for_each(|failover| failover.abort());
        self.around.catalog_faults.set_rates(calm_rates());
        self.around.catalog_faults.set_links(crate::catalog::Link::Up);
        // A clock that is put back lengthens leases and the janitor's holds by as much: too long for the end of a run.
        let error_ms = self.around.catalog.inspect(|state| state.clock_offset_ms);
        self.jump_clock(self.clock_error_ms - error_ms);
        self.producers.heal();
        for partition in self.partitions() {
            self.around.queue.set_messages_max(&partition, None);
        }
        for writer in self.slots.iter().flatten() {
            writer.queue.link().set(|faults| *faults = Default::default());
            writer.store.link().set(|faults| *faults = Default::default());
            writer.queue.set_delivery_faults(Default::default());
            writer.store.set_faults(Default::default());
            writer.resume();
        }
        self.heal_compactor();
        if self.slots.iter().all(Option::is_none) && self.restarts.is_empty() {
            self.start(0);
        }
        for partition in self.partitions() {
            self.producers.publish(partition, 1, true);
        }
    }

    /// Heals and checks that everything settles. With `fails_over` a server without the last commits then takes over:
    /// the messages that it lacks must be read again although no new one comes.
    pub(super) async fn end(&mut self, fails_over: bool) {
        let (standby, began) = (fails_over.then(|| self.standby()), Instant::now());
        self.heal();
        if !self.settle("after healing").await {
            return;
        }
        // A standby that lags beyond the janitor's hold lists objects that were replaced and deleted since.
        let retires = self.plan.replaces() || self.plan.retention.is_some();
        let is_recent = !retires || began.elapsed() < self.plan.config.janitor_hold;
        if let Some(standby) = standby.filter(|_| is_recent) {
            standby.take_over();
            if !self.settle("after a failover").await {
                return;
            }
        }
        // Intents still pending are doomed by the next takeover, and their objects deleted by the janitor.
        for writer in self.slots.iter().flatten() {
            writer.shutdown();
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.slots.iter().flatten().any(|writer| !writer.has_ended()) && Instant::now() < deadline {
            tokio::time::sleep(TICK).await;
        }
        if self.slots.iter().flatten().any(|writer| !writer.has_ended()) {
            self.around.oracle.report(13, "a writer did not stop in good order".to_owned());
        }
        self.slots.iter_mut().for_each(|slot| *slot = None);
        self.restarts.clear();
        self.is_last = true;
        self.end_tables().await;
        self.start(0);
        self.start_last_compactor();
        if self.settle("with a new writer").await {
            self.around.catalog.inspect(|state| self.around.oracle.check_settled(state));
            self.inspect_tables().await;
            self.check_nothing_left();
        }
    }

    /// Waits until everything is committed and nothing is left to delete; false when that takes too long.
    async fn settle(&mut self, when: &str) -> bool {
        let deadline = Instant::now() + SETTLE_MAX;
        loop {
            if !self.wait_until(Instant::now() + TICK).await {
                return false;
            }
            let Some(unsettled) = self.around.catalog.inspect(|state| self.unsettled(state)) else { return true };
            if Instant::now() >= deadline {
                self.around.oracle.report(13, format!("{when}: {unsettled}"));
                return false;
            }
        }
    }

    /// The first condition of a settled run that does not hold.
    fn unsettled(&self, state: &CatalogState) -> Option<String> {
        if self.producers.are_busy() {
            return Some("producers are not through".to_owned());
        }
        for (partition, row) in &state.partitions {
            let row = &row.partition;
            let next_offset = self.around.queue.bounds(partition).map_or(0, |bounds| bounds.next_offset);
            if row.state == PartitionState::Halted {
                return Some(format!("{partition} is halted: {}", row.halt_reason.as_deref().unwrap_or_default()));
            }
            if row.high_watermark != next_offset {
                let watermark = row.high_watermark;
                return Some(format!("{partition} is committed below {watermark}, the queue's end is {next_offset}"));
            }
        }
        if let (true, Some(upload)) = (self.is_last, state.uploads.values().next()) {
            let what = if upload.state == UploadState::Pending { "pending" } else { "not swept" };
            return Some(format!("{} is still {what}", upload.key));
        }
        self.is_last.then(|| self.unpublished(state)).flatten()
    }

    /// Every object is listed, or is metadata of a published table, except those that a lagging catalog does not know.
    fn check_nothing_left(&self) {
        let listed = self.around.catalog.inspect(|state| {
            let keys = state.objects.values().map(|row| row.object.key.clone());
            keys.chain(state.iceberg_objects.keys().map(|name| name.key.clone()))
                .collect::<std::collections::BTreeSet<_>>()
        });
        for key in self.around.store.keys() {
            if !listed.contains(&key) && !self.swept_early.contains(&key) && !self.around.oracle.is_forgotten("", &key)
            {
                self.around.oracle.report(8, format!("{key} is neither listed nor deleted"));
            }
        }
    }
}

//! Faults, carried out.
//!
//! Owns: the effect of each kind on the models, and its end. A fault without a target has no effect.

use std::time::Duration;

use catalog::{Upload, UploadState};
use common::TopicPartition;
use tokio::time::Instant;

use super::{World, calm_rates};
use crate::catalog::{CatalogState, Faults, Link as CatalogLink, ModelCatalog, Rates};
use crate::network::LinkFaults;
use crate::oracle::{Oracle, View};
use crate::plan::Kind;
use crate::queue::DeliveryFaults;
use crate::store::{ModelStore, StoreFaults};

/// A standby that lags.
pub(super) struct Standby {
    catalog: ModelCatalog,
    oracle: Oracle,
    state: CatalogState,
    view: View,
}

impl Standby {
    pub(super) fn take_over(self) {
        self.oracle.goes_back(self.view);
        self.catalog.restore(self.state);
    }
}

impl World {
    pub(super) fn fault(&mut self, kind: Kind, slot: usize, partition_id: u32, lasting: Duration, size: u64) {
        self.around.trace.note("world", format!("{kind:?} slot {slot} partition {partition_id} {lasting:?} {size}"));
        if self.befalls_compactor(kind, lasting, size) {
            return;
        }
        match kind {
            Kind::Crash | Kind::Pause | Kind::Shutdown | Kind::Join => self.befall(kind, slot, lasting, size),
            Kind::QueueCut | Kind::Disturb | Kind::Deliveries | Kind::QueueSlow => {
                self.disturb_reading(kind, slot, lasting, size)
            }
            Kind::CatalogCut | Kind::CatalogRepliesLost | Kind::CatalogNoise | Kind::CatalogDown | Kind::ClockJump => {
                self.disturb_catalog(kind, slot, lasting, size);
            }
            Kind::Failover => self.fail_over(lasting, size),
            Kind::StoreCut | Kind::StoreNoise | Kind::StoreLate => self.disturb_store(kind, slot, lasting, size),
            Kind::ConsumersDeleted | Kind::Purge | Kind::Delete | Kind::Limit | Kind::TailLoss | Kind::Recreate => {
                self.change_stream(kind, partition_id, lasting, size)
            }
        }
    }

    /// Applies a fault to a whole writer.
    fn befall(&mut self, kind: Kind, slot: usize, lasting: Duration, size: u64) {
        match kind {
            Kind::Crash => {
                let Some(writer) = self.slots[slot].take() else { return };
                writer.kill();
                self.counts.crashes += 1;
                // Some writers never come back.
                if size < 850 {
                    self.restarts.insert(slot, Instant::now() + lasting);
                }
            }
            Kind::Shutdown => {
                let Some(writer) = self.writer(slot) else { return };
                writer.shutdown();
                self.restarts.insert(slot, Instant::now() + Duration::from_secs(10) + lasting);
            }
            Kind::Join => {
                if self.slots[slot].is_none() {
                    self.start(slot);
                }
            }
            _ => {
                let Some(writer) = self.writer(slot) else { return };
                writer.pause();
                let resume = writer.resume_later(lasting);
                tokio::spawn(resume);
            }
        }
    }

    fn disturb_reading(&mut self, kind: Kind, slot: usize, lasting: Duration, size: u64) {
        let Some(writer) = self.writer(slot) else { return };
        let queue = writer.queue.clone();
        match kind {
            Kind::Disturb => queue.disturb(),
            Kind::QueueSlow => {
                queue.link().set(|faults| faults.delay_ms = 0..size / 2 + 1);
                tokio::spawn(async move {
                    tokio::time::sleep(lasting).await;
                    queue.link().set(|faults| faults.delay_ms = LinkFaults::default().delay_ms);
                });
            }
            Kind::QueueCut => {
                queue.link().set(|faults| faults.is_cut = true);
                // The client often notices at once, and else by the silence.
                if size < 600 {
                    queue.disturb();
                }
                tokio::spawn(async move {
                    tokio::time::sleep(lasting).await;
                    queue.link().set(|faults| faults.is_cut = false);
                });
            }
            _ => {
                let rate = |share: u64| (size % share) as u32 / 4;
                let faults = DeliveryFaults {
                    dropped: rate(200),
                    doubled: rate(170),
                    swapped: rate(150),
                    redelivered: rate(130),
                };
                queue.set_delivery_faults(faults);
                queue.link().set(|faults| (faults.request_lost, faults.reply_lost) = (50, 50));
                tokio::spawn(async move {
                    tokio::time::sleep(lasting).await;
                    queue.set_delivery_faults(DeliveryFaults::default());
                    queue.link().set(|faults| (faults.request_lost, faults.reply_lost) = (0, 0));
                });
            }
        }
    }

    fn disturb_catalog(&mut self, kind: Kind, slot: usize, lasting: Duration, size: u64) {
        let faults = self.around.catalog_faults.clone();
        match kind {
            Kind::CatalogCut | Kind::CatalogRepliesLost => {
                let Some(number) = self.writer(slot).map(|writer| writer.number) else { return };
                cut_catalog(faults, number, kind, lasting);
            }
            Kind::CatalogNoise => {
                let rate = |share: u64| (size % share) as u32;
                faults.set_rates(Rates {
                    request_lost: rate(60),
                    commit_lost: rate(110),
                    reply_lost: rate(130),
                    arrives_late: rate(70),
                    ends_late: rate(90),
                    network_ms: (0, 1 + size % 300),
                    commit_ms: (0, 1 + size % 100),
                    late_ms: (0, 1 + size * 8),
                });
                tokio::spawn(async move {
                    tokio::time::sleep(lasting).await;
                    faults.set_rates(calm_rates());
                });
            }
            Kind::CatalogDown => {
                self.around.catalog.crash();
                faults.set_links(CatalogLink::Down);
                tokio::spawn(async move {
                    tokio::time::sleep(lasting).await;
                    faults.set_links(CatalogLink::Up);
                });
            }
            _ => {
                let milliseconds = (size as i64 - 500) * 7_200;
                self.jump_clock(milliseconds);
                let error_ms = self.around.catalog.inspect(|state| state.clock_offset_ms);
                self.clock_error_ms = self.clock_error_ms.max(error_ms);
            }
        }
    }

    pub(super) fn jump_clock(&mut self, milliseconds: i64) {
        if milliseconds > 0 {
            let doomed = |upload: &&Upload| upload.state == UploadState::Doomed;
            let keys = |state: &CatalogState| -> Vec<String> {
                state.uploads.values().filter(doomed).map(|upload| upload.key.clone()).collect()
            };
            let doomed = self.around.catalog.inspect(keys);
            self.around.oracle.may_be_swept_early(&doomed);
            self.swept_early.extend(doomed);
        }
        self.around.catalog.jump_clock(milliseconds);
    }

    /// A standby that lags by up to three seconds takes over, after the old server has been away for a while; unless the
    /// run heals before.
    fn fail_over(&mut self, lasting: Duration, size: u64) {
        let standby = self.standby();
        let (catalog, faults) = (self.around.catalog.clone(), self.around.catalog_faults.clone());
        let failover = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(size * 3)).await;
            catalog.crash();
            faults.set_links(CatalogLink::Down);
            tokio::time::sleep(lasting / 4).await;
            standby.take_over();
            faults.set_links(CatalogLink::Up);
        });
        self.failovers.push(failover.abort_handle());
    }

    /// A standby with the catalog's present tables, which receives nothing more.
    pub(super) fn standby(&self) -> Standby {
        let (catalog, oracle) = (self.around.catalog.clone(), self.around.oracle.clone());
        let (state, view) = (catalog.state(), oracle.view());
        Standby { catalog, oracle, state, view }
    }

    fn disturb_store(&mut self, kind: Kind, slot: usize, lasting: Duration, size: u64) {
        let Some(writer) = self.writer(slot) else { return };
        spoil_store(writer.store.clone(), kind, lasting, size);
    }
    fn change_stream(&mut self, kind: Kind, partition_id: u32, lasting: Duration, size: u64) {
        let (queue, partition) = (self.around.queue.clone(), self.partition(partition_id));
        let Ok(bounds) = queue.bounds(&partition) else { return };
        let last = bounds.next_offset - 1;
        match kind {
            Kind::ConsumersDeleted => queue.delete_consumers(&partition),
            Kind::Purge => queue.remove(&partition, 1..=last.saturating_sub(size % 6)),
            Kind::Delete => {
                for offset in (1..4).map(|step| last.saturating_sub(size * step % 11)) {
                    queue.remove(&partition, offset..=offset);
                }
            }
            Kind::Limit => {
                queue.set_messages_max(&partition, Some(1 + (size % 20) as usize));
                tokio::spawn(async move {
                    tokio::time::sleep(lasting).await;
                    queue.set_messages_max(&partition, None);
                });
            }
            Kind::TailLoss => {
                let lost = 1 + size % 25;
                queue.lose_tail(&partition, last.saturating_sub(lost));
                self.refill(partition, lost, size);
            }
            _ => {
                queue.recreate(&partition);
                self.refill(partition, last, size);
            }
        }
    }

    /// Producers often continue at once, so that lost sequences are soon used again.
    fn refill(&mut self, partition: TopicPartition, lost: u64, size: u64) {
        if !size.is_multiple_of(3) {
            self.producers.publish(partition, lost + size % 5, true);
        }
    }
}

/// Spoils one process's link to the store for a while.
pub(super) fn spoil_store(store: ModelStore, kind: Kind, lasting: Duration, size: u64) {
    let rate = |share: u64| (size % share) as u32;
    match kind {
        Kind::StoreCut => store.link().set(|faults| faults.is_cut = true),
        Kind::StoreNoise => store.set_faults(StoreFaults {
            fails_before: rate(300),
            fails_after: rate(350),
            wrong_bytes: rate(250),
            list_lag_ms: size,
        }),
        _ => store.link().set(|faults| {
            *faults = LinkFaults {
                request_lost: rate(100),
                reply_lost: rate(200),
                late: rate(400),
                late_ms: 0..25_000,
                delay_ms: 0..1 + size,
                is_cut: false,
            }
        }),
    }
    tokio::spawn(async move {
        tokio::time::sleep(lasting).await;
        store.set_faults(StoreFaults::default());
        store.link().set(|faults| *faults = LinkFaults::default());
    });
}

/// Spoils one process's link to the catalog for a while.
pub(super) fn cut_catalog(faults: Faults, number: u32, kind: Kind, lasting: Duration) {
    let link = if kind == Kind::CatalogCut { CatalogLink::Down } else { CatalogLink::RepliesLost };
    faults.set_link(number, link);
    tokio::spawn(async move {
        tokio::time::sleep(lasting).await;
        faults.set_link(number, CatalogLink::Up);
    });
}

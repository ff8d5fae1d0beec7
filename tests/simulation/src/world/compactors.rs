//! The life of compactors: starts, faults, the end.
//!
//! Owns: their starts, their faults, and limiting the last one to clearing up. Does not own: their work (`compactor`).

use std::time::Duration;

use tokio::time::Instant;

use super::World;
use super::faults::{cut_catalog, spoil_store};
use crate::compactor::{Compactor, CompactorProcess};
use crate::network::Life;
use crate::plan::Kind;

/// Its number as a client of the catalog: those of writers count from 1.
const FIRST_NUMBER: u32 = 1_000;

impl World {
    pub(super) fn start_compactor(&mut self) {
        self.compactor = Some(self.new_compactor());
        self.compactor_due = None;
    }

    /// Starts a second one where the plan has it. It gets no fault of its own; it lives until the last one starts.
    pub(super) fn start_rival(&mut self) {
        if self.plan.has_rival {
            self.rival = Some(self.new_compactor());
        }
    }

    fn new_compactor(&mut self) -> CompactorProcess {
        self.compactors += 1;
        let number = FIRST_NUMBER + self.compactors;
        let compactor = Compactor {
            topic: self.topic.clone(),
            partition_count: self.plan.partition_count,
            format: self.plan.format,
            lease: self.plan.config.lease,
        };
        CompactorProcess::start(&self.around, number, compactor)
    }

    /// Starts one that is due.
    pub(super) fn look_after_compactor(&mut self) {
        if self.compactor.is_none() && self.compactor_due.is_some_and(|due| due <= Instant::now()) {
            self.start_compactor();
        }
    }

    /// Applies some faults of one writer to the compactor instead; true when it did so.
    pub(super) fn befalls_compactor(&mut self, kind: Kind, lasting: Duration, size: u64) -> bool {
        if !size.is_multiple_of(4) {
            return false;
        }
        match kind {
            Kind::Crash => {
                let Some(compactor) = self.compactor.take() else { return false };
                compactor.kill();
                self.counts.crashes += 1;
                self.compactor_due = Some(Instant::now() + lasting / 2);
                return true;
            }
            Kind::Pause
            | Kind::CatalogCut
            | Kind::CatalogRepliesLost
            | Kind::StoreCut
            | Kind::StoreNoise
            | Kind::StoreLate => {}
            _ => return false,
        }
        let Some(compactor) = self.compactor.as_ref().filter(|compactor| compactor.life() == Life::Running) else {
            return false;
        };
        match kind {
            Kind::Pause => compactor.pause(lasting),
            Kind::CatalogCut | Kind::CatalogRepliesLost => {
                cut_catalog(self.around.catalog_faults.clone(), compactor.number, kind, lasting);
            }
            _ => spoil_store(compactor.store.clone(), kind, lasting, size),
        }
        true
    }

    /// Stops its faults and its replacements: objects that it replaces must be deleted before the end.
    pub(super) fn heal_compactor(&mut self) {
        for compactor in self.compactor.iter().chain(&self.rival) {
            compactor.store.link().set(|faults| *faults = Default::default());
            compactor.store.set_faults(Default::default());
            compactor.resume();
            compactor.only_clear_up();
        }
    }

    /// Starts one whose owner has no intents: those of earlier ones are abandoned.
    pub(super) fn start_last_compactor(&mut self) {
        for compactor in self.compactor.take().into_iter().chain(self.rival.take()) {
            compactor.kill();
        }
        self.compactor_due = None;
        if self.plan.has_compactor {
            self.start_compactor();
            self.heal_compactor();
        }
    }
}

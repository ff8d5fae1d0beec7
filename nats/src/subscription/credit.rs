//! Credit: the memory that one subscription holds.
//!
//! Owns: taking memory from the budget, and giving back the unneeded part. Does not own: the amount needed (`phase`,
//! `intake`), the budget of the process.

use crate::phase::PullKind;
use common::memory::{MemoryBudget, MemoryPermit};

/// The memory of ready messages and of those that outstanding pulls may bring.
pub(super) struct Credit {
    budget: MemoryBudget,
    held: Option<MemoryPermit>,
}

impl Credit {
    pub(super) fn new(budget: MemoryBudget) -> Self {
        Self { budget, held: None }
    }

    /// Takes `bytes`, waiting for them in turn.
    pub(super) async fn acquire(&self, bytes: usize) -> MemoryPermit {
        self.budget.acquire(bytes).await
    }

    /// Takes `bytes` for a pull if they are free now. The pull may wait at the server only while at least half of the
    /// budget stays free, so that idle partitions never deprive busy ones of memory.
    pub(super) fn try_for_pull(&self, bytes: usize) -> Option<(MemoryPermit, PullKind)> {
        let is_half_free = self.budget.used_bytes() + bytes <= self.budget.capacity_bytes() / 2;
        let kind = if is_half_free { PullKind::Long } else { PullKind::Short };
        self.budget.try_acquire(bytes).map(|permit| (permit, kind))
    }

    /// Holds `permit` for a pull.
    pub(super) fn hold(&mut self, permit: MemoryPermit) {
        match &mut self.held {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
    }

    /// The permit for handed-over messages, which need `bytes`. Headers take more memory than bytes on the wire, so
    /// the permit may be larger than the part that was held for them.
    pub(super) fn split(&mut self, bytes: usize) -> MemoryPermit {
        let held = self.held.as_mut().expect("messages come only by a pull, which has credit");
        let mut permit = held.split(bytes);
        permit.resize(bytes);
        permit
    }

    /// Gives back everything beyond `needed_bytes`.
    pub(super) fn shrink_to(&mut self, needed_bytes: usize) {
        if let Some(held) = &mut self.held
            && held.bytes() > needed_bytes
        {
            held.resize(needed_bytes);
        }
    }

    /// Gives back everything.
    pub(super) fn clear(&mut self) {
        self.held = None;
    }
}

//! What all partitions of one writer share.
//!
//! Owns: the limits of concurrent work and the handles to queue, store and catalog. Does not own: any partition.

use std::sync::Arc;

use catalog::MetadataStore;
use common::Queue;
use common::memory::MemoryBudget;
use tokio::sync::Semaphore;

use crate::config::{PROCESS_UPLOADS_MAX, WriterConfig};
use crate::pipeline::group::Groups;
use lake::Storage;

/// Shared by all tasks of a writer.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) catalog: Arc<dyn MetadataStore>,
    pub(crate) storage: Storage,
    pub(crate) config: WriterConfig,
    pub(crate) budget: MemoryBudget,
    pub(crate) groups: Groups,
    /// Decoding and encoding at once: one per core, the work being CPU alone.
    pub(crate) encoders: Semaphore,
    /// Encode where the messages are, instead of on a thread beside.
    pub(crate) encode_inline: bool,
    /// Partitions that decode messages one by one, at once: a death must leave one note.
    pub(crate) suspects: Semaphore,
    /// Uploads at once.
    pub(crate) uploads: Semaphore,
}

impl Context {
    pub(crate) fn new(
        queue: Arc<dyn Queue>,
        catalog: Arc<dyn MetadataStore>,
        storage: Storage,
        config: WriterConfig,
        groups: Groups,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let budget = MemoryBudget::new(config.memory_budget_bytes);
        let (encoders, uploads) = (Semaphore::new(cores), Semaphore::new(PROCESS_UPLOADS_MAX));
        let suspects = Semaphore::new(1);
        Self { queue, catalog, storage, config, budget, groups, encoders, encode_inline: false, suspects, uploads }
    }
}

/// Why a partition's pipeline ends before it was told to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Somebody else owns the partition, or nobody knows that we do: nothing more can be committed.
    Fenced(String),
    /// Going on could lose or double messages.
    Halted(String),
    /// A defect.
    Internal(String),
    /// This process can do nothing more safely, in any partition.
    Exit(String),
    /// The neighbouring step ended; it has the reason.
    Neighbour,
}

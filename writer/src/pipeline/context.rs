//! Context: the handles and limits that all partitions of one writer share.
//!
//! Owns: the list of them. `partition` hands each step the few that it uses, so that no step sees the whole.
//! Does not own: any partition.

use std::sync::Arc;

use catalog::MetadataStore;
use common::Queue;
use common::memory::MemoryBudget;
use lake::Storage;
use tokio::sync::Semaphore;

use crate::config::{PROCESS_UPLOADS_MAX, WriterConfig};
use crate::pipeline::cpu::Cpu;
use crate::pipeline::group::Groups;

/// The parts that pipelines are made from.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) catalog: Arc<dyn MetadataStore>,
    pub(crate) storage: Storage,
    pub(crate) config: WriterConfig,
    pub(crate) groups: Groups,
    pub(crate) limits: Limits,
}

/// The limits of concurrent work in one process. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Messages and batches in memory.
    pub(crate) memory: MemoryBudget,
    /// Decoding and encoding.
    pub(crate) cpu: Cpu,
    /// Single-message decoding, limited to one partition, so that a crash leaves exactly one suspect.
    pub(crate) suspects: Arc<Semaphore>,
    /// Uploads.
    pub(crate) uploads: Arc<Semaphore>,
}

impl Limits {
    /// The limits of a writer with these settings. `is_inline`: see [`Cpu::new`].
    pub(crate) fn new(config: &WriterConfig, is_inline: bool) -> Self {
        Self {
            memory: MemoryBudget::new(config.memory_budget_bytes),
            cpu: Cpu::new(is_inline),
            suspects: Arc::new(Semaphore::new(1)),
            uploads: Arc::new(Semaphore::new(PROCESS_UPLOADS_MAX)),
        }
    }
}

/// The reason for which a partition's pipeline ends early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Another writer owns the partition, or this one is no longer known: nothing more can be committed.
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

//! Context: the handles and limits that all partitions of one writer share.
//!
//! Owns: the list of them. `partition` gives each step only the parts that the step uses.
//! Does not own: any partition.

use std::sync::Arc;

use catalog::MetadataStore;
use common::Queue;
use common::memory::MemoryBudget;
use lake::Storage;
use tokio::sync::Semaphore;

use crate::config::{PROCESS_UPLOADS_MAX, WriterConfig};
use crate::pipeline::cpu::Cpu;
use crate::pipeline::gather::Gather;
use crate::pipeline::group::Groups;

/// The parts of every pipeline.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) catalog: Arc<dyn MetadataStore>,
    pub(crate) storage: Storage,
    pub(crate) config: WriterConfig,
    pub(crate) groups: Groups,
    pub(crate) gather: Gather,
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
    /// Another writer owns the partition, or the catalog no longer knows this one: nothing more can be committed.
    Fenced(String),
    /// Continuing could lose or double messages.
    Halted(String),
    /// A defect.
    Internal(String),
    /// This process can do no more safe work in any partition.
    Exit(String),
    /// The neighbouring step ended and returns the reason.
    Neighbour,
}

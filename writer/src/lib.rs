//! The writer: from a queue to committed Parquet segments, exactly once.
//!
//! The pipeline is the listing of `pipeline/`; `ownership/` chooses the partitions that this process works on;
//! `operations/` has an operator's requests; `service/` has the handle of a running writer, its state for people, and
//! the process around it.
//!
//! Only the module `service` with its pages uses the crate `service`. An embedded writer needs only a queue, a catalog
//! and a store that its caller opened.
//!
//! Owns: everything between taking a message from the queue and its commit request to the catalog.
//! Does not own: the queue's protocol (`common`, `nats`), objects (`lake`), the record of commits (`catalog`).

pub mod config;
pub mod error;
mod operations;
mod ownership;
mod pipeline;
pub mod service;
mod tail;
#[cfg(test)]
mod test_lake;
mod writer;

pub use config::WriterConfig;
pub use error::{Result, WriterError};
pub use lake::Storage;
pub use operations::{audit, compact, infer, quarantine, resume};
pub use pipeline::roll::RollReason;
pub use pipeline::{decode, roll};
pub use service::handle::WriterHandle;
pub use service::running::{Observer, RunningWriter};
pub use service::status::PartitionStatus;
pub use service::summary::Summary;
pub use tail::QueueTail;
pub use writer::{Writer, WriterBuilder};

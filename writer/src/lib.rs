//! The writer: from a queue to committed Parquet segments, exactly once.
//!
//! The pipeline is the listing of `pipeline/`; `ownership/` says which partitions this process works on, `operations/`
//! has what an operator asks for, `service/` the process around a writer and what it shows.
//!
//! Owns: everything between taking a message from the queue and asking the catalog to list it.
//! Does not own: the queue's protocol (`common`, `nats`), objects (`lake`), what is committed (`catalog`).

pub mod config;
pub mod connect;
pub mod error;
mod operations;
mod ownership;
mod pipeline;
pub mod service;
#[cfg(test)]
mod test_lake;
mod writer;

pub use config::WriterConfig;
pub use error::{Result, WriterError};
pub use lake::Storage;
pub use operations::{audit, diagnose, quarantine, resume};
pub use pipeline::roll::RollReason;
pub use pipeline::{decode, roll};
pub use service::running::{Observer, RunningWriter};
pub use service::status::PartitionStatus;
pub use service::summary::Summary;
pub use writer::{Writer, WriterBuilder};

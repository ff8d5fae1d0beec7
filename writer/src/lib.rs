//! The writer: from a queue to committed Parquet segments, exactly once.
//!
//! The pipeline, each step a file: [`fetch`](self) → [`decode`] → `batch` → [`roll`] → [`segment`] → `upload` →
//! `commit` → `ack`. `partition` strings the steps of one partition together; `supervise` runs a pipeline for each
//! partition that this process owns; [`Writer`] starts it all; [`service`] is the process around it.
//!
//! Owns: everything between taking a message from the queue and asking the catalog to list it.
//! Does not own: the queue's protocol (common), what is committed (catalog).

mod ack;
mod assemble;
mod attach;
pub mod audit;
mod balance;
mod batch;
mod commit;
pub mod config;
pub mod connect;
mod context;
pub mod decode;
pub mod diagnose;
mod discard;
pub mod error;
mod fetch;
mod group;
mod http;
mod isolate;
mod janitor;
mod keys;
mod metrics;
mod partition;
pub mod quarantine;
pub mod resume;
pub mod roll;
mod running;
pub mod segment;
pub mod service;
mod status;
pub mod storage;
mod summary;
mod supervise;
#[cfg(test)]
mod test_lake;
mod topics;
mod upload;
mod watchers;
mod writer;

pub use config::WriterConfig;
pub use error::{Result, WriterError};
pub use roll::RollReason;
pub use running::{Observer, RunningWriter};
pub use status::PartitionStatus;
pub use storage::Storage;
pub use summary::Summary;
pub use writer::{Writer, WriterBuilder};

//! The pipeline of a partition: its listing is the order of the steps.
//!
//! `fetch` → `decode` → `batch` → `roll` → `upload` → `commit` → `ack`. `attach` decides whether the queue's history is
//! still the same, `isolate` how carefully to read after deaths; `assemble` is the loop around batch and roll, `group` shares
//! transactions among partitions, `partition` strings the steps together, `context` holds the parts that partitions share, `cpu` runs encoding.
//!
//! Owns: the steps. Does not own: which partitions have a pipeline (`ownership`), encoding and objects (`lake`).

pub(crate) mod ack;
pub(crate) mod assemble;
pub(crate) mod attach;
pub(crate) mod batch;
pub(crate) mod commit;
pub(crate) mod context;
pub(crate) mod cpu;
pub mod decode;
pub(crate) mod fetch;
pub(crate) mod group;
pub(crate) mod isolate;
pub(crate) mod partition;
pub mod roll;
pub(crate) mod upload;

//! The pipeline of a partition: its listing is the order of the steps.
//!
//! `fetch` → `decode` → `batch` → `roll` → `upload` → `commit` → `ack`. `position` is the place of reading, `attach`
//! decides if the queue's history is still the committed one, `isolate` chooses the care of reading after deaths;
//! `assemble` is the loop around batch and roll, `group` shares transactions among partitions, `cpu` runs decoding and
//! encoding, `partition` connects the steps from the parts in `context`.
//!
//! Owns: the steps. Does not own: the choice of partitions (`ownership`), encoding and objects (`lake`).

pub(crate) mod ack;
pub(crate) mod assemble;
pub(crate) mod attach;
pub(crate) mod batch;
pub(crate) mod commit;
pub(crate) mod context;
pub(crate) mod cpu;
pub mod decode;
pub(crate) mod fetch;
pub(crate) mod gather;
pub(crate) mod group;
pub(crate) mod isolate;
pub(crate) mod partition;
pub(crate) mod position;
pub mod roll;
pub(crate) mod tables;
pub(crate) mod upload;

//! Audit: does what the catalog says of a partition hold together?
//!
//! Owns: the checks over commits, segments, gaps and uploads as plain functions, the shape of a problem, and reading the
//! records so that a catalog in use does not look damaged.
//! Does not own: objects and their rows, the queue (the writer's audit compares those), showing.
//!
//! What must hold, per incarnation: ranges begin at its start, chain, and end at the watermark; commits are numbered
//! without a hole and their epochs never fall; each listed segment is one of a commit and covers exactly its range; each
//! segment of a commit is listed, or was taken off the list by retention; every offset is in a segment or in one gap; no
//! listed object is also about to be put or deleted.

mod checks;
mod load;
mod problem;

pub use checks::{ChainCounts, check_partition};
pub use load::PartitionRecords;
pub use problem::{Check, Problem};

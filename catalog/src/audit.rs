//! Audit: checks that the catalog's records of a partition agree with each other.
//!
//! Owns: the checks over commits, segments, objects, gaps and uploads as plain functions, the shape of a problem, and
//! reading the records so that a catalog in use does not look damaged.
//! Does not own: objects' bytes and their rows, the queue (the writer's audit compares both), displaying problems.
//!
//! The invariants, per incarnation: ranges begin at its start, chain, and end at the watermark; commits are numbered
//! without a hole and their epochs never fall; each listed segment covers whole commits, or runs of them, and has as
//! many rows as they listed; the rows of a commit are covered by segments, or lie below the incarnation's expiration;
//! every offset is in a segment or in one gap. Of objects: all rows are those of live segments, bounds and statistics
//! enclose them, none is retired or has an upload.

mod bounds;
mod checks;
mod consumers;
mod load;
mod objects;
mod problem;

pub use bounds::{Bound, BoundType};
pub use checks::{ChainCounts, check_partition};
pub use consumers::check_consumers;
pub use load::PartitionRecords;
pub use objects::{ObjectRecords, check_objects};
pub use problem::{Check, Problem};

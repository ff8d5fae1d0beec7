//! Ownership: the partitions that this process works on.
//!
//! `topics` follows the catalog's topics, `balance` and `shares` compute this writer's share. `tenure` has the states
//! of a partition and their transitions, `tenures` the state of each. `supervise` takes the steps that follow them,
//! with a task for each running pipeline in `pipeline_tasks`. `heartbeat` keeps the lease alive.
//!
//! Owns: taking partitions over, giving them back, aborting lost ones. Does not own: the steps of a pipeline.

pub(crate) mod balance;
pub(crate) mod heartbeat;
pub(crate) mod pipeline_tasks;
mod shares;
pub(crate) mod supervise;
mod tenure;
mod tenures;
pub(crate) mod topics;

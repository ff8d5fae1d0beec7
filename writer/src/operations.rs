//! Operations: an operator's requests, and upkeep that needs no operator.
//!
//! Owns: `audit`, `infer`, `resume` and `quarantine`, which the binary shows; `compact`, which merges small objects;
//! `retention`, which takes what is too old off the list; `janitor`, which deletes objects that are not listed; `publish`,
//! which publishes tables for readers of Iceberg.
//! Does not own: showing results.

pub mod audit;
pub mod compact;
pub mod infer;
pub(crate) mod janitor;
pub(crate) mod publish;
pub mod quarantine;
pub mod resume;
pub(crate) mod retention;

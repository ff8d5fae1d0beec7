//! Operations: what an operator asks for, and what runs without one.
//!
//! Owns: `audit`, `resume`, `quarantine` and `diagnose`, which the binary shows; `janitor`, which deletes what is not listed.
//! Does not own: showing anything.

pub mod audit;
pub mod diagnose;
pub(crate) mod janitor;
pub mod quarantine;
pub mod resume;

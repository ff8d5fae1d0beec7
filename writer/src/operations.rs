//! Operations: what an operator asks for, and what runs without one.
//!
//! Owns: `audit`, `resume` and `quarantine`, which the binary shows; `janitor`, which deletes objects that are not listed.
//! Does not own: showing anything.

pub mod audit;
pub(crate) mod janitor;
pub mod quarantine;
pub mod resume;

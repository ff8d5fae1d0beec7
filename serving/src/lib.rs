//! SQL for the tools that people already have: Flight SQL, the PostgreSQL protocol, and HTTP.
//!
//! Every door turns its requests into statements of a [`Client`] for the one [`Executor`] of the process, and its answers
//! into the form of its protocol. The executor plans with `lake::query`, which is the only place where a statement is
//! planned and checked, and bounds what runs.
//!
//! Owns: the doors, and the limits of what comes through them. `docs/sql.md` describes them for users.
//! Does not own: planning and reading (`lake::query`), who may read which topic (`catalog::Callers`).

mod doors;
mod error;
mod executor;
mod flat;
mod flight;
pub mod http;
mod options;
mod parameters;
pub mod postgres;
#[cfg(test)]
mod testing;

pub use doors::{Bound, Doors};
pub use error::{FailureKind, QueryFailure};
pub use executor::{Client, Door, Executor, Limits, Planned, Rows, describe_metrics};

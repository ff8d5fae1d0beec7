//! The SQL of every role, written once and applied to both databases.
//!
//! Owns: the statements, and the macros that make an implementation for each store of them. A role is a file or a
//! few, each with one macro; a macro, because sqlx has no useful type that stands for both databases.
//! Does not own: pools, sessions and migrations (each database's own file), nor what the dialects say differently
//! (`dialect`).

mod commit;
mod commit_compares;
mod commit_inserts;
mod commit_rows;
mod consumers;
mod dialect;
mod history;
mod input;
mod intents;
mod janitor;
mod ownership;
mod partition_row;
mod replays;
mod resume;
mod rows;
mod segments;
mod takeover;
mod topics;

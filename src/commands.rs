//! One file per command: its arguments and its work.
//!
//! Owns: the list of commands. Does not own: the parsing of arguments (`cli`).

pub(crate) mod agents;
pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod compact;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod consume;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod duckdb_sql;
pub(crate) mod gaps;
pub(crate) mod groups;
pub(crate) mod migrate;
pub(crate) mod publish;
pub(crate) mod publish_tables;
pub(crate) mod quarantine;
pub(crate) mod query;
pub(crate) mod retention;
pub(crate) mod segments;
pub(crate) mod serve;
pub(crate) mod tail;
pub(crate) mod token;
pub(crate) mod topic;
pub(crate) mod up;

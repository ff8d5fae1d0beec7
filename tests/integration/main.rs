//! The built `siltstone` binary, run as its users run it, against real servers.
//!
//! Owns: the behaviour visible from outside: arguments, settings, exit codes, both output streams, files left on
//! disk.
//! Does not own: the promises of each crate (their own tests).

mod agents;
mod all_types;
mod arguments;
mod bench;
mod binary;
mod compaction;
mod consuming;
mod crash;
mod demo;
mod deployment;
mod docs;
mod ducklake;
mod embedded;
mod evolution;
mod exactly_once;
mod hot_tail;
mod http;
mod iceberg;
mod infer;
mod json;
mod nats;
mod old_lake;
mod operations;
mod packing;
mod places;
mod queries;
mod readers;
mod reading;
mod retention;
mod secrets;
mod service;
mod serving;
mod settings;
mod shell;
mod snippets;
mod standard_input;
mod store_settings;
mod terminal;
mod tidy;
mod token;
mod topics;

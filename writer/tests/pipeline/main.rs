//! The pipeline through its public API, on the memory queue: every message is committed once despite any failure.

mod awaited;
mod faults;
mod flow;
mod flush;
mod janitor;
mod payloads;
mod schema;
mod topics;
mod world;

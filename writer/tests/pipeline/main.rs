//! The pipeline through its public door, on the memory queue: every message once, whatever fails on the way.

mod faults;
mod flow;
mod janitor;
mod payloads;
mod topics;
mod world;

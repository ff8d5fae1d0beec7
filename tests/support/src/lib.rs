//! Real servers for tests: NATS, PostgreSQL, an S3 store and DuckDB, started on loopback and stopped by pid.
//!
//! Owns: starting, killing, restarting and finding these servers, and the faulty network, disk and store between them
//! and the code under test. Does not own: installing them (`scripts/setup-tools`), the shared servers of a test run
//! (`scripts/test`).
//!
//! A missing server is an error that names the remedy; no test is skipped.

pub mod duckdb;
pub mod duckdb_session;
pub mod fault_store;
pub mod folder;
pub mod http;
pub mod http_front;
pub mod https;
pub mod keys;
mod mount;
pub mod nats;
pub mod pgbouncer;
pub mod port;
pub mod postgres;
pub mod power_disk;
pub mod process;
pub mod proxy;
pub mod python;
pub mod read_only;
pub mod s3;
pub mod small_disk;
pub mod strace;
pub mod tools;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

/// A short name that no other call returns, in this process or another: lower-case letters and digits, a letter
/// first.
pub fn unique_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("t{}x{count}x{:08x}", std::process::id(), random() & 0xffff_ffff)
}

/// A number from the operating system's randomness: `RandomState` is seeded from it.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

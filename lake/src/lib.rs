//! Objects: what a listed Parquet object looks like, where it is kept, how it is put and read back.
//!
//! Owns: the table schema, keys, the footer, encoding a segment, storage, reading what is listed, SQL text and SQL
//! over it. Does not own: what is listed (`catalog`), when a segment ends and what is put (`writer`).

pub mod duckdb;
pub mod error;
pub mod keys;
#[cfg(feature = "query")]
pub mod query;
pub mod schema;
pub mod segment;
pub mod storage;

pub use error::{LakeError, Result};
pub use storage::Storage;

//! Objects: the shape of a listed Parquet object, its place in storage, putting it and reading it back.
//!
//! Owns: the table schema, keys, the footer, encoding a segment, merging objects, statistics of its columns, storage, the protocol of a put,
//! reading listed objects and quarantined records, the values of headers, SQL text and SQL over them.
//! Does not own: the list of objects (`catalog`), the end of a segment and the moment of its put (`writer`).

pub mod csv;
pub mod duckdb;
pub mod error;
pub mod footer;
pub mod headers;
pub mod keys;
pub mod merge;
pub mod object;
pub mod projection;
pub mod put;
pub mod quarantine;
#[cfg(feature = "query")]
pub mod query;
pub mod read;
pub mod schema;
pub mod segment;
pub mod statistics;
pub mod storage;
pub mod tail;
pub mod units;

pub use error::{LakeError, Result};
pub use storage::Storage;

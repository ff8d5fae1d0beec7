//! The writer: from queue to committed Parquet segments.
pub mod config;
pub mod decode;
pub mod error;
mod keys;
pub mod roll;
pub mod segment;

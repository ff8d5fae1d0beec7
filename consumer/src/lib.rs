//! Consuming records of a topic: from an offset or a time, and in groups with committed offsets.
//!
//! [`Fetcher`] answers one question: the records of a partition from a place on, out of the listed segments and then, without
//! a seam, out of the queue. [`GroupConsumer`] asks it for the partitions that its member holds in a group.
//!
//! Owns: places of consumers, the order of a segment's rows, the cache of objects, and the shares of a group's members.
//! Does not own: decoding messages, writing, the rows of the catalog.

mod cache;
mod disk;
mod error;
mod fetch;
pub mod format;
mod group;
mod lag;
mod objects;
mod order;
mod plan;
mod rows;
mod share;
pub mod shares;
mod wait;

pub use catalog::Position;
pub use error::FetchError;
pub use fetch::{FetchParts, FetchRequest, Fetched, Fetcher, LastRead, Limits, OutOfRange, Seen, Skipped, Start};
pub use group::{GroupBuilder, GroupConsumer, GroupError, Records};
pub use lag::{Lag, PlannedOffset, ResetTo, check_reset, lags, plan_reset};
pub use objects::CacheOptions;
pub use share::{HeldPartition, Share, take_share};

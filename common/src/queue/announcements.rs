//! Announcements: hints of commits, from writers to those who wait in other processes.
//!
//! Owns: the contract of a queue that carries them. Does not own: commits (the catalog), the look that follows a hint (crate
//! `ingester`).

use std::fmt;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::ids::TopicPartition;

/// A hint that everything below `high_watermark` of a partition is committed. It may be lost, late, repeated, early or
/// false: it is a reason to ask the catalog, and never an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The partition.
    pub partition: TopicPartition,
    /// Exclusive.
    pub high_watermark: u64,
}

/// The way of announcements through a queue.
#[async_trait]
pub trait Announcements: fmt::Debug + Send + Sync {
    /// Hands hints over, which belong together. Those that cannot be sent now are lost.
    async fn announce(&self, announcements: &[Announcement]);

    /// The hints of all writers from now on, as they were sent together; `None` if the queue does not let this process
    /// have them. The stream may end; there are no hints after that.
    async fn listen(&self) -> Option<BoxStream<'static, Vec<Announcement>>>;
}

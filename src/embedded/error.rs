//! Errors of an embedded Siltstone, by the reaction required of the caller.
//!
//! Owns: the error type, and which error a caller gets after the end. Does not own: errors of queue, catalog, writer and
//! queries, which it passes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::CatalogError;
use common::config::InvalidSetting;
use common::{ErrorKind, TopicName};
use ingester::{FlushError, ProducerError};
use lake::query::QueryError;
use writer::WriterError;
use writer::service::ServeError;

/// Short for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of an embedded Siltstone.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is out of its range, or contradicts another. Nothing was opened.
    #[error(transparent)]
    Settings(#[from] InvalidSetting),
    /// A part could not be opened, or the writer could not start.
    #[error(transparent)]
    Open(#[from] Box<ServeError>),
    /// [`crate::Siltstone::close`] was called. Nothing of this call was done.
    #[error("this Siltstone was closed")]
    Closed,
    /// The writer ended by itself: nothing more is committed. Open a new one, which goes on at the catalog's watermarks; what
    /// a queue in memory held beyond them is lost.
    #[error("the writer has ended, so that nothing more is committed: {0}")]
    WriterEnded(Arc<WriterError>),
    /// A topic of this name exists.
    #[error("topic {0} exists already")]
    TopicExists(TopicName),
    /// The settings limit the writer to other topics.
    #[error("TOPICS={topics} leaves {topic} out: nothing here would write it")]
    TopicLeftOut {
        /// The topic.
        topic: TopicName,
        /// The setting.
        topics: String,
    },
    /// A time that no reader holds.
    #[error("timestamp {0} ms is after the year 9999; milliseconds since 1970 are expected")]
    Timestamp(u64),
    /// The record is not in the queue, or not certainly.
    #[error(transparent)]
    Produce(Arc<ProducerError>),
    /// Messages that were enqueued at [`crate::Siltstone::producer`] failed; the rest is committed.
    #[error(transparent)]
    Enqueued(Box<FlushError>),
    /// Not everything that was appended is committed. The writer goes on trying.
    #[error("not everything is committed: {}", joined(reasons))]
    NotCommitted {
        /// The reason of each partition, by `topic/partition`.
        reasons: BTreeMap<String, String>,
    },
    /// The writer refused, or the catalog or queue behind it.
    #[error(transparent)]
    Writer(WriterError),
    /// The statement is not valid, or cannot be carried out.
    #[error(transparent)]
    Query(#[from] Box<QueryError>),
}

impl Error {
    /// The reaction required of the caller.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Produce(error) => error.kind(),
            Self::Enqueued(error) => error.first.error.kind(),
            Self::Writer(error) => error.kind(),
            Self::NotCommitted { .. } => ErrorKind::Unavailable,
            Self::TopicExists(_) => ErrorKind::Conflict,
            Self::Timestamp(_) => ErrorKind::Poison,
            Self::Query(error) => match error.as_ref() {
                QueryError::Catalog(error) => error.kind(),
                _ => ErrorKind::Fatal,
            },
            Self::Settings(_) | Self::Open(_) | Self::Closed | Self::WriterEnded(_) | Self::TopicLeftOut { .. } => {
                ErrorKind::Fatal
            }
        }
    }
}

impl From<WriterError> for Error {
    fn from(error: WriterError) -> Self {
        match error {
            WriterError::NotCommitted { reasons } => Self::NotCommitted { reasons },
            other => Self::Writer(other),
        }
    }
}

impl Error {
    /// The error of a topic that was not created.
    pub(super) fn not_created(topic: TopicName, error: WriterError) -> Self {
        match error {
            WriterError::Catalog(CatalogError::TopicAlreadyExists(_)) => Self::TopicExists(topic),
            other => other.into(),
        }
    }
}

fn joined(reasons: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = reasons.iter().map(|(place, reason)| format!("{place}: {reason}")).collect();
    lines.join("; ")
}

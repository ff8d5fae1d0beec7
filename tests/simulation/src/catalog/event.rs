//! Events for the observer.
//!
//! Owns: one variant for each kind of change to the tables. Does not own: the consequences.

use ::catalog::{CommitRequest, FileId, Folded, Ownership, Replacement, TableId, UploadIntent};
use common::{OwnerId, TopicName, TopicPartition};

use super::state::ObjectName;

/// One transaction that changed something, seen right after it was applied.
#[derive(Clone, Debug)]
pub struct Event {
    /// The database's clock, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The number of the writer's session; `None` for calls on the model itself.
    pub writer: Option<u32>,
    /// Its changes, in order.
    pub changes: Vec<Change>,
}

/// One change. Heartbeats, offsets of consumers and replays are [`Change::Other`]: the protocol does not depend on
/// them.
#[derive(Clone, Debug)]
pub enum Change {
    /// A topic and its partitions were made.
    TopicCreated(TopicName),
    /// A topic was deleted with everything in it.
    TopicDeleted(TopicName),
    /// A watermark was moved outside a commit.
    WatermarkMoved(TopicPartition, u64),
    /// A segment was listed outside a commit.
    SegmentAdded(ObjectName),
    /// Retention took segments off the list, and with them these objects.
    SegmentsDeleted(Vec<ObjectName>),
    /// Retention by age took segments off the list, and with them these objects. The topic's retention in milliseconds.
    Aged(Vec<FileId>, u64),
    /// An intent is recorded.
    Intended(UploadIntent),
    /// An intent of a replacement is recorded.
    ReplacementIntended(ObjectName),
    /// An object took the place of others.
    Replaced(Box<Replacement>, FileId),
    /// Readers of Iceberg see a new version of the table.
    Published(TableId),
    /// The topic's tables were taken from the readers of Iceberg.
    Withdrawn(TopicName),
    /// Commits were folded, or snapshots thinned out.
    HistoryFolded(Folded),
    /// An intent or an object was handed to the janitor.
    Doomed(ObjectName),
    /// A request was committed.
    Committed(CommitRequest),
    /// Requests were committed whose rows share objects.
    CommittedTogether(Vec<CommitRequest>),
    /// A partition was taken over.
    Acquired(Ownership),
    /// A partition was given back by its owner.
    Released(TopicPartition, OwnerId),
    /// A partition was stopped, with the reason.
    Halted(TopicPartition, String),
    /// A halted partition was resumed in a new incarnation.
    Resumed(TopicPartition),
    /// The janitor reported the object as deleted.
    Swept(ObjectName),
    /// A server with another state took over.
    Restored,
    /// The database's clock was set, by this many milliseconds.
    ClockJumped(i64),
    /// Anything else, by the name of the call.
    Other(&'static str),
}

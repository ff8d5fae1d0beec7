//! The rows of the catalog as types.
//!
//! Owns: their shape and units, in a file for each kind of row. Times are milliseconds since the Unix epoch, UTC,
//! unless a name states otherwise.
//! Does not own: SQL, and the rules of operations (`store`).

mod agent;
mod consumer;
mod group;
mod history;
mod iceberg;
mod object;
mod ownership;
mod read_ahead;
mod retention;
mod segment;
mod statistics;
mod table;
mod token;
mod token_secret;
mod topic;
mod upload;
mod view;

pub use self::agent::{AgentRole, Contact, Ingester, RegisteredAgent};
pub use self::consumer::{ConsumerOffset, Replay};
pub use self::group::{Claim, Claimed, ClaimedOffset, GroupInfo, GroupMember, GroupOffset, GroupView, Membership};
pub use self::history::{CommitRecord, Expiration, Gap, GapKind, IncarnationStart, RecordedGap, ResumePoint};
pub use self::iceberg::{
    ICEBERG_CATALOG, MetadataObject, Publication, PublishOutcome, PublishScope, PublishedFile, PublishedHead,
    PublishedTable, StateFile, TableState, iceberg_namespace,
};
pub use self::object::{
    FileId, Folded, LAYOUT_NOW, LakeSnapshot, NewObject, ObjectInfo, RetiredObject, SnapshotId, TableId, Tables,
};
pub use self::ownership::{AcquireOutcome, Agent, Ownership, OwnershipView, PartitionOwner, Scope, Suspect};
pub use self::read_ahead::{Position, ReadAhead, ReadFrom};
pub use self::retention::{Expired, ExpiredPart};
pub use self::segment::{
    Exceptions, ExpiredBefore, ImportedSegment, NewSegment, SegmentInfo, SegmentKind, TopicSnapshot,
};
pub use self::statistics::ColumnStatistics;
pub use self::table::{ObjectsPlace, OpenTables, TableColumn, TableFile, quarantine_columns, table_columns};
pub use self::token::{Grant, NewToken, Right, Token, TokenState, TopicPattern};
pub use self::token_secret::{PresentedToken, TokenHash, TokenSecret};
pub use self::topic::{Partition, PartitionState, Topic, TopicConfig};
pub use self::upload::{ReplacementIntent, Upload, UploadIntent, UploadState};
pub use self::view::{View, ViewRequest, ViewedTopics};

//! The SQL catalog: what is committed, who owns what, who read how far.
//!
//! Owns: the commit transaction and everything stored in SQL. It is the only judge of what exists: a segment is
//! readable when, and only when, it is listed here.
//! Does not own: objects (the writer puts them) and messages (the queue keeps them).

pub mod audit;
mod commit;
mod connect;
mod database;
mod error;
mod model;
mod postgres;
mod sql;
mod sqlite;
mod store;

pub use commit::{CommitOutcome, CommitRequest, Refusal};
pub use connect::connect;
pub use error::{CatalogError, Result};
pub use model::{
    AcquireOutcome, Agent, CommitRecord, ConsumerOffset, Gap, IncarnationStart, NewSegment, Ownership, OwnershipView,
    Partition, PartitionOwner, PartitionState, RecordedGap, Replay, ResumePoint, Scope, SegmentInfo, SegmentKind,
    Suspect, Topic, TopicConfig, TopicSnapshot, Upload, UploadIntent, UploadState,
};
pub use postgres::{PostgresDatabase, PostgresMetadataStore};
pub use sql::SqlMetadataStore;
pub use sqlite::{SqliteDatabase, SqliteMetadataStore};
pub use store::{
    CommitStore, ConsumerStore, JanitorStore, MetadataStore, OwnershipStore, ReplayStore, SegmentStore, TopicStore,
};

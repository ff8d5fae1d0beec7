//! The SQL catalog: commits, ownership of partitions, positions of readers.
//!
//! Owns: the commit transaction, the replacement, and everything stored in SQL. The catalog alone decides which objects
//! exist: an object is read if, and only if, it is listed here.
//! Does not own: objects (the writer puts them) and messages (the queue keeps them).

pub mod audit;
mod auto_create;
mod callers;
mod commit;
mod connect;
mod database;
mod error;
mod listing;
mod migrations;
mod model;
mod new_topic;
mod postgres;
mod replace;
mod schema;
mod sql;
mod sqlite;
mod store;
mod topics;

pub use auto_create::{AutoCreate, SubjectRule};
pub use callers::{Caller, Callers, NotServed, Presented};
pub use commit::{CommitOutcome, CommitRequest, Refusal};
pub use connect::{connect, connect_to_read, diagnose_without_catalog, file_of, libpq_words};
pub use error::{CatalogError, Result};
pub use listing::{ListedGap, ListedSegment};
pub use model::{
    AcquireOutcome, Agent, AgentRole, Claim, Claimed, ClaimedOffset, ColumnStatistics, CommitRecord, ConsumerOffset,
    Contact, Exceptions, Expiration, Expired, ExpiredBefore, ExpiredPart, FileId, Folded, Gap, GapKind, Grant,
    GroupInfo, GroupMember, GroupOffset, GroupView, ICEBERG_CATALOG, ImportedSegment, IncarnationStart, Ingester,
    LAYOUT_NOW, LakeSnapshot, Membership, MetadataObject, NewObject, NewSegment, NewToken, ObjectInfo, ObjectsPlace,
    OpenTables, Ownership, OwnershipView, Partition, PartitionOwner, PartitionState, Position, PresentedToken,
    Publication, PublishOutcome, PublishScope, PublishedFile, PublishedHead, PublishedTable, ReadAhead, ReadFrom,
    RecordedGap, RegisteredAgent, ReplacementIntent, Replay, ResumePoint, RetiredObject, Right, Scope, SegmentInfo,
    SegmentKind, SnapshotId, StateFile, Suspect, TableColumn, TableFile, TableId, TableState, Tables, Token, TokenHash,
    TokenSecret, TokenState, Topic, TopicConfig, TopicPattern, TopicSnapshot, Upload, UploadIntent, UploadState, View,
    ViewRequest, ViewedTopics, iceberg_namespace, quarantine_columns, table_columns,
};
pub use new_topic::NewTopic;
pub use postgres::{PostgresDatabase, PostgresMetadataStore};
pub use replace::{REPLACEMENT_INPUTS_MAX, ReplaceOutcome, ReplaceRefusal, ReplacedObject, Replacement};
pub use sql::SqlMetadataStore;
pub use sqlite::{SqliteDatabase, SqliteMetadataStore};
pub use store::{
    AgentStore, CommitStore, ConsumerStore, GroupStore, IcebergStore, JanitorStore, MetadataStore, OwnershipStore,
    ReplayStore, SegmentStore, TableStore, TokenStore, TopicStore, ViewStore,
};
pub use topics::{
    CreateTopicError, DeleteTopicError, UpdateTopicError, create_topic, delete_topic, open_topic, update_retention,
    update_topic,
};

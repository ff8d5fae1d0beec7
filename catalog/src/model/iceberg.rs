//! Topics as tables of Iceberg, as types: what is published, what is to be published, and a publication.
//!
//! Owns: their shape. Does not own: the bytes of metadata (crate `open_tables`), columns (`table`), objects (`object`).

use std::time::Duration;

use common::{OwnerId, TopicName};

use super::{ColumnStatistics, FileId, ObjectInfo, ReplacementIntent, SegmentKind, SnapshotId, TableColumn, TableId};

/// The name of the catalog in the layout of Iceberg's SQL catalogs.
pub const ICEBERG_CATALOG: &str = "siltstone";

/// The namespace of the tables of a kind.
pub fn iceberg_namespace(kind: SegmentKind) -> &'static str {
    match kind {
        SegmentKind::Data => "topics",
        SegmentKind::Quarantine => "quarantine",
    }
}

/// A table of a topic, and its publication if there was one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedTable {
    /// The topic.
    pub topic: TopicName,
    /// Data or quarantine.
    pub kind: SegmentKind,
    /// The address of the newest metadata; `None` if the table was never published.
    pub metadata_location: Option<String>,
    /// The lake snapshot that it shows.
    pub lake_snapshot: Option<SnapshotId>,
    /// Time since the oldest change that it lacks; `None` if it lacks none.
    pub behind: Option<Duration>,
    /// Time since the last publication.
    pub age: Option<Duration>,
    /// True if it keeps a snapshot of Iceberg that may go by now.
    pub has_expired: bool,
}

/// The newest metadata of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedHead {
    /// One more with each publication, from 1.
    pub version: u64,
    /// Its address.
    pub metadata_location: String,
    /// The bucket of the metadata.
    pub bucket: String,
    /// The address that keys followed when it was published.
    pub root: String,
    /// The table has the objects that were live in this snapshot.
    pub lake_snapshot: SnapshotId,
    /// The table has no objects from this number on.
    pub next_file_id: u64,
    /// The topic's schema version.
    pub schema_version: u32,
    /// The text of the object at `metadata_location`.
    pub metadata: String,
    /// The manifests of the newest snapshot of Iceberg, as JSON.
    pub manifests: String,
    /// Time from which the oldest kept snapshot of Iceberg may go; `None` if only the newest is kept.
    pub expires_at: Option<i64>,
}

/// The objects of a table that a publication looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishScope {
    /// Those that came and went since the last publication, and the others whose first row is of the same UTC day.
    Changes,
    /// All live ones.
    All,
}

/// A table at the newest lake snapshot, as of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableState {
    /// The table.
    pub table: TableId,
    /// Its own id, of which no other table has the same.
    pub uuid: String,
    /// The newest lake snapshot.
    pub lake_snapshot: SnapshotId,
    /// Its time in microseconds, which tells it from another one that gets its number after a failover.
    pub snapshot_time_us: i64,
    /// The number of the next object.
    pub next_file_id: u64,
    /// The topic's schema version.
    pub schema_version: u32,
    /// Time of the database.
    pub now_ms: i64,
    /// Its columns, by id.
    pub columns: Vec<TableColumn>,
    /// The addresses that keys follow, by bucket.
    pub roots: Vec<(String, String)>,
    /// Its last publication.
    pub head: Option<PublishedHead>,
    /// Its objects within the scope, by number.
    pub files: Vec<StateFile>,
}

/// An object of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFile {
    /// The object.
    pub object: ObjectInfo,
    /// The stored statistics of its columns, by field id; only of live objects above level 0.
    pub statistics: Vec<ColumnStatistics>,
    /// Its publication; `None` if it was never published.
    pub published: Option<PublishedFile>,
    /// True if it is live; else it is published and no longer live.
    pub is_live: bool,
}

/// The snapshot of Iceberg that was the first to have an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedFile {
    /// Its id.
    pub snapshot_id: i64,
    /// Its sequence number.
    pub sequence_number: i64,
}

/// An object of metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataObject {
    /// Its key.
    pub key: String,
    /// Its size.
    pub size_bytes: u64,
    /// CRC-32C of its bytes.
    pub checksum: u32,
}

/// A new version of a table's metadata, whose objects are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The topic.
    pub topic: TopicName,
    /// Data or quarantine.
    pub kind: SegmentKind,
    /// The table; another one of the same topic is not published.
    pub table: TableId,
    /// The owner that recorded the intents of the objects.
    pub owner: OwnerId,
    /// The address of the metadata that it follows; `None` for the first version.
    pub follows: Option<String>,
    /// The new version.
    pub head: PublishedHead,
    /// Time of its lake snapshot, in microseconds.
    pub snapshot_time_us: i64,
    /// The new snapshot of Iceberg; `None` if the objects of the table are the same.
    pub snapshot: Option<PublishedFile>,
    /// The new objects of metadata.
    pub objects: Vec<MetadataObject>,
    /// Keys of the objects of metadata that the new version needs no more.
    pub replaced: Vec<String>,
    /// Objects that the new snapshot has and the last one had not.
    pub added: Vec<FileId>,
    /// Objects that the last snapshot had and the new one has not.
    pub removed: Vec<FileId>,
    /// The version with which the oldest kept snapshot of Iceberg was published.
    pub oldest_version: u64,
    /// True if nothing of earlier versions is kept: `added` has all objects of the table.
    pub is_rebuilt: bool,
}

impl Publication {
    /// The intents that it consumes.
    pub fn intents(&self) -> impl Iterator<Item = ReplacementIntent> {
        self.objects.iter().map(|object| ReplacementIntent {
            topic: self.topic.clone(),
            owner: self.owner,
            bucket: self.head.bucket.clone(),
            key: object.key.clone(),
        })
    }
}

/// The end of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishOutcome {
    /// Readers see the new version.
    Published,
    /// Nothing changed: the topic is gone, or is another one of the same name.
    TableGone,
    /// Nothing changed: the catalog does not have the lake snapshot of the new version. A server that lagged took over.
    StateLost,
    /// Nothing changed: another version was published meanwhile.
    Overtaken,
    /// Nothing changed: an object that is to be added is no longer live.
    ObjectGone,
    /// Nothing changed: an intent is no longer pending, so that the janitor may delete the object.
    IntentLost,
}

//! The extent of a publication, and its end.
//!
//! Owns: their types. Does not own: the publication (`publish`).

use catalog::{PublishedHead, SnapshotId};

/// How much of a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What changed since the last version.
    Changes,
    /// Everything, if the store lacks a part of the last version or has another one in its place; else what changed.
    Mended,
}

/// A published table.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Published {
    /// The lake snapshot that readers see.
    pub lake_snapshot: SnapshotId,
    /// The address of its metadata.
    pub metadata_location: String,
    /// Objects that came with it.
    pub added_objects: u64,
    /// Objects that went with it.
    pub removed_objects: u64,
    /// Objects of metadata that were written.
    pub written: u64,
    /// True if all of the metadata was written anew.
    pub is_rebuilt: bool,
}

/// The end of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// Readers see a new version.
    Published(Published),
    /// The last version shows the newest state already.
    Unchanged(PublishedHead),
    /// There is no such topic any more.
    Gone,
}

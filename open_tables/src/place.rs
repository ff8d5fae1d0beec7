//! The places of a table's metadata: keys in the store, and addresses for readers.
//!
//! Owns: the names of the objects of metadata, and the form of an address. Does not own: the directory of a table
//! (`lake::keys`), the address of a store's root (`lake::Storage::reader_root`).

use catalog::{SegmentKind, TableState};
use common::TopicName;
use lake::Storage;
use lake::keys::{NewKey, table_directory};
use uuid::Uuid;

use crate::error::{Error, Result};

/// The place of a table.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The bucket of its metadata.
    pub(crate) bucket: String,
    /// The address that keys follow there.
    pub(crate) root: String,
    /// The keys of its metadata begin with it.
    directory: object_store::path::Path,
}

impl Place {
    /// The place of a table in this store.
    ///
    /// # Errors
    /// `NoAddress` if nobody else can read the store.
    pub(crate) fn of(storage: &Storage, topic: &TopicName, kind: SegmentKind, state: &TableState) -> Result<Self> {
        let root = storage.reader_root().ok_or(Error::NoAddress)?;
        let directory = table_directory(&storage.prefix, topic, kind, &state.uuid);
        Ok(Self { bucket: storage.bucket.clone(), root, directory })
    }

    /// Its address.
    pub(crate) fn location(&self) -> String {
        self.address(self.directory.as_ref())
    }

    /// The address of an object of metadata.
    pub(crate) fn address(&self, key: &str) -> String {
        address(&self.root, key)
    }

    /// A new key of a manifest.
    pub(crate) fn manifest(&self) -> NewKey {
        self.new_key(|uuid| format!("{uuid}-m0.avro"))
    }

    /// A new key of the list of manifests of a snapshot.
    pub(crate) fn manifest_list(&self, snapshot_id: i64) -> NewKey {
        self.new_key(|uuid| format!("snap-{snapshot_id}-1-{uuid}.avro"))
    }

    /// A new key of the metadata of a version.
    pub(crate) fn metadata(&self, version: u64) -> NewKey {
        self.new_key(|uuid| format!("{version:05}-{uuid}.metadata.json"))
    }

    fn new_key(&self, name: impl Fn(Uuid) -> String) -> NewKey {
        let name = name(Uuid::now_v7());
        NewKey { key: self.directory.clone().join("metadata").join(name.as_str()), id: name }
    }
}

/// The address of an object, as readers of Iceberg take it.
pub(crate) fn address(root: &str, key: &str) -> String {
    let scheme = if root.starts_with('/') { "file://" } else { "" };
    format!("{scheme}{root}{key}")
}

/// The version of the metadata at an address that [`Place::metadata`] made.
pub(crate) fn version_of(location: &str) -> Option<u64> {
    location.rsplit('/').next()?.split('-').next()?.parse().ok()
}

/// The key of the object at an address below this root.
pub(crate) fn key_of<'a>(root: &str, location: &'a str) -> Option<&'a str> {
    let rest = location.strip_prefix("file://").unwrap_or(location);
    rest.strip_prefix(root)
}

/// A new id of a snapshot.
pub(crate) fn new_snapshot_id() -> i64 {
    // Of the thread's generator: names of objects hold the id, and runs of the simulation sort by them.
    fastrand::i64(1..=i64::MAX >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_gives_back_version_and_key() {
        let storage = Storage::local(std::env::temp_dir()).expect("a directory");
        let root = storage.reader_root().expect("it has one");
        let topic = TopicName::new("a/b").expect("valid");
        let directory = table_directory(&storage.prefix, &topic, SegmentKind::Quarantine, "u");
        let place = Place { bucket: String::new(), root: root.clone(), directory };
        let key = place.metadata(12).key;
        let location = place.address(key.as_ref());
        assert!(
            location.starts_with(&format!("file://{root}a%2Fb.quarantine.iceberg/u/metadata/00012-")),
            "{location}"
        );
        assert_eq!((version_of(&location), key_of(&root, &location)), (Some(12), Some(key.as_ref())));
        assert_eq!(address("s3://lake/", "k"), "s3://lake/k");
        assert_eq!(key_of("s3://lake/", "s3://other/k"), None);
        assert!(new_snapshot_id() > 0 && new_snapshot_id() != new_snapshot_id());
    }
}

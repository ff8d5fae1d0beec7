//! What readers of Iceberg find, compared with the catalog.
//!
//! Owns: getting a table's newest version from the store, and the comparison. Changes nothing. Does not own: reading its
//! objects (`shown`), showing it (the audit of `writer`), mending it (`publish`).

use std::collections::BTreeSet;
use std::time::Duration;

use catalog::{
    CatalogError, MetadataObject, MetadataStore, ObjectInfo, PublishScope, PublishedHead, SegmentKind, TableState,
};
use common::TopicName;
use lake::Storage;
use lake::object::{Found, Keep, ListedObject};
use object_store::path::Path;

use crate::manifest::ListedFile;
use crate::metadata::{LAKE_SNAPSHOT, Metadata};
use crate::place::{address, key_of};
use crate::schema;
use crate::shown::{Unreadable, files_of};

/// Looks at a table that is published again and again meanwhile.
const LOOKS: u32 = 5;

/// A difference between what readers find and what the catalog has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discrepancy {
    /// In words.
    pub found: String,
    /// The key of the object of metadata, if it is one.
    pub key: Option<String>,
}

/// What was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Objects of metadata that were read.
    pub objects: u64,
    /// Objects of rows that readers find.
    pub files: u64,
    /// Time since the oldest change that readers do not see; `None` if they see everything.
    pub behind: Option<Duration>,
    /// The differences.
    pub discrepancies: Vec<Discrepancy>,
}

/// Reads the newest version of a table, and compares it with the catalog; `None` if the table is not published, or is
/// published too often to be read.
///
/// # Errors
/// If the catalog fails.
pub async fn inspect(
    catalog: &dyn MetadataStore,
    storage: &Storage,
    topic: &TopicName,
    kind: SegmentKind,
) -> Result<Option<Inspection>, CatalogError> {
    for _ in 0..LOOKS {
        let Some(state) = catalog.table_state(topic, kind, PublishScope::All).await? else { return Ok(None) };
        let Some(head) = &state.head else { return Ok(None) };
        let objects = catalog.metadata_objects(topic, kind).await?;
        let retired = catalog.list_retired(topic).await?;
        let retired: Vec<_> = retired.into_iter().filter(|retired| retired.object.kind == kind).collect();
        let mut look = Look { storage, state: &state, head, inspection: Inspection::default(), bytes: Vec::new() };
        look.read(&objects).await;
        look.compare_head();
        let live =
            state.files.iter().map(|file| &file.object).filter(|object| object.begin_snapshot <= head.lake_snapshot);
        let since = retired.iter().filter(|retired| retired.end_snapshot > head.lake_snapshot);
        let since = since.map(|retired| &retired.object).filter(|object| object.begin_snapshot <= head.lake_snapshot);
        look.compare_files(live.chain(since));
        let published = catalog.list_published().await?;
        let table = published.iter().find(|table| &table.topic == topic && table.kind == kind);
        if table.and_then(|table| table.metadata_location.as_ref()) == Some(&head.metadata_location) {
            look.inspection.behind = table.and_then(|table| table.behind);
            return Ok(Some(look.inspection));
        }
    }
    Ok(None)
}

/// A look at one version.
struct Look<'a> {
    storage: &'a Storage,
    state: &'a TableState,
    head: &'a PublishedHead,
    inspection: Inspection,
    /// The objects of metadata that are as the catalog lists them, by key.
    bytes: Vec<(String, bytes::Bytes)>,
}

impl Look<'_> {
    fn differs(&mut self, found: impl Into<String>, key: Option<&str>) {
        let key = key.map(str::to_owned);
        self.inspection.discrepancies.push(Discrepancy { found: found.into(), key });
    }

    /// Reads all objects of the version.
    async fn read(&mut self, objects: &[MetadataObject]) {
        for object in objects {
            self.inspection.objects += 1;
            let Ok(key) = Path::parse(&object.key) else {
                self.differs("its key is no path of the store", Some(&object.key));
                continue;
            };
            let listed = ListedObject { key, size_bytes: object.size_bytes, checksum: object.checksum };
            match listed.find(self.storage.store.as_ref(), Keep::Bytes).await {
                Found::Same(bytes) => self.bytes.push((object.key.clone(), bytes.unwrap_or_default())),
                Found::Absent(_) => self.differs("the object of metadata is gone", Some(&object.key)),
                Found::OtherSize { size_bytes, .. } => {
                    let size = object.size_bytes;
                    self.differs(
                        format!("the object of metadata has {size_bytes} bytes, not {size}"),
                        Some(&object.key),
                    );
                }
                Found::OtherChecksum { .. } => {
                    self.differs("the object of metadata has other bytes", Some(&object.key))
                }
                Found::Unreadable(error) => {
                    self.differs(format!("the object of metadata cannot be read: {error}"), Some(&object.key));
                }
            }
        }
    }

    /// The bytes of the object at an address.
    fn bytes_at(&self, location: &str) -> Option<&bytes::Bytes> {
        let key = key_of(&self.head.root, location)?;
        self.bytes.iter().find(|(of, _)| of == key).map(|(_, bytes)| bytes)
    }

    fn compare_head(&mut self) {
        let location = &self.head.metadata_location;
        if self.bytes_at(location).is_some_and(|bytes| bytes != self.head.metadata.as_bytes()) {
            self.differs("the catalog has another text of the metadata", key_of(&self.head.root, location));
        }
        if self.head.lake_snapshot > self.state.lake_snapshot {
            let (shown, newest) = (self.head.lake_snapshot, self.state.lake_snapshot);
            self.differs(format!("readers see lake snapshot {shown}, the newest is {newest}"), None);
        }
    }

    /// Compares schema and objects with the catalog's.
    fn compare_files<'o>(&mut self, live: impl Iterator<Item = &'o ObjectInfo>) {
        let Ok(metadata) = serde_json::from_str::<Metadata>(&self.head.metadata) else {
            self.differs("the metadata cannot be read", None);
            return;
        };
        let is_of_now = self.head.schema_version == self.state.schema_version;
        if is_of_now && schema::fields(&self.state.columns).ok().as_ref() != metadata.fields() {
            self.differs("readers see other columns than the topic has", None);
        }
        let seen = metadata.current().map_or(Some(Vec::new()), |snapshot| {
            if snapshot.summary.get(LAKE_SNAPSHOT).and_then(|text| text.parse().ok()) > Some(self.head.lake_snapshot.0)
            {
                self.differs(
                    "the newest snapshot of the table is of a later lake snapshot than the catalog says",
                    None,
                );
            }
            self.files_of(&snapshot.manifest_list)
        });
        // Without an object of metadata, which is reported, the objects of rows are not known.
        let Some(seen) = seen else { return };
        let roots: Vec<_> = self.state.roots.clone();
        let root = |bucket: &str| roots.iter().find(|(of, _)| of == bucket).map_or("", |(_, root)| root.as_str());
        let due: BTreeSet<ListedFile> = live
            .map(|object| ListedFile {
                path: address(root(&object.bucket), &object.key),
                record_count: object.record_count.cast_signed(),
                size_bytes: object.size_bytes.cast_signed(),
            })
            .collect();
        self.inspection.files = seen.len() as u64;
        let found: BTreeSet<ListedFile> = seen.iter().cloned().collect();
        if found.len() != seen.len() {
            self.differs("readers see an object twice", None);
        }
        for (which, one, other) in [("do not see", &due, &found), ("see", &found, &due)] {
            let mut differing = one.difference(other);
            if let Some(first) = differing.next() {
                let more = differing.count();
                let rows = first.record_count;
                let state = self.head.lake_snapshot;
                let text = format!("readers {which} {} with {rows} rows at lake snapshot {state}", first.path);
                let contrast = if which == "see" { "which the catalog lacks" } else { "which the catalog lists" };
                let others = if more > 0 { format!(", and {more} more") } else { String::new() };
                self.differs(format!("{text}, {contrast}{others}"), None);
            }
        }
    }

    /// The objects of a snapshot, as its list and its manifests say; `None` if one of them cannot be read.
    fn files_of(&mut self, list: &str) -> Option<Vec<ListedFile>> {
        match files_of(list, |location| self.bytes_at(location)) {
            Ok((_, files)) => Some(files),
            Err(Unreadable { location, defect }) => {
                // One that is absent was reported when it was looked for.
                if let Some(defect) = defect {
                    let key = location.as_deref().and_then(|location| key_of(&self.head.root, location));
                    self.differs(defect, key);
                }
                None
            }
        }
    }
}

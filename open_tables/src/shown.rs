//! What readers of a version find: from its metadata over the list of manifests to the objects.
//!
//! Owns: the way through these objects. Does not own: getting their bytes, and comparing them (`inspect`, and the simulation's
//! invariants).

use std::collections::BTreeMap;

use crate::manifest::{self, ListedFile};
use crate::manifest_list;
use crate::metadata::Metadata;

/// A version, as its objects say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The newest snapshot of Iceberg; `None` for a table without rows so far.
    pub snapshot_id: Option<i64>,
    /// Addresses of the lists of manifests of all kept snapshots, by id.
    pub lists: BTreeMap<i64, String>,
    /// Addresses of the manifests of the newest snapshot.
    pub manifests: Vec<String>,
    /// Objects of rows of the newest snapshot.
    pub files: Vec<ListedFile>,
    /// Addresses of earlier metadata that the version names.
    pub earlier: Vec<String>,
}

/// The object at which reading ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its address; `None` for the metadata itself.
    pub location: Option<String>,
    /// The defect of its bytes; `None` if there are none.
    pub defect: Option<String>,
}

impl Shown {
    /// Reads the version of which this is the metadata; `bytes_at` gives the bytes at an address.
    ///
    /// # Errors
    /// The first object that is absent, or is not what it should be.
    pub fn read<B: AsRef<[u8]>>(metadata: &[u8], bytes_at: impl Fn(&str) -> Option<B>) -> Result<Self, Unreadable> {
        let metadata: Metadata = serde_json::from_slice(metadata)
            .map_err(|error| Unreadable { location: None, defect: Some(error.to_string()) })?;
        let lists = metadata.snapshots.iter().map(|of| (of.snapshot_id, of.manifest_list.clone())).collect();
        let mut shown = Self { lists, earlier: metadata.earlier(), ..Self::default() };
        if let Some(newest) = metadata.current() {
            shown.snapshot_id = Some(newest.snapshot_id);
            (shown.manifests, shown.files) = files_of(&newest.manifest_list, bytes_at)?;
        }
        Ok(shown)
    }
}

/// The manifests and the objects of rows of a snapshot, from its list on.
pub(crate) fn files_of<B: AsRef<[u8]>>(
    list: &str,
    bytes_at: impl Fn(&str) -> Option<B>,
) -> Result<(Vec<String>, Vec<ListedFile>), Unreadable> {
    let at = |location: &str, what: &str, defect: Option<String>| Unreadable {
        location: Some(location.to_owned()),
        defect: defect.map(|defect| format!("{what}: {defect}")),
    };
    let bytes = bytes_at(list).ok_or_else(|| at(list, "", None))?;
    let manifests = manifest_list::read(bytes.as_ref())
        .map_err(|error| at(list, "the list of manifests", Some(error.to_string())))?;
    let mut files = Vec::new();
    for location in &manifests {
        let bytes = bytes_at(location).ok_or_else(|| at(location, "", None))?;
        let found = manifest::read(bytes.as_ref());
        files.extend(found.map_err(|error| at(location, "a manifest", Some(error.to_string())))?);
    }
    Ok((manifests, files))
}

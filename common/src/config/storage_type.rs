//! The kinds of object store.
//!
//! Owns: their names, the URL schemes of each kind, and examples. A new kind is declared here and opened in
//! `lake::Storage`.
//! Does not own: opening a store (`lake`), the combinations of settings (`validation`).

use serde::{Deserialize, Serialize};

/// The allowed values of `STORAGE_TYPE`, as its documentation lists them.
pub(super) const STORAGE_TYPES: &str = "local, s3, azure, gcs or memory";

/// The same as a list.
pub(super) const STORAGE_TYPE_NAMES: [&str; 5] = ["local", "s3", "azure", "gcs", "memory"];

/// The allowed URLs of `STORAGE_URL`, as its documentation lists them.
pub(super) const STORAGE_URLS: &str =
    "s3://bucket/prefix, az://container/prefix, gs://bucket/prefix, file:///path or memory:///";

/// A kind of store for segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageType {
    /// A directory.
    Local,
    /// Amazon S3 or a compatible service.
    S3,
    /// Azure Blob Storage.
    Azure,
    /// Google Cloud Storage.
    Gcs,
    /// Inside this process, for trials.
    Memory,
}

impl StorageType {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Local, Self::S3, Self::Azure, Self::Gcs, Self::Memory];

    /// Its name in settings and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::S3 => "s3",
            Self::Azure => "azure",
            Self::Gcs => "gcs",
            Self::Memory => "memory",
        }
    }

    /// The kind of store for a URL's scheme; `None` for any other text.
    pub fn of(url: &str) -> Option<Self> {
        let (scheme, _) = url.split_once("://")?;
        Self::ALL.into_iter().find(|kind| kind.schemes().contains(&scheme))
    }

    /// An example URL for a kind that needs one in the settings; only local and memory stores have a default place.
    pub fn required_url(self) -> Option<&'static str> {
        match self {
            Self::Local | Self::Memory => None,
            Self::S3 => Some("s3://bucket/prefix"),
            Self::Azure => Some("az://container/prefix"),
            Self::Gcs => Some("gs://bucket/prefix"),
        }
    }

    fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::Local => &["file"],
            Self::S3 => &["s3", "s3a"],
            Self::Azure => &["az", "azure", "abfs", "abfss"],
            Self::Gcs => &["gs"],
            Self::Memory => &["memory"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_names_one_kind_and_each_kind_reads_back_its_name() {
        for (url, kind) in [
            ("file:///tmp/lake", StorageType::Local),
            ("s3://bucket/prefix", StorageType::S3),
            ("s3a://bucket", StorageType::S3),
            ("abfss://container@account/prefix", StorageType::Azure),
            ("gs://bucket", StorageType::Gcs),
            ("memory:///", StorageType::Memory),
        ] {
            assert_eq!(StorageType::of(url), Some(kind), "{url}");
        }
        for url in ["http://bucket", "bucket/prefix", "S3://bucket", ""] {
            assert_eq!(StorageType::of(url), None, "{url}");
        }
        for kind in StorageType::ALL {
            assert_eq!(serde_json::to_value(kind).expect("a name"), kind.as_str());
            assert!(kind.required_url().is_none_or(|url| StorageType::of(url) == Some(kind)), "{kind:?}");
            assert!(STORAGE_TYPES.contains(kind.as_str()), "{kind:?}");
            assert!(STORAGE_TYPE_NAMES.contains(&kind.as_str()), "{kind:?}");
            let named = STORAGE_URLS.split(", ").flat_map(|urls| urls.split(" or ")).map(StorageType::of);
            assert!(named.into_iter().any(|named| named == Some(kind)), "{kind:?}");
        }
    }
}

//! The place of the catalog.
//!
//! Owns: telling a file from a URL, so that the path of a directory is never parsed as one. Does not own: opening it.

use std::fmt;
use std::path::PathBuf;

use crate::secret::SecretUrl;

/// The place of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogPlace {
    /// A file of SQLite, exactly as named.
    File(PathBuf),
    /// The URL that `CATALOG_URL` sets.
    Url(SecretUrl),
}

impl fmt::Display for CatalogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "sqlite:{}", path.display()),
            Self::Url(url) => fmt::Display::fmt(url, f),
        }
    }
}

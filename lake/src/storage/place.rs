//! Whether a store is the one that holds a catalog's objects.
//!
//! Owns: that comparison, its error, and telling readers of DuckLake where the objects are. Does not own: opening stores
//! (`remote`), what one can do (`probe`, `diagnose`).

use catalog::{CatalogError, ObjectsPlace, TableStore};
use common::ErrorKind;
use common::diagnosis::{Area, Finding};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};

use super::Storage;

/// A catalog whose objects are elsewhere, or cannot be asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PlaceError {
    /// The objects are in another store than the settings name.
    #[error("the objects of this catalog are in {listed}, and STORAGE_URL or STORAGE_PATH names {named}: {reason}")]
    Elsewhere {
        /// Where the catalog lists them.
        listed: String,
        /// The store of the settings.
        named: String,
        /// What shows it, and what to do.
        reason: String,
    },
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The store failed.
    #[error("storage {url}: {reason}")]
    Store {
        /// The store, without secrets.
        url: String,
        /// Its error.
        reason: String,
    },
}

impl PlaceError {
    /// The reaction required of the caller.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Elsewhere { .. } => ErrorKind::Fatal,
            Self::Catalog(error) => error.kind(),
            Self::Store { .. } => ErrorKind::Unavailable,
        }
    }
}

const ONE_STORE: &str =
    "one catalog lists objects of one store; set it to the first, or give this one a catalog of its own";

impl Storage {
    /// Becomes the store of the catalog's objects, which readers of DuckLake are told.
    ///
    /// # Errors
    /// As [`Storage::check_place`].
    pub async fn take_place<C: TableStore + ?Sized>(&self, catalog: &C) -> Result<(), PlaceError> {
        self.check_place(catalog).await?;
        if let Some(root) = self.reader_root() {
            catalog.record_root(&self.bucket, &root).await?;
        }
        Ok(())
    }

    /// Checks that the objects which the catalog lists are in this store. A directory that was moved with its objects is
    /// this store.
    ///
    /// # Errors
    /// [`PlaceError::Elsewhere`] when they are not; else when the catalog or the store fails.
    pub async fn check_place<C: TableStore + ?Sized>(&self, catalog: &C) -> Result<(), PlaceError> {
        let place = catalog.objects_place(&self.bucket).await?;
        let elsewhere = |listed, reason| PlaceError::Elsewhere { listed, named: self.display_url(), reason };
        if let Some(other) = &place.other_bucket {
            return Err(elsewhere(bucket_text(other, &place), ONE_STORE.to_owned()));
        }
        let (Some(root), Some(key)) = (&place.root, &place.object) else { return Ok(()) };
        if self.reader_root().is_none_or(|own| own == *root) {
            return Ok(());
        }
        let key = Path::parse(key).map_err(|error| self.failed(&error))?;
        match self.store.head(&key).await {
            Ok(_) => Ok(()),
            Err(Error::NotFound { .. }) => {
                let reason = format!(
                    "object {key} of the catalog is not found there; set it to the first, or move all objects first \
                     (`siltstone audit` says which are missing)"
                );
                Err(elsewhere(root.clone(), reason))
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// The same as a finding about the deployment.
    pub async fn diagnose_place<C: TableStore + ?Sized>(&self, catalog: &C) -> Finding {
        match self.check_place(catalog).await {
            Ok(()) => Finding::ok(Area::Store, "objects", "the objects of the catalog are in this store"),
            Err(error) => Finding::fail(Area::Store, "objects", error.to_string(), ""),
        }
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> PlaceError {
        PlaceError::Store { url: self.display_url(), reason: error.to_string() }
    }
}

/// The other bucket by its address, if that is known.
fn bucket_text(bucket: &str, place: &ObjectsPlace) -> String {
    match (&place.other_root, bucket) {
        (Some(root), _) => root.clone(),
        (None, "") => "a local directory".to_owned(),
        (None, bucket) => format!("bucket {bucket}"),
    }
}

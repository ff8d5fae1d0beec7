//! The object that a query reads, and the error when it differs from the listed one.
//!
//! Owns: that error with its text, and the listed checksum of a planned file. Does not own: the comparison
//! (`crate::object`), reading (`reader`), the panics of decoders (`contained`).

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::parquet::errors::ParquetError;
use object_store::{ObjectMeta, ObjectStore};

use crate::object::{Found, Keep, ListedObject};

/// A listed object that cannot be read as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "segment {key} (listed with {size_bytes} bytes) is missing, cut short or damaged: {reason}; `siltstone audit` says more"
)]
pub struct UnreadableSegment {
    /// Key of the object.
    pub key: String,
    /// Its size, as the catalog lists it.
    pub size_bytes: u64,
    /// The difference that was found.
    pub reason: String,
}

/// The [`UnreadableSegment`] in `error` or in its causes, if any.
pub fn unreadable_segment<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e UnreadableSegment> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(segment) = error.downcast_ref() {
            return Some(segment);
        }
        cause = error.source();
    }
    None
}

/// CRC-32C of a planned file's object, as the catalog lists it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListedChecksum(pub(super) u32);

/// An object in its store, as the catalog lists it.
#[derive(Clone, Debug)]
pub(super) struct QueriedObject {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) listed: ListedObject,
}

impl QueriedObject {
    /// The object of a planned file, whose key and size are the catalog's.
    pub(super) fn new(store: &Arc<dyn ObjectStore>, meta: &ObjectMeta, checksum: ListedChecksum) -> Self {
        let ListedChecksum(checksum) = checksum;
        let listed = ListedObject { key: meta.location.clone(), size_bytes: meta.size, checksum };
        Self { store: Arc::clone(store), listed }
    }

    /// Reads all of the object, a part at a time, and compares it.
    pub(super) async fn check(&self) -> Result<(), UnreadableSegment> {
        self.judge(self.listed.find(self.store.as_ref(), Keep::Nothing).await)
    }

    /// Compares the whole object after it was read.
    pub(super) fn compare(&self, bytes: Bytes) -> Result<(), UnreadableSegment> {
        self.judge(self.listed.compare(bytes))
    }

    fn judge(&self, found: Found) -> Result<(), UnreadableSegment> {
        match found {
            Found::Same(_) => Ok(()),
            Found::OtherSize { checksum, .. } | Found::OtherChecksum { checksum } => {
                let listed = self.listed.checksum;
                Err(self.unreadable(&format!("its CRC-32C is {checksum:08x} instead of {listed:08x}")))
            }
            Found::Absent(error) | Found::Unreadable(error) => Err(self.unreadable(&error)),
        }
    }

    pub(super) fn unreadable(&self, reason: &dyn fmt::Display) -> UnreadableSegment {
        let ListedObject { key, size_bytes, .. } = &self.listed;
        UnreadableSegment { key: key.to_string(), size_bytes: *size_bytes, reason: reason.to_string() }
    }
}

impl From<UnreadableSegment> for ParquetError {
    fn from(segment: UnreadableSegment) -> Self {
        Self::External(Box::new(segment))
    }
}

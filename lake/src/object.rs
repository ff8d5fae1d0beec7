//! Compares a stored object with the object that the catalog lists.
//!
//! Owns: the comparison of size and CRC-32C, by pieces. Does not own: the meaning of the bytes (`read`), the
//! consequence of an answer and its error text (each caller).

use bytes::{Bytes, BytesMut};
use catalog::ObjectInfo;
use common::checksum::{Crc32c, crc32c};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};

/// An object as it was put or as the catalog lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Key in the store.
    pub key: Path,
    /// Size in bytes.
    pub size_bytes: u64,
    /// CRC-32C of its bytes.
    pub checksum: u32,
}

/// The bytes that a comparison keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// None: they pass through in pieces.
    Nothing,
    /// All of them, if the object is the same.
    Bytes,
}

/// The answer of a comparison.
#[derive(Debug)]
pub enum Found {
    /// The listed object, with its bytes if they were to be kept.
    Same(Option<Bytes>),
    /// There is no object under the key.
    Absent(Error),
    /// The object has another size.
    OtherSize {
        /// Its size in bytes.
        size_bytes: u64,
        /// CRC-32C of its bytes.
        checksum: u32,
    },
    /// The object has the size, and other bytes.
    OtherChecksum {
        /// CRC-32C of its bytes.
        checksum: u32,
    },
    /// Unknown: the object could not be read.
    Unreadable(Error),
}

impl ListedObject {
    /// The object as the catalog lists it.
    ///
    /// # Errors
    /// When its key is not valid in a store.
    pub fn of(object: &ObjectInfo) -> Result<Self, Error> {
        // Parsed, not converted: a conversion would percent-encode the key a second time.
        let key = Path::parse(&object.key)?;
        Ok(Self { key, size_bytes: object.size_bytes, checksum: object.checksum })
    }

    /// Reads all of the object in `store` and compares it.
    pub async fn find(&self, store: &dyn ObjectStore, keep: Keep) -> Found {
        match self.read(store, keep).await {
            Ok((size_bytes, checksum, bytes)) => self.judge(size_bytes, checksum, bytes),
            Err(error @ Error::NotFound { .. }) => Found::Absent(error),
            Err(error) => Found::Unreadable(error),
        }
    }

    /// Compares bytes that were read elsewhere.
    pub fn compare(&self, bytes: Bytes) -> Found {
        self.judge(bytes.len() as u64, crc32c(&bytes), Some(bytes))
    }

    fn judge(&self, size_bytes: u64, checksum: u32, bytes: Option<Bytes>) -> Found {
        if size_bytes != self.size_bytes {
            return Found::OtherSize { size_bytes, checksum };
        }
        if checksum == self.checksum { Found::Same(bytes) } else { Found::OtherChecksum { checksum } }
    }

    async fn read(&self, store: &dyn ObjectStore, keep: Keep) -> Result<(u64, u32, Option<Bytes>), Error> {
        let answer = store.get(&self.key).await?;
        // An object of another size is still summed, but not kept.
        let is_kept = keep == Keep::Bytes && answer.meta.size == self.size_bytes;
        let mut kept = BytesMut::with_capacity(if is_kept { self.size_bytes as usize } else { 0 });
        let (mut sum, mut size_bytes) = (Crc32c::default(), 0);
        let mut pieces = answer.into_stream();
        while let Some(piece) = pieces.try_next().await? {
            sum.update(&piece);
            size_bytes += piece.len() as u64;
            if is_kept {
                kept.extend_from_slice(&piece);
            }
        }
        Ok((size_bytes, sum.value(), is_kept.then(|| kept.freeze())))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use support::fault_store::{Answer, Fault, FaultStore, Operation};

    use super::*;

    fn listed(bytes: &[u8]) -> ListedObject {
        ListedObject { key: Path::from("a/key"), size_bytes: bytes.len() as u64, checksum: crc32c(bytes) }
    }

    async fn found(stored: &'static [u8], keep: Keep) -> Found {
        let store = InMemory::new();
        store.put(&Path::from("a/key"), stored.into()).await.expect("put");
        listed(b"abc").find(&store, keep).await
    }

    #[tokio::test]
    async fn the_same_object_is_told_from_altered_ones() {
        assert!(matches!(found(b"abc", Keep::Nothing).await, Found::Same(None)));
        assert!(matches!(found(b"abc", Keep::Bytes).await, Found::Same(Some(bytes)) if bytes == "abc"));
        let longer = crc32c(b"abcd");
        let is_longer = |found| matches!(found, Found::OtherSize { size_bytes: 4, checksum } if checksum == longer);
        assert!(is_longer(found(b"abcd", Keep::Bytes).await));
        let changed = crc32c(b"abd");
        let is_changed = |found| matches!(found, Found::OtherChecksum { checksum } if checksum == changed);
        assert!(is_changed(found(b"abd", Keep::Bytes).await));
        assert!(is_changed(listed(b"abc").compare(Bytes::from_static(b"abd"))));
    }

    #[tokio::test]
    async fn an_absent_object_is_told_from_one_that_cannot_be_read() {
        let store = FaultStore::new(Arc::new(InMemory::new()));
        assert!(matches!(listed(b"abc").find(store.as_ref(), Keep::Nothing).await, Found::Absent(_)));
        store.next(Operation::Get, 1, Fault::before(Answer::Denied));
        assert!(matches!(listed(b"abc").find(store.as_ref(), Keep::Nothing).await, Found::Unreadable(_)));
    }
}

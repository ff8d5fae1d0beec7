//! Checks that one listed object exists and is the committed one.
//!
//! Owns: the texts of its problems. Does not own: the comparison (`lake::object`), the meaning of its bytes (`rows`).

use bytes::Bytes;
use catalog::SegmentInfo;
use catalog::audit::{Check, Problem};
use common::TopicPartition;
use lake::object::{Found, Keep, ListedObject};
use lake::storage::silent_store;
use lake::{LakeError, Storage};

use super::rows;
use crate::error::Result;

const MISSING: &str = "its rows cannot be read and queries fail: put the object back under this key from a backup or \
    another version of the bucket; if the queue still holds the offsets, they can be read again after that";
const ALTERED: &str = "somebody or the disk changed it after it was committed, and its rows cannot be trusted: put the \
    object back under this key from a backup or another version of the bucket";
const UNREADABLE: &str =
    "is the store up, do the settings name the same store as the writer's, and may this user read it?";

pub(super) struct ObjectReader<'a> {
    pub(super) storage: &'a Storage,
    pub(super) partition: &'a TopicPartition,
    /// A segment of the object; its problems name the segment's place.
    pub(super) segment: &'a SegmentInfo,
}

impl ObjectReader<'_> {
    /// Reads the object and compares it with the catalog; returns its bytes only if they are to be kept and right.
    ///
    /// # Errors
    /// When the store is silent: waiting for each of its objects would take hours, and say nothing of any.
    pub(super) async fn read(&self, keep: Keep, problems: &mut Vec<Problem>) -> Result<Option<Bytes>> {
        let object = self.segment.object.as_ref();
        if object.bucket != self.storage.bucket {
            let found = format!("it is in bucket {:?}, the settings name {:?}", object.bucket, self.storage.bucket);
            problems.push(self.problem(found, UNREADABLE));
            return Ok(None);
        }
        let found = match ListedObject::of(object) {
            Ok(listed) => listed.find(self.storage.store.as_ref(), keep).await,
            Err(error) => Found::Unreadable(error),
        };
        let (found, advice) = match found {
            Found::Same(bytes) => return Ok(bytes),
            Found::OtherSize { size_bytes, .. } => {
                (format!("it has {size_bytes} bytes instead of {}", object.size_bytes), ALTERED)
            }
            Found::OtherChecksum { checksum } => {
                (format!("its CRC-32C is {checksum:08x} instead of {:08x}", object.checksum), ALTERED)
            }
            Found::Absent(_) => ("it does not exist".to_owned(), MISSING),
            Found::Unreadable(error) if silent_store(&error).is_some() => {
                let reason = format!("{} cannot be read: {error}", object.key);
                return Err(LakeError::Storage { url: self.storage.display_url(), reason }.into());
            }
            Found::Unreadable(error) => (format!("it cannot be read: {error}"), UNREADABLE),
        };
        problems.push(self.problem(found, advice));
        Ok(None)
    }

    fn problem(&self, found: String, advice: &'static str) -> Problem {
        let problem = Problem::new(Check::Objects, self.partition, self.segment.incarnation, found, advice);
        problem.at(self.segment.range.base()).of(&self.segment.object.key)
    }

    /// A problem with the rows of this object.
    pub(super) fn rows_problem(&self, found: String) -> Problem {
        let problem = Problem::new(Check::Rows, self.partition, self.segment.incarnation, found, rows::ADVICE);
        problem.at(self.segment.range.base()).of(&self.segment.object.key)
    }
}

#[cfg(test)]
mod tests;

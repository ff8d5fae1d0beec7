//! One listed object: is it there, and is it what was committed?
//!
//! Owns: reading it whole, its size and checksum. Does not own: what its bytes mean (`rows`).

use bytes::{Bytes, BytesMut};
use catalog::SegmentInfo;
use catalog::audit::{Check, Problem};
use common::TopicPartition;
use common::checksum::Crc32c;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};

use super::rows;
use lake::Storage;

const MISSING: &str = "its rows cannot be read and queries fail: put the object back under this key from a backup or \
    another version of the bucket; if the queue still holds the offsets, they can be read again after that";
const ALTERED: &str = "somebody or the disk changed it after it was committed, and its rows cannot be trusted: put the \
    object back under this key from a backup or another version of the bucket";
const UNREADABLE: &str =
    "is the store up, do the settings name the same store as the writer's, and may this user read it?";

pub(super) struct ObjectReader<'a> {
    pub(super) storage: &'a Storage,
    pub(super) partition: &'a TopicPartition,
    pub(super) segment: &'a SegmentInfo,
}

impl ObjectReader<'_> {
    /// Reads the object and compares it with the catalog; its bytes only when they are wanted and right.
    /// What is not wanted passes through in pieces.
    pub(super) async fn read(&self, is_wanted: bool, problems: &mut Vec<Problem>) -> Option<Bytes> {
        let segment = self.segment;
        if segment.bucket != self.storage.bucket {
            let found = format!("it is in bucket {:?}, the settings name {:?}", segment.bucket, self.storage.bucket);
            problems.push(self.problem(found, UNREADABLE));
            return None;
        }
        match self.read_and_sum(is_wanted).await {
            Ok((size, checksum, bytes)) => {
                let (found, advice) = match (size == segment.size_bytes, checksum == segment.checksum) {
                    (true, true) => return bytes,
                    (false, _) => (format!("it has {size} bytes instead of {}", segment.size_bytes), ALTERED),
                    (true, false) => {
                        (format!("its CRC-32C is {checksum:08x} instead of {:08x}", segment.checksum), ALTERED)
                    }
                };
                problems.push(self.problem(found, advice));
            }
            Err(Error::NotFound { .. }) => problems.push(self.problem("it does not exist".to_owned(), MISSING)),
            Err(error) => problems.push(self.problem(format!("it cannot be read: {error}"), UNREADABLE)),
        }
        None
    }

    async fn read_and_sum(&self, is_wanted: bool) -> object_store::Result<(u64, u32, Option<Bytes>)> {
        // Parsed, not converted: a conversion would percent-encode the key a second time.
        let key = Path::parse(&self.segment.key)?;
        let answer = self.storage.store.get(&key).await?;
        // An object of another size is summed all the same, but not kept.
        let is_kept = is_wanted && answer.meta.size == self.segment.size_bytes;
        let mut kept = BytesMut::with_capacity(if is_kept { self.segment.size_bytes as usize } else { 0 });
        let (mut sum, mut size) = (Crc32c::default(), 0);
        let mut pieces = answer.into_stream();
        while let Some(piece) = pieces.try_next().await? {
            sum.update(&piece);
            size += piece.len() as u64;
            if is_kept {
                kept.extend_from_slice(&piece);
            }
        }
        Ok((size, sum.value(), is_kept.then(|| kept.freeze())))
    }

    fn problem(&self, found: String, advice: &'static str) -> Problem {
        let problem = Problem::new(Check::Objects, self.partition, self.segment.incarnation, found, advice);
        problem.at(self.segment.base_offset).of(&self.segment.key)
    }

    /// A problem with the rows of this object.
    pub(super) fn rows_problem(&self, found: String) -> Problem {
        let problem = Problem::new(Check::Rows, self.partition, self.segment.incarnation, found, rows::ADVICE);
        problem.at(self.segment.base_offset).of(&self.segment.key)
    }
}

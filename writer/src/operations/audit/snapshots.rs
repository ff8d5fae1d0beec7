//! Checks that kept lake snapshots can be read: the retired objects that they have are stored.
//!
//! Owns: the choice of these objects, and looking for each without reading it. Does not own: live objects (`object`).

use catalog::audit::{Check, Problem};
use catalog::{LakeSnapshot, RetiredObject};
use common::{Incarnation, TopicName, TopicPartition};
use futures::{StreamExt, TryStreamExt};
use lake::LakeError;
use lake::storage::silent_store;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};

use super::{Audit, OBJECTS_AT_ONCE};
use crate::error::Result;

const GONE: &str = "DuckDB cannot read the earlier snapshots that have it; the table as it is now needs it no more: put \
    the object back under this key from a backup, or wait until JANITOR_HOLD_SECS drops these snapshots";

impl Audit<'_> {
    /// The number of the topic's retired objects that kept snapshots have, and their problems.
    ///
    /// # Errors
    /// If the catalog fails, or the store sends nothing.
    pub(super) async fn earlier_snapshots(&self, topic: &TopicName) -> Result<(u64, Vec<Problem>)> {
        let needed = self.needed(topic).await?;
        let count = needed.len() as u64;
        let looks = needed.into_iter().map(|retired| async move {
            let found = self.look_for(&retired).await?;
            Ok::<_, crate::error::WriterError>(found.map(|found| (retired, found)))
        });
        let looks = futures::stream::iter(looks).buffer_unordered(OBJECTS_AT_ONCE);
        let lacking: Vec<_> = looks.try_filter_map(async |lacking| Ok(lacking)).try_collect().await?;
        if lacking.is_empty() {
            return Ok((count, Vec::new()));
        }
        // The janitor may have deleted them meanwhile, after it had dropped their snapshots.
        let still = self.needed(topic).await?;
        let is_needed = |retired: &RetiredObject| still.iter().any(|other| other.object.key == retired.object.key);
        let mut problems: Vec<Problem> = lacking
            .into_iter()
            .filter(|(retired, _)| is_needed(retired))
            .map(|(retired, found)| problem(topic, &retired, found))
            .collect();
        problems.sort_by(|one, other| one.key.cmp(&other.key));
        Ok((count, problems))
    }

    /// The retired objects of the audited partitions that a kept snapshot has.
    async fn needed(&self, topic: &TopicName) -> Result<Vec<RetiredObject>> {
        let mut retired = self.catalog.list_retired(topic).await?;
        // Read later: a snapshot that is dropped in between needs nothing.
        let snapshots = self.catalog.list_snapshots().await?;
        let has = |of: &LakeSnapshot, retired: &RetiredObject| {
            (retired.object.begin_snapshot..retired.end_snapshot).contains(&of.snapshot_id)
        };
        retired.retain(|retired| {
            let partitions = retired.object.min_partition_id..=retired.object.max_partition_id;
            self.partition_id.is_none_or(|only| partitions.contains(&only))
                && snapshots.iter().any(|snapshot| has(snapshot, retired))
        });
        Ok(retired)
    }

    /// A contradiction between the store and the catalog, if there is one.
    async fn look_for(&self, retired: &RetiredObject) -> Result<Option<String>> {
        let object = &retired.object;
        if object.bucket != self.storage.bucket {
            return Ok(None);
        }
        let head = match Path::parse(&object.key) {
            Ok(key) => self.storage.store.head(&key).await,
            Err(error) => Err(error.into()),
        };
        Ok(match head {
            Ok(meta) if meta.size == object.size_bytes => None,
            Ok(meta) => Some(format!("it has {} bytes instead of {}", meta.size, object.size_bytes)),
            Err(Error::NotFound { .. }) => Some("it does not exist".to_owned()),
            Err(error) if silent_store(&error).is_some() => {
                let reason = format!("{} cannot be read: {error}", object.key);
                return Err(LakeError::Storage { url: self.storage.display_url(), reason }.into());
            }
            Err(error) => Some(format!("it cannot be read: {error}")),
        })
    }
}

fn problem(topic: &TopicName, retired: &RetiredObject, found: String) -> Problem {
    let object = &retired.object;
    let place = TopicPartition::new(topic.clone(), object.min_partition_id);
    let found = format!("object {} of kept snapshots before {}: {found}", object.file_id, retired.end_snapshot);
    Problem::new(Check::Objects, &place, Incarnation::default(), found, GONE).at(object.min_offset).of(&object.key)
}

//! All records of one partition, as of one moment.
//!
//! Owns: cutting records that were read later back to that moment: a writer may commit, and retention may take segments
//! off the list, while an audit reads. Does not own: judging the records.

use std::collections::HashSet;

use common::{Incarnation, TopicPartition};

use crate::error::Result;
use crate::model::{
    CommitRecord, Expiration, IncarnationStart, Partition, RecordedGap, SegmentInfo, TopicSnapshot, Upload,
};
use crate::store::MetadataStore;

/// The catalog's records of one partition.
#[derive(Clone, Debug)]
pub struct PartitionRecords {
    /// The partition.
    pub partition: Partition,
    /// The starts of its incarnations, from the second one on.
    pub incarnations: Vec<IncarnationStart>,
    /// Its commits, alone or in runs, by number.
    pub commits: Vec<CommitRecord>,
    /// Its listed segments, by incarnation and base offset.
    pub segments: Vec<SegmentInfo>,
    /// Its gaps, by incarnation and base offset.
    pub gaps: Vec<RecordedGap>,
    /// The progress of retention in each incarnation.
    pub expirations: Vec<Expiration>,
    /// Objects that are not listed.
    pub uploads: Vec<Upload>,
    /// True if each offset of the queue belongs to the partition, so that messages can be counted by offsets.
    pub is_dense: bool,
}

impl PartitionRecords {
    /// Reads the records of the partition `partition_id` of `snapshot`; `None` if the snapshot has no such partition.
    ///
    /// # Errors
    /// As the catalog's own.
    pub async fn load(
        catalog: &dyn MetadataStore,
        snapshot: &TopicSnapshot,
        partition_id: u32,
    ) -> Result<Option<Self>> {
        let found = snapshot.partitions.iter().find(|partition| partition.partition_id == partition_id);
        let Some(partition) = found.cloned() else { return Ok(None) };
        let id = TopicPartition::new(partition.topic.clone(), partition_id);
        let commits = catalog.list_commits(&id).await?;
        // Read after the commits: the segments that cover commits folded since then are as long as the commits.
        let (expirations, segments, uploads) = loop {
            let expirations = catalog.list_expirations(&id).await?;
            let segments = listed(catalog, snapshot, &partition).await?;
            let uploads = catalog.list_uploads(&id).await?;
            // Retention in between took segments that were read, or explains the absence of others: read again.
            if expirations == catalog.list_expirations(&id).await? {
                break (expirations, segments, uploads);
            }
        };
        let mut records = Self {
            commits,
            segments,
            gaps: catalog.list_gaps(&id).await?,
            incarnations: catalog.list_incarnations(&id).await?,
            expirations,
            uploads,
            is_dense: snapshot.topic.config.streams.iter().all(|stream| stream.subjects.is_empty()),
            partition,
        };
        if records.has_newer() {
            let now = catalog.get_partition(&id).await?;
            records.cut(now.as_ref());
        }
        records.forget_replaced(catalog, &id).await?;
        Ok(Some(records))
    }

    fn has_newer(&self) -> bool {
        let (then, end) = (&self.partition, (self.partition.incarnation, self.partition.high_watermark));
        self.commits.iter().any(|commit| commit.commit_no > then.commit_no)
            || self.incarnations.iter().any(|start| start.incarnation > then.incarnation)
            || self.gaps.iter().any(|gap| (gap.incarnation, gap.gap.range.base()) >= end)
    }

    /// Leaves out records that were committed after the partition was read and before it was read again as `now`.
    /// Records beyond `now` stay, so that the checks report them.
    fn cut(&mut self, now: Option<&Partition>) {
        let Some(now) = now else { return };
        let then = &self.partition;
        self.commits.retain(|commit| commit.commit_no <= then.commit_no || commit.commit_no > now.commit_no);
        let is_known = |incarnation: Incarnation| incarnation <= then.incarnation || incarnation > now.incarnation;
        self.incarnations.retain(|start| is_known(start.incarnation));
        let place = |gap: &RecordedGap| (gap.incarnation, gap.gap.range.base());
        let (then_end, now_end) = ((then.incarnation, then.high_watermark), (now.incarnation, now.high_watermark));
        self.gaps.retain(|gap| place(gap) < then_end || place(gap) >= now_end);
    }

    /// Leaves out the uploads of objects that were replaced since their segments were read. The upload of an object
    /// that is still listed is a contradiction, and stays.
    async fn forget_replaced(&mut self, catalog: &dyn MetadataStore, id: &TopicPartition) -> Result<()> {
        let place = |segment: &SegmentInfo| (segment.object.bucket.clone(), segment.object.key.clone());
        let listed: HashSet<_> = self.segments.iter().map(place).collect();
        let was_listed = |upload: &Upload| listed.contains(&(upload.bucket.clone(), upload.key.clone()));
        if !self.uploads.iter().any(was_listed) {
            return Ok(());
        }
        let now: HashSet<_> = catalog.get_segments(id).await?.iter().map(place).collect();
        let is_listed = |upload: &Upload| now.contains(&(upload.bucket.clone(), upload.key.clone()));
        self.uploads.retain(|upload| !was_listed(upload) || is_listed(upload));
        Ok(())
    }
}

/// The current live segments, without those committed after the snapshot. If a segment straddles the snapshot's
/// watermark, several segments were joined since then: the snapshot's own segments are returned instead.
async fn listed(
    catalog: &dyn MetadataStore,
    snapshot: &TopicSnapshot,
    partition: &Partition,
) -> Result<Vec<SegmentInfo>> {
    let id = TopicPartition::new(partition.topic.clone(), partition.partition_id);
    let (then, watermark) = (partition.incarnation, partition.high_watermark);
    let mut segments = catalog.get_segments(&id).await?;
    let read: HashSet<&str> = snapshot.segments.iter().map(|segment| segment.id.as_str()).collect();
    let is_newer = |segment: &SegmentInfo| {
        segment.incarnation > then || (segment.incarnation == then && segment.range.base() >= watermark)
    };
    let straddles = |segment: &SegmentInfo| segment.incarnation == then && segment.range.end() >= watermark;
    segments.retain(|segment| read.contains(segment.id.as_str()) || !is_newer(segment));
    if segments.iter().any(|segment| straddles(segment) && !is_newer(segment)) {
        let of_partition = snapshot.segments.iter().filter(|segment| segment.partition_id == partition.partition_id);
        return Ok(of_partition.cloned().collect());
    }
    Ok(segments)
}

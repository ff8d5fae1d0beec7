//! Segments: importing one, reading them, and the snapshot for readers.
//!
//! Owns: their statements outside the commit. Does not own: listing segments in operation (`commit`) and expiring them
//! (`expire`).

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use common::{OffsetRange, TopicName, TopicPartition};

use super::listing::{self, Placed};
use super::objects::{self, TopicLock, tables_of};
use super::partition_row::lock_incarnation;
use super::{SqlMetadataStore, exceptions, expire, history, input, read_ahead, retention, rows, snapshots, statistics};
use crate::database::{Row, Session, Sql, sql, values};
use crate::error::{CatalogError, Result, is_unique_violation};
use crate::model::{
    ColumnStatistics, CommitRecord, Exceptions, Expiration, Expired, ExpiredBefore, FileId, ImportedSegment,
    IncarnationStart, LakeSnapshot, ObjectInfo, ReadAhead, ReadFrom, RecordedGap, RetiredObject, SegmentInfo,
    SegmentKind, SnapshotId, Tables, Topic, TopicSnapshot,
};
use crate::store::SegmentStore;

/// The segment with the greatest base at or below the offset. Ranges do not overlap, so no other can hold it. This is
/// one step down the unique index for any number of segments, also if none holds the offset.
const FIND_SEGMENT: Sql = sql!(
    "SELECT " segment_columns ", " object_columns "
     FROM segments JOIN objects ON objects.file_id = segments.file_id
     WHERE segments.topic = $1 AND segments.partition_id = $2 AND segments.kind = 'data'
       AND segments.base_offset <= $3
       AND segments.incarnation = (SELECT incarnation FROM partitions WHERE topic = $1 AND partition_id = $2)
     ORDER BY segments.base_offset DESC LIMIT 1"
);

#[async_trait]
impl<D> SegmentStore for SqlMetadataStore<D> {
    async fn add_segment(&self, segment: ImportedSegment) -> Result<()> {
        self.door.write(|session| Box::pin(add_segment(session, &segment))).await
    }

    async fn get_segments(&self, partition: &TopicPartition) -> Result<Vec<SegmentInfo>> {
        let select = sql!(
            "SELECT " segment_columns ", " object_columns "
             FROM segments JOIN objects ON objects.file_id = segments.file_id
             WHERE segments.topic = $1 AND segments.partition_id = $2
             ORDER BY segments.incarnation, segments.base_offset, segments.kind"
        );
        joined(self.door.fetch(&select, values![&partition.topic, partition.partition_id]).await?)
    }

    async fn find_segment_for_offset(&self, partition: &TopicPartition, offset: u64) -> Result<Option<SegmentInfo>> {
        let values = values![&partition.topic, partition.partition_id, input::offset(offset)?];
        let found = joined(self.door.fetch(&FIND_SEGMENT, values).await?)?.pop();
        Ok(found.filter(|segment| segment.range.contains(offset)))
    }

    async fn segments_from(&self, partition: &TopicPartition, from: ReadFrom, limit: u32) -> Result<Option<ReadAhead>> {
        self.door.read(|session| Box::pin(read_ahead::segments_from(session, partition, from, limit))).await
    }

    async fn expire_segments(&self, topic: &TopicName, before: &[ExpiredBefore]) -> Result<u64> {
        self.door.write(|session| Box::pin(expire::expire(session, topic, before))).await
    }

    async fn expire_by_age(&self, topic: &TopicName) -> Result<Expired> {
        retention::expire(&self.door, topic).await
    }

    async fn due_by_age(&self, topic: &TopicName) -> Result<Expired> {
        retention::due(&self.door, topic).await
    }

    async fn snapshot(&self, topic: &TopicName) -> Result<TopicSnapshot> {
        self.door.read(|session| Box::pin(snapshot(session, topic))).await
    }

    async fn list_retired(&self, topic: &TopicName) -> Result<Vec<RetiredObject>> {
        self.door.read(|session| Box::pin(list_retired(session, topic))).await
    }

    async fn list_snapshots(&self) -> Result<Vec<LakeSnapshot>> {
        self.door.read(|session| Box::pin(snapshots::list(session))).await
    }

    async fn object_statistics(
        &self,
        topic: &TopicName,
        kind: SegmentKind,
        field_ids: &[i32],
        after: Option<SnapshotId>,
    ) -> Result<Vec<(FileId, ColumnStatistics)>> {
        let topic = topic.as_str();
        self.door.read(|session| Box::pin(statistics::of_objects(session, (topic, kind), field_ids, after))).await
    }

    async fn exceptions(&self, partition: &TopicPartition, range: OffsetRange) -> Result<Option<Exceptions>> {
        self.door.read(|session| Box::pin(exceptions::exceptions(session, partition, range))).await
    }

    async fn list_gaps(&self, partition: &TopicPartition) -> Result<Vec<RecordedGap>> {
        history::gaps(&self.door, partition).await
    }

    async fn list_commits(&self, partition: &TopicPartition) -> Result<Vec<CommitRecord>> {
        history::commits(&self.door, partition).await
    }

    async fn list_incarnations(&self, partition: &TopicPartition) -> Result<Vec<IncarnationStart>> {
        self.door.read(|session| Box::pin(history::incarnations(session, partition))).await
    }

    async fn list_expirations(&self, partition: &TopicPartition) -> Result<Vec<Expiration>> {
        self.door.read(|session| Box::pin(history::expirations(session, partition))).await
    }
}

async fn add_segment(session: &mut dyn Session, imported: &ImportedSegment) -> Result<()> {
    let ImportedSegment { partition, incarnation, range, segment } = imported;
    input::segment(segment)?;
    input::only_segment(segment)?;
    let (base, end) = (input::offset(range.base())?, input::offset(range.end())?);
    // The topic exists while one of its partitions is locked.
    if lock_incarnation(session, partition).await?.is_none() {
        return Err(rows::partition_not_found(partition));
    }
    let tables = tables_of(session, partition.topic.as_str(), TopicLock::None).await?;
    let tables = tables.ok_or_else(|| rows::partition_not_found(partition))?;
    let refuse = |reason: &str| CatalogError::InvalidOffset { offset: range.base(), reason: reason.to_owned() };
    let overlapping = sql!(
        "SELECT id FROM segments WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND kind = $4
            AND base_offset <= $6 AND end_offset >= $5 LIMIT 1"
    );
    let (topic, id) = (&partition.topic, partition.partition_id);
    let place = values![topic, id, *incarnation, segment.kind.as_str(), base, end];
    if !session.fetch(&overlapping, place).await?.is_empty() {
        return Err(refuse("a listed segment of the same kind overlaps its range"));
    }
    const LISTED: &str = "its id or its key is listed already";
    if objects::find(session, &segment.object.bucket, &segment.object.key).await?.is_some() {
        return Err(refuse(LISTED));
    }
    let incarnation = i64::from(incarnation.0);
    let placed = Placed { partition, incarnation, range: *range, tables, segment };
    match listing::list(session, &[placed]).await {
        Err(CatalogError::Database(error)) if is_unique_violation(&error) => Err(refuse(LISTED)),
        listed => listed.map(|_| ()),
    }
}

async fn snapshot(session: &mut dyn Session, topic: &TopicName) -> Result<TopicSnapshot> {
    let select = sql!("SELECT " topic_columns " FROM topics WHERE name = $1");
    let Some(row) = session.fetch(&select, values![topic]).await?.pop() else {
        return Err(CatalogError::TopicNotFound(topic.to_string()));
    };
    let tables = tables_of(session, topic.as_str(), TopicLock::None).await?;
    let tables = tables.ok_or_else(|| CatalogError::TopicNotFound(topic.to_string()))?;
    snapshot_of(session, row.try_into()?, tables).await
}

/// The snapshot of a topic that was read in this transaction.
pub(super) async fn snapshot_of(session: &mut dyn Session, topic: Topic, tables: Tables) -> Result<TopicSnapshot> {
    let select = sql!("SELECT " partition_columns " FROM partitions WHERE topic = $1 ORDER BY partition_id");
    let partitions = session.fetch(&select, values![&topic.name]).await?;
    let select = sql!(
        "SELECT " segment_columns " FROM segments WHERE topic = $1
         ORDER BY partition_id, incarnation, base_offset, kind"
    );
    let segments = session.fetch(&select, values![&topic.name]).await?;
    let objects = objects::live(session, tables).await?;
    let (snapshot_id, snapshot_time_us) = snapshots::newest(session).await?;
    Ok(TopicSnapshot {
        topic,
        tables,
        partitions: rows::all(partitions)?,
        segments: in_objects(segments, &objects)?,
        objects,
        snapshot_id,
        snapshot_time_us,
    })
}

async fn list_retired(session: &mut dyn Session, topic: &TopicName) -> Result<Vec<RetiredObject>> {
    match tables_of(session, topic.as_str(), TopicLock::None).await? {
        Some(tables) => objects::retired(session, tables).await,
        None => Ok(Vec::new()),
    }
}

/// Segments from rows of their columns and those of their objects.
pub(super) fn joined(rows: Vec<Row>) -> Result<Vec<SegmentInfo>> {
    let mut objects: HashMap<FileId, Arc<ObjectInfo>> = HashMap::new();
    let with_object = |mut row: Row| {
        segment(&mut row, |file_id, kind, row| match objects.get(&file_id) {
            Some(object) => Ok(Arc::clone(object)),
            None => Ok(Arc::clone(objects.entry(file_id).or_insert(Arc::new(row.object(kind)?)))),
        })
    };
    rows.into_iter().map(with_object).collect()
}

/// Segments from rows of their columns alone.
pub(super) fn in_objects(rows: Vec<Row>, objects: &[Arc<ObjectInfo>]) -> Result<Vec<SegmentInfo>> {
    let by_id: HashMap<FileId, &Arc<ObjectInfo>> = objects.iter().map(|object| (object.file_id, object)).collect();
    let absent = |id| CatalogError::Inconsistent(format!("a segment is in object {id}, which is not listed"));
    let of_object = |mut row: Row| {
        segment(&mut row, |file_id, _, _| by_id.get(&file_id).copied().cloned().ok_or_else(|| absent(file_id)))
    };
    rows.into_iter().map(of_object).collect()
}

/// A segment from its columns, with an object that `object` finds.
fn segment(
    row: &mut Row,
    object: impl FnOnce(FileId, SegmentKind, &mut Row) -> Result<Arc<ObjectInfo>>,
) -> Result<SegmentInfo> {
    let (id, topic, partition_id) = (row.text("id")?, row.topic()?, row.unsigned("partition_id")?);
    let (incarnation, kind, range) = (row.incarnation()?, row.word("kind")?, row.range()?);
    Ok(SegmentInfo {
        id,
        topic,
        partition_id,
        incarnation,
        kind,
        range,
        record_count: row.unsigned("record_count")?,
        min_timestamp_us: row.integer("min_timestamp_us")?,
        max_timestamp_us: row.integer("max_timestamp_us")?,
        schema_version: row.unsigned("schema_version")?,
        created_at: row.integer("created_at")?,
        object: {
            let file_id = FileId(row.unsigned("file_id")?);
            object(file_id, kind, row)?
        },
    })
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, PgConnection, SqliteConnection};

    use super::*;
    use crate::{PostgresMetadataStore, SqliteMetadataStore};

    #[tokio::test]
    async fn sqlite_finds_the_segment_of_an_offset_by_index() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("catalog.db");
        let _store = SqliteMetadataStore::new(&path).await.expect("opens");
        let mut connection = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.expect("connects");
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", FIND_SEGMENT.sqlite));
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain)
            .bind("orders")
            .bind(0_i64)
            .bind(5_i64)
            .fetch_all(&mut connection)
            .await
            .expect("explained");
        let plan: Vec<String> = plan.into_iter().map(|row| row.3).collect();
        let plan = plan.join("\n");
        println!("{plan}");
        assert!(plan.contains("SEARCH segments USING INDEX idx_segments_location"), "{plan}");
        assert!(plan.contains("base_offset<?"), "{plan}");
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
    }

    #[tokio::test]
    async fn postgres_finds_the_segment_of_an_offset_by_index() {
        let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
        let _store = PostgresMetadataStore::connect(&url).await.expect("opens");
        let mut connection = PgConnection::connect(&url).await.expect("connects");
        // An empty table would be read whole otherwise.
        sqlx::query("SET enable_seqscan = off").execute(&mut connection).await.expect("set");
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN {}", FIND_SEGMENT.postgres));
        let plan: Vec<String> = sqlx::query_scalar(explain)
            .bind("orders")
            .bind(0_i64)
            .bind(5_i64)
            .fetch_all(&mut connection)
            .await
            .expect("explained");
        let plan = plan.join("\n");
        println!("{plan}");
        assert!(plan.contains("Scan Backward using idx_segments_"), "{plan}");
        assert!(plan.contains("base_offset <= "), "{plan}");
        assert!(!plan.contains("Sort"), "{plan}");
    }
}

//! Segments, gaps, and the snapshot that readers work from.
//!
//! Owns: their statements outside the commit. Does not own: how segments come to be listed in operation (`commit`).

use async_trait::async_trait;
use common::{TopicName, TopicPartition};

use super::{SqlMetadataStore, history, input, rows};
use crate::database::{Session, Sql, sql, values};
use crate::error::{CatalogError, Result, is_unique_violation};
use crate::model::{CommitRecord, IncarnationStart, RecordedGap, SegmentInfo, TopicSnapshot};
use crate::store::SegmentStore;

/// The segment with the greatest base at or below the offset. Ranges do not overlap, so no other can hold it: one
/// step down the unique index, however many segments there are, and also when none holds it.
const FIND_SEGMENT: Sql = sql!(
    "SELECT " segment_columns " FROM segments
     WHERE topic = $1 AND partition_id = $2 AND kind = 'data' AND base_offset <= $3
       AND incarnation = (SELECT incarnation FROM partitions WHERE topic = $1 AND partition_id = $2)
     ORDER BY base_offset DESC LIMIT 1"
);

#[async_trait]
impl<D> SegmentStore for SqlMetadataStore<D> {
    async fn add_segment(&self, segment: SegmentInfo) -> Result<()> {
        self.door.write(|session| Box::pin(add_segment(session, &segment))).await
    }

    async fn get_segments(&self, partition: &TopicPartition) -> Result<Vec<SegmentInfo>> {
        let select = sql!(
            "SELECT " segment_columns " FROM segments WHERE topic = $1 AND partition_id = $2
             ORDER BY incarnation, base_offset, kind"
        );
        rows::all(self.door.fetch(&select, values![&partition.topic, partition.partition_id]).await?)
    }

    async fn find_segment_for_offset(&self, partition: &TopicPartition, offset: u64) -> Result<Option<SegmentInfo>> {
        let values = values![&partition.topic, partition.partition_id, input::offset(offset)?];
        let found: Option<SegmentInfo> = rows::only(self.door.fetch(&FIND_SEGMENT, values).await?)?;
        Ok(found.filter(|segment| offset <= segment.end_offset))
    }

    async fn delete_segments_before(&self, partition: &TopicPartition, offset: u64) -> Result<u64> {
        self.door.write(|session| Box::pin(delete_segments_before(session, partition, offset))).await
    }

    async fn snapshot(&self, topic: &TopicName) -> Result<TopicSnapshot> {
        self.door.read(|session| Box::pin(snapshot(session, topic))).await
    }

    async fn list_gaps(&self, partition: &TopicPartition) -> Result<Vec<RecordedGap>> {
        history::gaps(&self.door, partition).await
    }

    async fn list_commits(&self, partition: &TopicPartition) -> Result<Vec<CommitRecord>> {
        history::commits(&self.door, partition).await
    }

    async fn list_incarnations(&self, partition: &TopicPartition) -> Result<Vec<IncarnationStart>> {
        history::incarnations(&self.door, partition).await
    }
}

async fn add_segment(session: &mut dyn Session, segment: &SegmentInfo) -> Result<()> {
    check_range(segment)?;
    let partition = TopicPartition::new(segment.topic.clone(), segment.partition_id);
    if lock_incarnation(session, &partition).await?.is_none() {
        return Err(rows::partition_not_found(&partition));
    }
    let insert = sql!(
        "INSERT INTO segments (" segment_columns ")
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, " now_ms "
         WHERE NOT EXISTS (SELECT 1 FROM segments WHERE topic = $2 AND partition_id = $3
               AND incarnation = $4 AND kind = $5 AND base_offset <= $7 AND end_offset >= $6)"
    );
    let values = values![
        &segment.id,
        &segment.topic,
        segment.partition_id,
        segment.incarnation,
        segment.kind.as_str(),
        input::offset(segment.base_offset)?,
        input::offset(segment.end_offset)?,
        input::number("record_count", segment.record_count)?,
        input::number("size_bytes", segment.size_bytes)?,
        &segment.bucket,
        &segment.key,
        segment.min_timestamp_us,
        segment.max_timestamp_us,
        segment.checksum,
        segment.schema_version,
    ];
    let reason = match session.execute(&insert, values).await {
        Ok(1) => return Ok(()),
        Ok(_) => "a listed segment of the same kind overlaps its range",
        Err(error) if is_unique_violation(&error) => "its id or its key is listed already",
        Err(error) => return Err(error.into()),
    };
    Err(CatalogError::InvalidOffset { offset: segment.base_offset, reason: reason.to_owned() })
}

async fn delete_segments_before(session: &mut dyn Session, partition: &TopicPartition, offset: u64) -> Result<u64> {
    let Some(incarnation) = lock_incarnation(session, partition).await? else { return Ok(0) };
    let doom = sql!(
        "INSERT INTO uploads (bucket, key, topic, partition_id, state, created_at, doomed_at)
         SELECT bucket, key, topic, partition_id, 'doomed', created_at, " now_ms " FROM segments
         WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND end_offset < $4"
    );
    let delete =
        sql!("DELETE FROM segments WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND end_offset < $4");
    // An offset that cannot be stored lies above every segment.
    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
    let values = values![&partition.topic, partition.partition_id, incarnation, offset];
    let doomed = session.execute(&doom, values).await?;
    let deleted = session.execute(&delete, values).await?;
    assert!(doomed == deleted, "{doomed} objects of {partition} were doomed for {deleted} segments");
    Ok(deleted)
}

/// The partition's incarnation, if it exists; nobody else changes its row while the transaction is open.
async fn lock_incarnation(session: &mut dyn Session, partition: &TopicPartition) -> Result<Option<i64>> {
    let select = sql!("SELECT incarnation FROM partitions WHERE topic = $1 AND partition_id = $2" for_update);
    let found = session.fetch(&select, values![&partition.topic, partition.partition_id]).await?.pop();
    found.map(|mut row| row.integer("incarnation")).transpose()
}

async fn snapshot(session: &mut dyn Session, topic: &TopicName) -> Result<TopicSnapshot> {
    let select = sql!("SELECT " topic_columns " FROM topics WHERE name = $1");
    let Some(row) = session.fetch(&select, values![topic]).await?.pop() else {
        return Err(CatalogError::TopicNotFound(topic.to_string()));
    };
    let select = sql!("SELECT " partition_columns " FROM partitions WHERE topic = $1 ORDER BY partition_id");
    let partitions = session.fetch(&select, values![topic]).await?;
    let select = sql!(
        "SELECT " segment_columns " FROM segments WHERE topic = $1
         ORDER BY partition_id, incarnation, base_offset, kind"
    );
    let segments = session.fetch(&select, values![topic]).await?;
    Ok(TopicSnapshot { topic: row.try_into()?, partitions: rows::all(partitions)?, segments: rows::all(segments)? })
}

fn check_range(segment: &SegmentInfo) -> Result<()> {
    if segment.end_offset < segment.base_offset {
        let reason = format!("the range {}..={} is reversed", segment.base_offset, segment.end_offset);
        return Err(CatalogError::InvalidOffset { offset: segment.base_offset, reason });
    }
    for (name, text) in [("segment id", &segment.id), ("bucket", &segment.bucket), ("key", &segment.key)] {
        input::exact(name, text)?;
    }
    Ok(())
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
        // An empty table is always read whole otherwise.
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

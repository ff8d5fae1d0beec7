//! Segments, gaps, and the snapshot that readers work from.
//!
//! Owns: their statements outside the commit. Does not own: how segments come to be listed in operation (`commit`).

use async_trait::async_trait;
use common::{TopicName, TopicPartition};

use super::dialect::{postgres, sqlite};
use super::input;
use super::rows::{self, PartitionRow, SegmentRow, TopicRow, partition_columns, segment_columns, topic_columns};
use crate::error::{CatalogError, Result, is_unique_violation};
use crate::model::{CommitRecord, IncarnationStart, RecordedGap, SegmentInfo, Topic, TopicSnapshot};
use crate::store::SegmentStore;
use crate::{PostgresMetadataStore, SqliteMetadataStore};

/// The segment with the greatest base at or below the offset. Ranges do not overlap, so no other can hold it: one
/// step down the unique index, however many segments there are, and also when none holds it.
macro_rules! find_segment {
    () => {
        concat!(
            "SELECT ",
            segment_columns!(),
            " FROM segments
             WHERE topic = $1 AND partition_id = $2 AND kind = 'data' AND base_offset <= $3
               AND incarnation = (SELECT incarnation FROM partitions WHERE topic = $1 AND partition_id = $2)
             ORDER BY base_offset DESC LIMIT 1"
        )
    };
}

macro_rules! impl_segment_store {
    ($store:ty, $dialect:ident) => {
        #[async_trait]
        impl SegmentStore for $store {
            async fn add_segment(&self, segment: SegmentInfo) -> Result<()> {
                let partition = TopicPartition::new(segment.topic.clone(), segment.partition_id);
                check_range(&segment)?;
                let (base_offset, end_offset) =
                    (input::offset(segment.base_offset)?, input::offset(segment.end_offset)?);
                let record_count = input::number("record_count", segment.record_count)?;
                let size_bytes = input::number("size_bytes", segment.size_bytes)?;
                let mut transaction = self.begin_write().await?;
                let found = sqlx::query(concat!(
                    "SELECT partition_id FROM partitions WHERE topic = $1 AND partition_id = $2",
                    $dialect!(for_update)
                ))
                .bind(segment.topic.as_str())
                .bind(i64::from(segment.partition_id))
                .fetch_optional(&mut *transaction)
                .await?;
                if found.is_none() {
                    transaction.rollback().await?;
                    return Err(rows::partition_not_found(&partition));
                }
                let inserted = sqlx::query(concat!(
                    "INSERT INTO segments (",
                    segment_columns!(),
                    ")
                     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, ",
                    $dialect!(now_ms),
                    "
                     WHERE NOT EXISTS (SELECT 1 FROM segments WHERE topic = $2 AND partition_id = $3
                           AND incarnation = $4 AND kind = $5 AND base_offset <= $7 AND end_offset >= $6)"
                ))
                .bind(&segment.id)
                .bind(segment.topic.as_str())
                .bind(i64::from(segment.partition_id))
                .bind(i64::from(segment.incarnation.0))
                .bind(rows::kind_word(segment.kind))
                .bind(base_offset)
                .bind(end_offset)
                .bind(record_count)
                .bind(size_bytes)
                .bind(&segment.bucket)
                .bind(&segment.key)
                .bind(segment.min_timestamp_us)
                .bind(segment.max_timestamp_us)
                .bind(i64::from(segment.checksum))
                .bind(i64::from(segment.schema_version))
                .execute(&mut *transaction)
                .await;
                let reason = match inserted {
                    Ok(done) if done.rows_affected() == 1 => {
                        self.end(transaction).await?;
                        return Ok(());
                    }
                    Ok(_) => "a listed segment of the same kind overlaps its range",
                    Err(error) if is_unique_violation(&error) => "its id or its key is listed already",
                    Err(error) => return Err(error.into()),
                };
                transaction.rollback().await?;
                Err(CatalogError::InvalidOffset { offset: segment.base_offset, reason: reason.to_owned() })
            }

            async fn get_segments(&self, partition: &TopicPartition) -> Result<Vec<SegmentInfo>> {
                let rows = sqlx::query_as::<_, SegmentRow>(concat!(
                    "SELECT ",
                    segment_columns!(),
                    " FROM segments WHERE topic = $1 AND partition_id = $2
                     ORDER BY incarnation, base_offset, kind"
                ))
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .fetch_all(self.reader())
                .await?;
                rows::all(rows)
            }

            async fn find_segment_for_offset(
                &self,
                partition: &TopicPartition,
                offset: u64,
            ) -> Result<Option<SegmentInfo>> {
                let found = sqlx::query_as::<_, SegmentRow>(find_segment!())
                    .bind(partition.topic.as_str())
                    .bind(i64::from(partition.partition_id))
                    .bind(input::offset(offset)?)
                    .fetch_optional(self.reader())
                    .await?
                    .map(SegmentInfo::try_from)
                    .transpose()?;
                Ok(found.filter(|segment| offset <= segment.end_offset))
            }

            async fn delete_segments_before(&self, partition: &TopicPartition, offset: u64) -> Result<u64> {
                // An offset that cannot be stored lies above every segment.
                let offset = i64::try_from(offset).unwrap_or(i64::MAX);
                let mut transaction = self.begin_write().await?;
                let incarnation: Option<i64> = sqlx::query_scalar(concat!(
                    "SELECT incarnation FROM partitions WHERE topic = $1 AND partition_id = $2",
                    $dialect!(for_update)
                ))
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .fetch_optional(&mut *transaction)
                .await?;
                let Some(incarnation) = incarnation else {
                    transaction.rollback().await?;
                    return Ok(0);
                };
                sqlx::query(concat!(
                    "INSERT INTO uploads (bucket, key, topic, partition_id, state, created_at, doomed_at)
                     SELECT bucket, key, topic, partition_id, 'doomed', created_at, ",
                    $dialect!(now_ms),
                    " FROM segments
                     WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND end_offset < $4"
                ))
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .bind(incarnation)
                .bind(offset)
                .execute(&mut *transaction)
                .await?;
                let deleted = sqlx::query(
                    "DELETE FROM segments
                     WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND end_offset < $4",
                )
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .bind(incarnation)
                .bind(offset)
                .execute(&mut *transaction)
                .await?;
                self.end(transaction).await?;
                Ok(deleted.rows_affected())
            }

            async fn snapshot(&self, topic: &TopicName) -> Result<TopicSnapshot> {
                let mut transaction = self.begin_read().await?;
                let row =
                    sqlx::query_as::<_, TopicRow>(concat!("SELECT ", topic_columns!(), " FROM topics WHERE name = $1"))
                        .bind(topic.as_str())
                        .fetch_optional(&mut *transaction)
                        .await?;
                let Some(row) = row else {
                    transaction.rollback().await?;
                    return Err(CatalogError::TopicNotFound(topic.to_string()));
                };
                let partitions = sqlx::query_as::<_, PartitionRow>(concat!(
                    "SELECT ",
                    partition_columns!(),
                    " FROM partitions WHERE topic = $1 ORDER BY partition_id"
                ))
                .bind(topic.as_str())
                .fetch_all(&mut *transaction)
                .await?;
                let segments = sqlx::query_as::<_, SegmentRow>(concat!(
                    "SELECT ",
                    segment_columns!(),
                    " FROM segments WHERE topic = $1
                     ORDER BY partition_id, incarnation, base_offset, kind"
                ))
                .bind(topic.as_str())
                .fetch_all(&mut *transaction)
                .await?;
                transaction.rollback().await?;
                Ok(TopicSnapshot {
                    topic: Topic::try_from(row)?,
                    partitions: rows::all(partitions)?,
                    segments: rows::all(segments)?,
                })
            }

            async fn list_gaps(&self, partition: &TopicPartition) -> Result<Vec<RecordedGap>> {
                self.read_gaps(partition).await
            }

            async fn list_commits(&self, partition: &TopicPartition) -> Result<Vec<CommitRecord>> {
                self.read_commits(partition).await
            }

            async fn list_incarnations(&self, partition: &TopicPartition) -> Result<Vec<IncarnationStart>> {
                self.read_incarnations(partition).await
            }
        }
    };
}

impl_segment_store!(SqliteMetadataStore, sqlite);
impl_segment_store!(PostgresMetadataStore, postgres);

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
    use super::*;

    #[tokio::test]
    async fn sqlite_finds_the_segment_of_an_offset_by_index() {
        let store = SqliteMetadataStore::new_in_memory().await.expect("opens");
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(concat!("EXPLAIN QUERY PLAN ", find_segment!()))
            .bind("orders")
            .bind(0_i64)
            .bind(5_i64)
            .fetch_all(store.reader())
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
        let store = PostgresMetadataStore::connect(&url).await.expect("opens");
        let mut connection = store.reader().acquire().await.expect("connects");
        // An empty table is always read whole otherwise.
        sqlx::query("SET enable_seqscan = off").execute(&mut *connection).await.expect("set");
        let plan: Vec<String> = sqlx::query_scalar(concat!("EXPLAIN ", find_segment!()))
            .bind("orders")
            .bind(0_i64)
            .bind(5_i64)
            .fetch_all(&mut *connection)
            .await
            .expect("explained");
        let plan = plan.join("\n");
        println!("{plan}");
        assert!(plan.contains("Scan Backward using idx_segments_"), "{plan}");
        assert!(plan.contains("base_offset <= "), "{plan}");
        assert!(!plan.contains("Sort"), "{plan}");
    }
}

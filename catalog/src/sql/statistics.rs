//! Statistics of the columns of objects.
//!
//! Owns: the choice of stored statistics, and the statements on `segment_stats`. Does not own: computing them (`lake`).
//!
//! A reader of the tables scans the statistics once for each column that it filters by. So an object that the pipeline
//! wrote has one row, for its time; its partition and offsets are in `objects`, and have a row here only where the rows do not
//! reach to both ends of its range. A replacement's output has rows for all its columns, as such objects are few.

use super::input;
use super::objects::{Listed, insert_all};
use crate::database::{Insert, Row, Session, sql, values};
use crate::error::{CatalogError, Result};
use crate::model::{ColumnStatistics, FileId, SegmentKind, SnapshotId, TableId};

/// The field id of `_offset`.
const OFFSET_FIELD_ID: i32 = 2;
/// The field id of `_timestamp`.
const TIMESTAMP_FIELD_ID: i32 = 4;

const STATISTICS: Insert = Insert {
    table: "segment_stats",
    columns: "table_id, column_id, file_id, column_bytes, value_count, null_count, min_value, max_value",
    width: 8,
    has_time: false,
};

/// Stores the statistics of new objects on the list: for level 0 those of `_timestamp`, and those of `_offset` where the
/// object's bounds are not those of its rows.
pub(super) async fn insert(session: &mut dyn Session, listed: &[Listed<'_>]) -> Result<()> {
    let mut rows = Vec::with_capacity(listed.len() * STATISTICS.width);
    for Listed { file_id, table_id, level, object, bounds, .. } in listed {
        let is_stored = |column: &&ColumnStatistics| match column.field_id {
            TIMESTAMP_FIELD_ID => true,
            OFFSET_FIELD_ID if *level == 0 => !reaches(column, bounds.offsets),
            _ => *level > 0,
        };
        for column in object.statistics.iter().filter(is_stored) {
            rows.extend_from_slice(values![
                table_id.0.cast_signed(),
                i64::from(column.field_id),
                file_id.0.cast_signed(),
                column.compressed_bytes.cast_signed(),
                column.value_count.cast_signed(),
                column.null_count.cast_signed(),
                bound(column.min.as_deref()),
                bound(column.max.as_deref()),
            ]);
        }
    }
    insert_all(session, &STATISTICS, &rows).await
}

/// True when the column's values reach to both ends of the range.
fn reaches(column: &ColumnStatistics, (min, max): (i64, i64)) -> bool {
    let is = |text: &Option<String>, end: i64| text.as_deref().and_then(|text| text.parse().ok()) == Some(end);
    is(&column.min, min) && is(&column.max, max)
}

/// Leaves out a bound that cannot be stored.
fn bound(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.contains('\0'))
}

/// The stored statistics of these columns for the live objects of a table that were listed after a snapshot.
pub(super) async fn of_objects(
    session: &mut dyn Session,
    (topic, kind): (&str, SegmentKind),
    field_ids: &[i32],
    after: Option<SnapshotId>,
) -> Result<Vec<(FileId, ColumnStatistics)>> {
    let select = sql!(
        "SELECT s.file_id, s.column_id, s.column_bytes, s.value_count, s.null_count, s.min_value, s.max_value
         FROM topics AS t JOIN segment_stats AS s
                ON s.table_id = CASE $3 WHEN 'data' THEN t.table_id ELSE t.quarantine_table_id END
            JOIN objects AS o ON o.file_id = s.file_id
         WHERE t.name = $2 AND s.column_id IN " numbers_1 " AND o.begin_snapshot > $4
         ORDER BY s.column_id, s.file_id"
    );
    // No column of a Parquet file has a negative id.
    let ids = input::numbers(field_ids.iter().filter_map(|id| u64::try_from(*id).ok()))?;
    let found = session
        .fetch(&select, values![&ids, topic, kind.as_str(), after.map_or(-1, |snapshot| snapshot.0.cast_signed())])
        .await?;
    found.into_iter().map(column).collect()
}

/// The stored statistics of the current columns of a table for these objects.
pub(super) async fn of_files(
    session: &mut dyn Session,
    table: TableId,
    objects: impl Iterator<Item = FileId>,
) -> Result<Vec<(FileId, ColumnStatistics)>> {
    let select = sql!(
        "SELECT s.file_id, s.column_id, s.column_bytes, s.value_count, s.null_count, s.min_value, s.max_value
         FROM segment_stats AS s
         WHERE s.table_id = $2 AND s.file_id IN " numbers_1 "
            AND s.column_id IN (SELECT column_id FROM lake_columns WHERE table_id = $2 AND end_snapshot IS NULL)
         ORDER BY s.file_id, s.column_id"
    );
    let numbers: Vec<u64> = objects.map(|object| object.0).collect();
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let numbers = input::numbers(numbers)?;
    let found = session.fetch(&select, values![&numbers, table.0.cast_signed()]).await?;
    found.into_iter().map(column).collect()
}

fn column(mut row: Row) -> Result<(FileId, ColumnStatistics)> {
    let file_id = FileId(row.unsigned("file_id")?);
    let id = row.integer("column_id")?;
    let field_id = i32::try_from(id).map_err(|_| CatalogError::Inconsistent(format!("column_id is {id}")))?;
    let statistics = ColumnStatistics {
        field_id,
        compressed_bytes: row.unsigned("column_bytes")?,
        value_count: row.unsigned("value_count")?,
        null_count: row.unsigned("null_count")?,
        min: row.optional_text("min_value")?,
        max: row.optional_text("max_value")?,
    };
    Ok((file_id, statistics))
}

/// Deletes the statistics of an object. The columns of its table are found step by step in the index.
pub(super) async fn forget(session: &mut dyn Session, table: TableId, object: FileId) -> Result<()> {
    let delete = sql!(
        "WITH RECURSIVE columns (id) AS (
             SELECT min(column_id) FROM segment_stats WHERE table_id = $1
             UNION ALL
             SELECT (SELECT min(column_id) FROM segment_stats WHERE table_id = $1 AND column_id > columns.id)
             FROM columns WHERE columns.id IS NOT NULL
         )
         DELETE FROM segment_stats WHERE table_id = $1 AND file_id = $2
            AND column_id IN (SELECT id FROM columns WHERE id IS NOT NULL)"
    );
    session.execute(&delete, values![table.0.cast_signed(), object.0.cast_signed()]).await?;
    Ok(())
}

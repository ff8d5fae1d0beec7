//! Objects: adding them to the list, reading them, and removing them.
//!
//! Owns: the statements on `objects` and `retired_objects`. An object is retired in three steps around the change of
//! its segments, in one transaction and one snapshot: it is copied to `retired_objects`, doomed, and dropped from the
//! list.
//! Does not own: segments (`listing`, `segments`), the choice of objects (`expire`, `replace`, `topics`).

use std::sync::Arc;

use super::snapshots::Snapshot;
use super::statistics;
use crate::database::{Insert, Row, Session, Value, sql, values};
use crate::error::Result;
use crate::model::{FileId, NewObject, ObjectInfo, RetiredObject, SegmentKind, SnapshotId, TableId, Tables};

/// Rows of one INSERT: 20 columns each stay far below the 32,766 parameters that SQLite takes.
const ROWS_PER_INSERT: usize = 500;

const OBJECTS: Insert = Insert {
    table: "objects",
    columns: "file_id, table_id, bucket, key, begin_snapshot, level, layout, record_count, size_bytes, footer_bytes, \
              checksum, schema_version, min_partition, max_partition, min_offset, max_offset, min_timestamp_us, \
              max_timestamp_us, created_at",
    width: 18,
    has_time: true,
};

/// An object to be listed.
pub(super) struct Listed<'a> {
    pub(super) file_id: FileId,
    pub(super) table_id: TableId,
    pub(super) snapshot: SnapshotId,
    pub(super) level: u32,
    pub(super) object: &'a NewObject,
    pub(super) bounds: Bounds,
}

/// Limits that enclose the rows of an object, in the types of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) partitions: (u32, u32),
    pub(super) offsets: (i64, i64),
    pub(super) timestamps_us: (i64, i64),
}

impl Bounds {
    /// Limits that enclose both.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            partitions: enclosing(self.partitions, other.partitions),
            offsets: enclosing(self.offsets, other.offsets),
            timestamps_us: enclosing(self.timestamps_us, other.timestamps_us),
        }
    }
}

fn enclosing<T: Ord>(one: (T, T), other: (T, T)) -> (T, T) {
    (one.0.min(other.0), one.1.max(other.1))
}

/// Puts objects on the list, with their statistics.
pub(super) async fn insert(session: &mut dyn Session, listed: &[Listed<'_>]) -> Result<()> {
    let mut values = Vec::with_capacity(listed.len() * OBJECTS.width);
    for Listed { file_id, table_id, snapshot, level, object, bounds } in listed {
        values.extend_from_slice(values![
            file_id.0.cast_signed(),
            table_id.0.cast_signed(),
            &object.bucket,
            &object.key,
            snapshot.0.cast_signed(),
            *level,
            crate::model::LAYOUT_NOW,
            object.record_count.cast_signed(),
            object.size_bytes.cast_signed(),
            object.footer_bytes.cast_signed(),
            object.checksum,
            object.schema_version,
            bounds.partitions.0,
            bounds.partitions.1,
            bounds.offsets.0,
            bounds.offsets.1,
            bounds.timestamps_us.0,
            bounds.timestamps_us.1,
        ]);
    }
    insert_all(session, &OBJECTS, &values).await?;
    statistics::insert(session, listed).await
}

/// Inserts rows in as many statements as needed.
pub(super) async fn insert_all(session: &mut dyn Session, insert: &Insert, rows: &[Value<'_>]) -> Result<()> {
    for chunk in rows.chunks(ROWS_PER_INSERT * insert.width) {
        session.insert(insert, chunk).await?;
    }
    Ok(())
}

/// Live objects of two tables, by number.
pub(super) async fn live(session: &mut dyn Session, tables: Tables) -> Result<Vec<Arc<ObjectInfo>>> {
    live_after(session, tables, -1).await
}

/// Live objects of two tables with greater numbers than `last`, by number.
pub(super) async fn live_after(session: &mut dyn Session, tables: Tables, last: i64) -> Result<Vec<Arc<ObjectInfo>>> {
    let select = sql!(
        "SELECT objects.table_id, " object_columns " FROM objects
         WHERE (table_id = $1 OR table_id = $2) AND file_id > $3 ORDER BY file_id"
    );
    let [data, quarantine] = ids(tables);
    let found = session.fetch(&select, &[data, quarantine, last.into()]).await?;
    found.into_iter().map(|mut row| Ok(Arc::new(row.object_of(tables)?))).collect()
}

/// True when the object is listed, or was and is not yet deleted. After a failover to a server that lagged, its number may
/// be that of another.
pub(super) async fn was_listed(session: &mut dyn Session, object: &ObjectInfo) -> Result<bool> {
    let select = sql!(
        "SELECT key FROM objects WHERE file_id = $1 AND bucket = $2 AND key = $3
         UNION ALL
         SELECT key FROM retired_objects WHERE file_id = $1 AND bucket = $2 AND key = $3"
    );
    let found = session.fetch(&select, values![object.file_id.0.cast_signed(), &object.bucket, &object.key]).await?;
    Ok(!found.is_empty())
}

/// Retired objects of two tables that are not yet deleted, by number.
pub(super) async fn retired(session: &mut dyn Session, tables: Tables) -> Result<Vec<RetiredObject>> {
    let select = sql!(
        "SELECT objects.table_id, " object_columns ", objects.end_snapshot, objects.retired_at
         FROM retired_objects AS objects WHERE table_id = $1 OR table_id = $2 ORDER BY file_id"
    );
    let found = session.fetch(&select, &ids(tables)).await?;
    let retired = |mut row: Row| {
        Ok(RetiredObject {
            object: row.object_of(tables)?,
            end_snapshot: SnapshotId(row.unsigned("end_snapshot")?),
            retired_at: row.integer("retired_at")?,
        })
    };
    found.into_iter().map(retired).collect()
}

/// The number of the object that is, or was, listed under the key.
pub(super) async fn find(session: &mut dyn Session, bucket: &str, key: &str) -> Result<Option<FileId>> {
    let select = sql!(
        "SELECT file_id FROM objects WHERE bucket = $1 AND key = $2
         UNION ALL SELECT file_id FROM retired_objects WHERE bucket = $1 AND key = $2"
    );
    let found = session.fetch(&select, values![bucket, key]).await?.pop();
    found.map(|mut row| Ok(FileId(row.unsigned("file_id")?))).transpose()
}

/// Copies live objects to `retired_objects`, and returns their number: `ids` is a list for [`super::input::numbers`].
pub(super) async fn retire(session: &mut dyn Session, ids: &str, snapshot: Snapshot) -> Result<u64> {
    let insert = sql!(
        "INSERT INTO retired_objects (table_id, " object_names ", end_snapshot, retired_at)
         SELECT table_id, " object_names ", $2, " now_ms " FROM objects WHERE file_id IN " numbers_1
    );
    Ok(session.execute(&insert, values![ids, snapshot.id.0.cast_signed()]).await?)
}

/// Copies all live objects of two tables to `retired_objects`, and returns their number.
pub(super) async fn retire_all(session: &mut dyn Session, tables: Tables, snapshot: Snapshot) -> Result<u64> {
    let insert = sql!(
        "INSERT INTO retired_objects (table_id, " object_names ", end_snapshot, retired_at)
         SELECT table_id, " object_names ", $3, " now_ms " FROM objects WHERE table_id = $1 OR table_id = $2"
    );
    let [data, quarantine] = ids(tables);
    Ok(session.execute(&insert, &[data, quarantine, snapshot.id.0.cast_signed().into()]).await?)
}

/// Deletes the row of a retired object, whose bytes are deleted, and its statistics.
pub(super) async fn forget_retired(session: &mut dyn Session, bucket: &str, key: &str) -> Result<()> {
    let delete = sql!("DELETE FROM retired_objects WHERE bucket = $1 AND key = $2 RETURNING table_id, file_id");
    let Some(mut row) = session.fetch(&delete, values![bucket, key]).await?.pop() else { return Ok(()) };
    let (table, object) = (TableId(row.unsigned("table_id")?), FileId(row.unsigned("file_id")?));
    statistics::forget(session, table, object).await
}

/// Hands the objects that the snapshot retired to the janitor, and returns their number. Their segments are still
/// listed, so that the upload of an object with only one segment names it.
pub(super) async fn doom(session: &mut dyn Session, topic: &str, tables: Tables, snapshot: Snapshot) -> Result<u64> {
    let insert = sql!(
        "INSERT INTO uploads (bucket, key, topic, partition_id, segment_id, state, created_at, doomed_at)
         SELECT bucket, key, $4, CASE WHEN min_partition = max_partition THEN min_partition END,
                (SELECT min(id) FROM segments WHERE segments.file_id = retired_objects.file_id HAVING count(*) = 1),
                'doomed', created_at, " now_ms "
         FROM retired_objects WHERE (table_id = $1 OR table_id = $2) AND end_snapshot = $3"
    );
    let [data, quarantine] = ids(tables);
    Ok(session.execute(&insert, &[data, quarantine, snapshot.id.0.cast_signed().into(), topic.into()]).await?)
}

/// Drops the objects that the snapshot retired from the list, and returns their number. No segment points at them any
/// more.
pub(super) async fn drop_retired(session: &mut dyn Session, tables: Tables, snapshot: Snapshot) -> Result<u64> {
    let delete = sql!(
        "DELETE FROM objects WHERE file_id IN (
             SELECT file_id FROM retired_objects WHERE (table_id = $1 OR table_id = $2) AND end_snapshot = $3
         )"
    );
    let [data, quarantine] = ids(tables);
    Ok(session.execute(&delete, &[data, quarantine, snapshot.id.0.cast_signed().into()]).await?)
}

/// The numbers of two tables as values.
fn ids(tables: Tables) -> [Value<'static>; 2] {
    [tables.data, tables.quarantine].map(|table| Value::from(table.0.cast_signed()))
}

impl Row {
    /// The numbers of a topic's tables.
    pub(super) fn tables(&mut self) -> Result<Tables> {
        let data = TableId(self.unsigned("table_id")?);
        Ok(Tables { data, quarantine: TableId(self.unsigned("quarantine_table_id")?) })
    }

    /// `objects.table_id` and the columns of an object.
    fn object_of(&mut self, tables: Tables) -> Result<ObjectInfo> {
        let table: u64 = self.unsigned("table_id")?;
        let kind = if table == tables.data.0 { SegmentKind::Data } else { SegmentKind::Quarantine };
        self.object(kind)
    }

    /// The columns of an object.
    pub(super) fn object(&mut self, kind: SegmentKind) -> Result<ObjectInfo> {
        Ok(ObjectInfo {
            file_id: FileId(self.unsigned("file_id")?),
            kind,
            bucket: self.text("bucket")?,
            key: self.text("key")?,
            begin_snapshot: SnapshotId(self.unsigned("begin_snapshot")?),
            level: self.unsigned("level")?,
            layout: self.unsigned("layout")?,
            record_count: self.unsigned("record_count")?,
            size_bytes: self.unsigned("size_bytes")?,
            footer_bytes: self.optional_unsigned("footer_bytes")?,
            checksum: self.unsigned("checksum")?,
            schema_version: self.unsigned("schema_version")?,
            min_partition_id: self.unsigned("min_partition")?,
            max_partition_id: self.unsigned("max_partition")?,
            min_offset: self.unsigned("min_offset")?,
            max_offset: self.unsigned("max_offset")?,
            min_timestamp_us: self.integer("min_timestamp_us")?,
            max_timestamp_us: self.integer("max_timestamp_us")?,
            created_at: self.integer("created_at")?,
        })
    }
}

/// The lock on the row of a topic until the end of the transaction. Replacements, which move rows to other objects,
/// share it; retention and the deletion of the topic hold it alone. Commits need no lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopicLock {
    None,
    Shared,
    Exclusive,
}

/// The tables of a topic, if it exists.
pub(super) async fn tables_of(session: &mut dyn Session, topic: &str, lock: TopicLock) -> Result<Option<Tables>> {
    let select = match lock {
        TopicLock::None => sql!("SELECT table_id, quarantine_table_id FROM topics WHERE name = $1"),
        TopicLock::Shared => sql!("SELECT table_id, quarantine_table_id FROM topics WHERE name = $1" for_share),
        TopicLock::Exclusive => sql!("SELECT table_id, quarantine_table_id FROM topics WHERE name = $1" for_update),
    };
    session.fetch(&select, values![topic]).await?.pop().map(|mut row| row.tables()).transpose()
}

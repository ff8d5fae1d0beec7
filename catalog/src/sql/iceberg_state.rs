//! A table of Iceberg as it is now, with its last publication.
//!
//! Owns: the statements that read it, and the rows of these types. Does not own: publishing (`iceberg`).

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use common::TopicName;
use common::clock::utc_day;

use super::{rows, statistics};
use crate::database::{Row, Session, sql, values};
use crate::error::{CatalogError, Result};
use crate::model::{
    FileId, MetadataObject, PublishScope, PublishedFile, PublishedHead, PublishedTable, SegmentKind, SnapshotId,
    StateFile, TableId, TableState,
};

/// See [`IcebergStore::table_state`](crate::IcebergStore::table_state).
pub(super) async fn read(
    session: &mut dyn Session,
    topic: &TopicName,
    kind: SegmentKind,
    scope: PublishScope,
) -> Result<Option<TableState>> {
    let select = sql!(
        "SELECT CASE $2 WHEN 'data' THEN t.table_id ELSE t.quarantine_table_id END,
            CASE $2 WHEN 'data' THEN t.table_uuid ELSE t.quarantine_uuid END, t.schema_version, " now_ms ",
            h.snapshot_id, h.time_us, h.next_file_id
         FROM topics AS t CROSS JOIN lake_head AS h WHERE t.name = $1"
    );
    let found = session.fetch(&select, values![topic, kind.as_str()]).await?.pop();
    let Some(mut row) = found else { return Ok(None) };
    let table = TableId(row.unsigned("table_id")?);
    let id = table.0.cast_signed();
    let head = sql!("SELECT " iceberg_head_columns " FROM iceberg_heads WHERE table_id = $1");
    let columns = sql!(
        "SELECT " lake_column_names " FROM lake_columns WHERE table_id = $1 AND end_snapshot IS NULL ORDER BY column_id"
    );
    let roots = sql!("SELECT bucket, root FROM lake_roots ORDER BY bucket");
    let mut state = TableState {
        table,
        uuid: row.text("uuid")?,
        schema_version: row.unsigned("schema_version")?,
        now_ms: row.integer("now_ms")?,
        lake_snapshot: SnapshotId(row.unsigned("snapshot_id")?),
        snapshot_time_us: row.integer("time_us")?,
        next_file_id: row.unsigned("next_file_id")?,
        head: rows::only(session.fetch(&head, values![id]).await?)?,
        columns: rows::all(session.fetch(&columns, values![id]).await?)?,
        roots: Vec::new(),
        files: Vec::new(),
    };
    for mut row in session.fetch(&roots, values![]).await? {
        state.roots.push((row.text("bucket")?, row.text("root")?));
    }
    let files = Files { session, table, kind };
    state.files = match (&state.head, scope) {
        (Some(head), PublishScope::Changes) => files.changes(head).await?,
        _ => files.all().await?,
    };
    Ok(Some(state))
}

/// The objects of a table.
struct Files<'s, 'd> {
    session: &'s mut (dyn Session + 'd),
    table: TableId,
    kind: SegmentKind,
}

impl Files<'_, '_> {
    /// All live ones.
    async fn all(mut self) -> Result<Vec<StateFile>> {
        let select = sql!(
            "SELECT " object_columns ", p.snapshot_id, p.sequence_number
             FROM objects LEFT JOIN iceberg_published AS p ON p.file_id = objects.file_id
             WHERE objects.table_id = $1 ORDER BY objects.file_id"
        );
        let found = self.session.fetch(&select, values![self.table.0.cast_signed()]).await?;
        let live = found.into_iter().map(|row| file(row, self.kind, true)).collect::<Result<Vec<_>>>()?;
        self.with_statistics(live).await
    }

    /// Those that came and went since the last publication, and the others of the same days.
    async fn changes(mut self, head: &PublishedHead) -> Result<Vec<StateFile>> {
        let came = sql!(
            "SELECT " object_columns ", CAST(NULL AS BIGINT), CAST(NULL AS BIGINT)
             FROM objects WHERE objects.table_id = $1 AND objects.file_id >= $2"
        );
        let went = sql!(
            "SELECT " object_columns ", p.snapshot_id, p.sequence_number
             FROM retired_objects AS objects JOIN iceberg_published AS p ON p.file_id = objects.file_id
             WHERE objects.table_id = $1 AND p.removed_version IS NULL"
        );
        let (table, next) = (self.table.0.cast_signed(), head.next_file_id.cast_signed());
        let came = self.session.fetch(&came, values![table, next]).await?;
        let went = self.session.fetch(&went, values![table]).await?;
        let kind = self.kind;
        let mut live = came.into_iter().map(|row| file(row, kind, true)).collect::<Result<Vec<_>>>()?;
        let went = went.into_iter().map(|row| file(row, kind, false)).collect::<Result<Vec<_>>>()?;
        let day = |file: &StateFile| utc_day(file.object.min_timestamp_us);
        let days: BTreeSet<i64> = live.iter().chain(&went).map(day).collect();
        live.extend(self.published(&days, next).await?);
        let mut files = self.with_statistics(live).await?;
        files.extend(went);
        files.sort_by_key(|file| file.object.file_id);
        Ok(files)
    }

    /// The live and published objects whose first rows are of these days.
    async fn published(&mut self, days: &BTreeSet<i64>, next_file_id: i64) -> Result<Vec<StateFile>> {
        let select = sql!(
            "SELECT " object_columns ", p.snapshot_id, p.sequence_number
             FROM objects JOIN iceberg_published AS p ON p.file_id = objects.file_id
             WHERE objects.table_id = $2 AND objects.file_id < $3
                AND objects.min_timestamp_us / 86400000000
                    - CASE WHEN objects.min_timestamp_us % 86400000000 < 0 THEN 1 ELSE 0 END IN " numbers_1
        );
        if days.is_empty() {
            return Ok(Vec::new());
        }
        let days = serde_json::to_string(days).expect("numbers are JSON");
        let found = self.session.fetch(&select, values![&days, self.table.0.cast_signed(), next_file_id]).await?;
        found.into_iter().map(|row| file(row, self.kind, true)).collect()
    }

    /// Adds the stored statistics of objects above level 0: those of others are bounds of the object itself.
    async fn with_statistics(&mut self, mut live: Vec<StateFile>) -> Result<Vec<StateFile>> {
        let above = live.iter().filter(|file| file.object.level > 0).map(|file| file.object.file_id);
        let mut known: HashMap<FileId, Vec<_>> = HashMap::new();
        for (file_id, column) in statistics::of_files(self.session, self.table, above).await? {
            known.entry(file_id).or_default().push(column);
        }
        for file in &mut live {
            file.statistics = known.remove(&file.object.file_id).unwrap_or_default();
        }
        Ok(live)
    }
}

fn file(mut row: Row, kind: SegmentKind, is_live: bool) -> Result<StateFile> {
    let object = row.object(kind)?;
    let (id, number) = (row.optional_integer("snapshot_id")?, row.optional_integer("sequence_number")?);
    let published = id.zip(number).map(|(snapshot_id, sequence_number)| PublishedFile { snapshot_id, sequence_number });
    Ok(StateFile { object, statistics: Vec::new(), published, is_live })
}

impl TryFrom<Row> for PublishedHead {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        Ok(Self {
            version: row.unsigned("version")?,
            metadata_location: row.text("metadata_location")?,
            bucket: row.text("bucket")?,
            root: row.text("root")?,
            lake_snapshot: SnapshotId(row.unsigned("lake_snapshot")?),
            next_file_id: row.unsigned("next_file_id")?,
            schema_version: row.unsigned("schema_version")?,
            metadata: row.text("metadata")?,
            manifests: row.text("manifests")?,
            expires_at: row.optional_integer("expires_at")?,
        })
    }
}

impl TryFrom<Row> for PublishedTable {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        let (topic, kind) = (row.topic()?, row.word("kind")?);
        let metadata_location = row.optional_text("metadata_location")?;
        let lake_snapshot = row.optional_unsigned("lake_snapshot")?.map(SnapshotId);
        let now_ms = row.integer("now_ms")?;
        let since = |time: i64| Duration::from_millis(u64::try_from(now_ms - time).unwrap_or_default());
        let age = row.optional_integer("published_at")?.map(since);
        let has_expired = row.integer("has_expired")? != 0;
        let mut behind = None;
        for name in ["created", "columns", "root", "came", "went"] {
            behind = behind.max(row.optional_integer(name)?.map(since));
        }
        Ok(Self { topic, kind, metadata_location, lake_snapshot, behind, age, has_expired })
    }
}

impl TryFrom<Row> for MetadataObject {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        let (key, size_bytes) = (row.text("key")?, row.unsigned("size_bytes")?);
        Ok(Self { key, size_bytes, checksum: row.unsigned("checksum")? })
    }
}

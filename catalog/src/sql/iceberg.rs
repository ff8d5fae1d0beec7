//! Topics as tables of Iceberg: their list, their newest metadata, publications.
//!
//! Owns: the statements that change what is published, and the order of a publication. Does not own: reading a table for
//! one (`iceberg_state`), the choice of due objects (`janitor`), the metadata itself (crate `open_tables`).
//!
//! A publication locks the topic in the mode that replacements share, then the added objects by number: until it ends,
//! nobody takes them off the list, so the janitor cannot find one of them due and unpublished.

use async_trait::async_trait;
use common::TopicName;

use super::objects::{TopicLock, tables_of};
use super::{SqlMetadataStore, iceberg_state, input, intents, rows, snapshots};
use crate::database::{Session, sql, values};
use crate::error::{CatalogError, Result};
use crate::model::{
    MetadataObject, Publication, PublishOutcome, PublishScope, PublishedHead, PublishedTable, SegmentKind, TableId,
    TableState, Tables,
};
use crate::store::IcebergStore;

#[async_trait]
impl<D> IcebergStore for SqlMetadataStore<D> {
    async fn list_published(&self) -> Result<Vec<PublishedTable>> {
        let select = sql!(
            "SELECT t.topic, t.kind, h.metadata_location, h.lake_snapshot, " now_ms ", h.published_at,
                CAST(CASE WHEN h.expires_at < " now_ms " THEN 1 ELSE 0 END AS BIGINT),
                CASE WHEN h.table_id IS NULL THEN t.created_at END,
                CASE WHEN h.schema_version <> t.schema_version THEN t.updated_at END,
                CASE WHEN EXISTS (SELECT 1 FROM lake_roots AS l WHERE l.bucket = h.bucket AND l.root <> h.root)
                    THEN h.published_at END,
                (SELECT min(o.created_at) FROM objects AS o
                 WHERE o.table_id = t.table_id AND o.file_id >= h.next_file_id),
                (SELECT min(r.retired_at) FROM retired_objects AS r
                 WHERE r.table_id = t.table_id AND r.file_id < h.next_file_id AND r.end_snapshot > h.lake_snapshot)
             FROM (SELECT name AS topic, 'data' AS kind, table_id, schema_version, created_at, updated_at FROM topics
                   UNION ALL
                   SELECT name, 'quarantine', quarantine_table_id, CAST(NULL AS BIGINT), created_at, updated_at
                   FROM topics) AS t
                LEFT JOIN iceberg_heads AS h ON h.table_id = t.table_id
             ORDER BY t.topic, t.kind"
        );
        rows::all(self.door.fetch(&select, values![]).await?)
    }

    async fn find_published(&self, topic: &TopicName, kind: SegmentKind) -> Result<Option<PublishedHead>> {
        let select = sql!(
            "SELECT " iceberg_head_columns " FROM iceberg_heads WHERE table_id = (
                 SELECT CASE $2 WHEN 'data' THEN table_id ELSE quarantine_table_id END FROM topics WHERE name = $1)"
        );
        rows::only(self.door.fetch(&select, values![topic, kind.as_str()]).await?)
    }

    async fn table_state(
        &self,
        topic: &TopicName,
        kind: SegmentKind,
        scope: PublishScope,
    ) -> Result<Option<TableState>> {
        self.door.read(|session| Box::pin(iceberg_state::read(session, topic, kind, scope))).await
    }

    async fn metadata_objects(&self, topic: &TopicName, kind: SegmentKind) -> Result<Vec<MetadataObject>> {
        let select = sql!(
            "SELECT key, size_bytes, checksum FROM iceberg_objects
             WHERE removed_version IS NULL AND table_id = (
                 SELECT CASE $2 WHEN 'data' THEN table_id ELSE quarantine_table_id END FROM topics WHERE name = $1)
             ORDER BY key"
        );
        rows::all(self.door.fetch(&select, values![topic, kind.as_str()]).await?)
    }

    async fn publish(&self, publication: &Publication) -> Result<PublishOutcome> {
        check(publication)?;
        self.door.write(|session| Box::pin(publish(session, publication))).await
    }

    async fn unpublish(&self, topic: &TopicName) -> Result<u64> {
        self.door.write(|session| Box::pin(unpublish(session, topic))).await
    }
}

/// Checks that the publication can be stored.
fn check(publication: &Publication) -> Result<()> {
    let head = &publication.head;
    for (name, text) in [
        ("metadata location", &head.metadata_location),
        ("bucket", &head.bucket),
        ("root", &head.root),
        ("metadata", &head.metadata),
        ("manifests", &head.manifests),
    ] {
        input::exact(name, text)?;
    }
    for key in publication.objects.iter().map(|object| &object.key).chain(&publication.replaced) {
        input::exact("key", key)?;
    }
    for (name, value) in [
        ("version", head.version),
        ("oldest version", publication.oldest_version),
        ("lake snapshot", head.lake_snapshot.0),
        ("next file id", head.next_file_id),
    ] {
        input::number(name, value)?;
    }
    Ok(())
}

/// Nothing is changed before the last reason to refuse.
async fn publish(session: &mut dyn Session, publication: &Publication) -> Result<PublishOutcome> {
    let tables = tables_of(session, publication.topic.as_str(), TopicLock::Shared).await?;
    if tables.is_none_or(|tables| tables.of(publication.kind) != publication.table) {
        return Ok(PublishOutcome::TableGone);
    }
    if !snapshots::is_of_history(session, publication.head.lake_snapshot, publication.snapshot_time_us).await? {
        return Ok(PublishOutcome::StateLost);
    }
    if !are_live(session, publication).await? {
        return Ok(PublishOutcome::ObjectGone);
    }
    for intent in publication.intents() {
        if !intents::is_replacement_pending(session, &intent).await? {
            return Ok(PublishOutcome::IntentLost);
        }
    }
    if !replace_head(session, publication).await? {
        return Ok(PublishOutcome::Overtaken);
    }
    for intent in publication.intents() {
        assert!(intents::consume_replacement(session, &intent).await?, "the intent is locked by this transaction");
    }
    list_metadata(session, publication).await?;
    list_files(session, publication).await?;
    let dropped = Dropped { tables: [publication.table; 2], up_to: Some(publication.oldest_version) };
    dropped.hand_over(session, publication.topic.as_str()).await?;
    Ok(PublishOutcome::Published)
}

/// True if all objects that are to be added are live; they stay so until the end of the transaction.
async fn are_live(session: &mut dyn Session, publication: &Publication) -> Result<bool> {
    let lock = sql!(
        "SELECT file_id FROM objects WHERE file_id IN " numbers_1 " AND table_id = $2 ORDER BY file_id" for_share
    );
    let added = input::numbers(publication.added.iter().map(|file_id| file_id.0))?;
    let found = session.fetch(&lock, values![&added, publication.table.0.cast_signed()]).await?;
    Ok(found.len() == publication.added.len())
}

/// True if the new version follows the newest one, in whose place it is now.
async fn replace_head(session: &mut dyn Session, publication: &Publication) -> Result<bool> {
    let insert = sql!(
        "INSERT INTO iceberg_heads (table_id, " iceberg_head_columns ", previous_metadata_location, published_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, " now_ms ") ON CONFLICT (table_id) DO NOTHING"
    );
    let update = sql!(
        "UPDATE iceberg_heads SET version = $2, metadata_location = $3, bucket = $4, root = $5, lake_snapshot = $6,
                next_file_id = $7, schema_version = $8, metadata = $9, manifests = $10, expires_at = $11,
                previous_metadata_location = $12, published_at = " now_ms "
         WHERE table_id = $1 AND metadata_location = $12"
    );
    let head = &publication.head;
    let values = values![
        publication.table.0.cast_signed(),
        head.version.cast_signed(),
        &head.metadata_location,
        &head.bucket,
        &head.root,
        head.lake_snapshot.0.cast_signed(),
        head.next_file_id.cast_signed(),
        head.schema_version,
        &head.metadata,
        &head.manifests,
        head.expires_at,
        publication.follows.as_deref(),
    ];
    let statement = if publication.follows.is_some() { update } else { insert };
    Ok(session.execute(&statement, values).await? == 1)
}

/// Lists the new objects of metadata, and marks those that are replaced.
async fn list_metadata(session: &mut dyn Session, publication: &Publication) -> Result<()> {
    let insert = sql!(
        "INSERT INTO iceberg_objects (bucket, key, table_id, size_bytes, checksum, version, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, " now_ms ")"
    );
    let replace = sql!(
        "UPDATE iceberg_objects SET removed_version = $3
         WHERE table_id = $2 AND removed_version IS NULL AND key IN " texts_1
    );
    let replace_all = sql!(
        "UPDATE iceberg_objects SET removed_version = $2
         WHERE table_id = $1 AND removed_version IS NULL AND version < $2"
    );
    let (table, version) = (publication.table.0.cast_signed(), publication.head.version.cast_signed());
    for object in &publication.objects {
        let size_bytes = input::number("size_bytes", object.size_bytes)?;
        let values = values![&publication.head.bucket, &object.key, table, size_bytes, object.checksum, version];
        session.execute(&insert, values).await?;
    }
    if publication.is_rebuilt {
        session.execute(&replace_all, values![table, version]).await?;
    } else {
        let keys = serde_json::to_string(&publication.replaced).expect("keys are text");
        session.execute(&replace, values![&keys, table, version]).await?;
    }
    Ok(())
}

/// Notes the objects that the new snapshot of Iceberg has, and those that it has no more.
async fn list_files(session: &mut dyn Session, publication: &Publication) -> Result<()> {
    let forget = sql!("DELETE FROM iceberg_published WHERE table_id = $1");
    let insert = sql!(
        "INSERT INTO iceberg_published (file_id, table_id, snapshot_id, sequence_number)
         SELECT file_id, table_id, $2, $3 FROM objects WHERE file_id IN " numbers_1
    );
    let remove = sql!(
        "UPDATE iceberg_published SET removed_version = $2
         WHERE removed_version IS NULL AND table_id = $3 AND file_id IN " numbers_1
    );
    let (table, version) = (publication.table.0.cast_signed(), publication.head.version.cast_signed());
    if publication.is_rebuilt {
        session.execute(&forget, values![table]).await?;
    }
    if let Some(snapshot) = publication.snapshot {
        let added = input::numbers(publication.added.iter().map(|file_id| file_id.0))?;
        let inserted =
            session.execute(&insert, values![&added, snapshot.snapshot_id, snapshot.sequence_number]).await?;
        assert!(inserted == publication.added.len() as u64, "{inserted} objects of table {table} were published");
    }
    let removed = input::numbers(publication.removed.iter().map(|file_id| file_id.0))?;
    session.execute(&remove, values![&removed, version, table]).await?;
    Ok(())
}

async fn unpublish(session: &mut dyn Session, topic: &TopicName) -> Result<u64> {
    let tables = tables_of(session, topic.as_str(), TopicLock::Exclusive).await?;
    let tables = tables.ok_or_else(|| CatalogError::TopicNotFound(topic.to_string()))?;
    drop_tables(session, topic.as_str(), tables).await
}

/// Takes both tables of a topic, which is locked alone, from the readers; returns the number of those that were
/// published.
pub(super) async fn drop_tables(session: &mut dyn Session, topic: &str, tables: Tables) -> Result<u64> {
    let tables = [tables.data, tables.quarantine];
    Dropped { tables, up_to: None }.hand_over(session, topic).await?;
    let delete = sql!("DELETE FROM iceberg_heads WHERE table_id = $1 OR table_id = $2");
    let [data, quarantine] = tables.map(|table| table.0.cast_signed());
    Ok(session.execute(&delete, values![data, quarantine]).await?)
}

/// What the kept snapshots of tables need no more.
struct Dropped {
    tables: [TableId; 2],
    /// Only what went with this version or an earlier one.
    up_to: Option<u64>,
}

impl Dropped {
    /// Hands objects of metadata to the janitor, and keeps objects of rows no longer: they are with the janitor already.
    async fn hand_over(&self, session: &mut dyn Session, topic: &str) -> Result<()> {
        let doom = sql!(
            "INSERT INTO uploads (bucket, key, topic, partition_id, state, created_at, doomed_at)
             SELECT bucket, key, $4, CAST(NULL AS BIGINT), 'doomed', created_at, " now_ms " FROM iceberg_objects
             WHERE (table_id = $1 OR table_id = $2) AND ($3 IS NULL OR removed_version <= $3)"
        );
        let forget_metadata = sql!(
            "DELETE FROM iceberg_objects
             WHERE (table_id = $1 OR table_id = $2) AND ($3 IS NULL OR removed_version <= $3)"
        );
        let forget_files = sql!(
            "DELETE FROM iceberg_published
             WHERE (table_id = $1 OR table_id = $2) AND ($3 IS NULL OR removed_version <= $3)"
        );
        let [data, quarantine] = self.tables.map(|table| table.0.cast_signed());
        let up_to = self.up_to.map(u64::cast_signed);
        let doomed = session.execute(&doom, values![data, quarantine, up_to, topic]).await?;
        let forgotten = session.execute(&forget_metadata, values![data, quarantine, up_to]).await?;
        assert!(doomed == forgotten, "{doomed} of {forgotten} objects of metadata were handed over");
        session.execute(&forget_files, values![data, quarantine, up_to]).await?;
        Ok(())
    }
}

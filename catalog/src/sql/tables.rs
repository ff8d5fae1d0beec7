//! Topics as tables for readers of DuckLake.
//!
//! Owns: the history of columns, the addresses of stores, reading through the views. Does not own: the columns that a topic
//! has (`model`), the views (`migrations`), snapshots.

use std::collections::BTreeMap;

use async_trait::async_trait;
use common::TopicName;
use common::topic::TopicOptions;

use super::snapshots::Snapshot;
use super::{SqlMetadataStore, rows};
use crate::database::{Door, Row, Session, sql, values};
use crate::error::{CatalogError, Result};
use crate::model::{
    ObjectsPlace, OpenTables, SnapshotId, TableColumn, TableFile, TableId, Tables, quarantine_columns, table_columns,
};
use crate::store::TableStore;

#[async_trait]
impl<D> TableStore for SqlMetadataStore<D> {
    async fn record_root(&self, bucket: &str, root: &str) -> Result<()> {
        self.door.write(|session| Box::pin(record_root(session, bucket, root))).await
    }

    async fn objects_place(&self, bucket: &str) -> Result<ObjectsPlace> {
        self.door.read(|session| Box::pin(objects_place(session, bucket))).await
    }

    async fn open_tables(&self, topic: Option<&TopicName>) -> Result<OpenTables> {
        self.door.read(|session| Box::pin(open_tables(session, topic))).await
    }
}

/// Gives topics their columns that were created before columns were recorded.
pub(crate) async fn complete(door: &Door) -> Result<()> {
    let count = sql!(
        "SELECT count(*) FROM topics
         WHERE NOT EXISTS (SELECT 1 FROM lake_columns WHERE lake_columns.table_id = topics.table_id)"
    );
    let select = sql!(
        "SELECT config, table_id, quarantine_table_id, begin_snapshot FROM topics
         WHERE NOT EXISTS (SELECT 1 FROM lake_columns WHERE lake_columns.table_id = topics.table_id)" for_update
    );
    let counted = door.fetch(&count, values![]).await?.pop();
    if counted.map(|mut row| row.integer("count")).transpose()? == Some(0) {
        return Ok(());
    }
    door.write(|session| {
        Box::pin(async move {
            for mut row in session.fetch(&select, values![]).await? {
                let options: TopicOptions = serde_json::from_str(&row.text("config")?)
                    .map_err(|error| CatalogError::Inconsistent(format!("config of a topic: {error}")))?;
                let data = TableId(row.unsigned("table_id")?);
                let quarantine = TableId(row.unsigned("quarantine_table_id")?);
                let begin = SnapshotId(row.unsigned("begin_snapshot")?);
                create(session, Tables { data, quarantine }, &options, begin).await?;
            }
            Ok(())
        })
    })
    .await
}

/// Records the columns of a topic that begins with a snapshot.
pub(super) async fn create(
    session: &mut dyn Session,
    tables: Tables,
    options: &TopicOptions,
    begin: SnapshotId,
) -> Result<()> {
    insert(session, tables.data, &table_columns(options), begin).await?;
    insert(session, tables.quarantine, &quarantine_columns(), begin).await
}

/// Ends the columns that the topic has no more, and begins those that it has from now on.
pub(super) async fn alter(
    session: &mut dyn Session,
    table: TableId,
    options: &TopicOptions,
    snapshot: Snapshot,
) -> Result<()> {
    let end = sql!(
        "UPDATE lake_columns SET end_snapshot = $3 WHERE table_id = $1 AND column_id = $2 AND end_snapshot IS NULL"
    );
    let current = sql!("SELECT " lake_column_names " FROM lake_columns WHERE table_id = $1 AND end_snapshot IS NULL");
    let current: Vec<TableColumn> = rows::all(session.fetch(&current, values![table.0.cast_signed()]).await?)?;
    let mut wanted: BTreeMap<i32, TableColumn> =
        table_columns(options).into_iter().map(|column| (column.id, column)).collect();
    for column in current {
        if wanted.get(&column.id) == Some(&column) {
            wanted.remove(&column.id);
            continue;
        }
        let values = values![table.0.cast_signed(), i64::from(column.id), snapshot.id.0.cast_signed()];
        let ended = session.execute(&end, values).await?;
        assert!(ended == 1, "{ended} columns {} of table {table} ended", column.id);
    }
    insert(session, table, &wanted.into_values().collect::<Vec<_>>(), snapshot.id).await
}

/// Forgets the columns of a deleted topic.
pub(super) async fn drop_columns(session: &mut dyn Session, tables: Tables) -> Result<()> {
    let delete = sql!("DELETE FROM lake_columns WHERE table_id = $1 OR table_id = $2");
    session.execute(&delete, values![tables.data.0.cast_signed(), tables.quarantine.0.cast_signed()]).await?;
    Ok(())
}

async fn insert(session: &mut dyn Session, table: TableId, columns: &[TableColumn], begin: SnapshotId) -> Result<()> {
    let insert = sql!(
        "INSERT INTO lake_columns (table_id, begin_snapshot, column_id, column_order, name, type, nullable,
                parent_column)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    );
    for column in columns {
        let values = values![
            table.0.cast_signed(),
            begin.0.cast_signed(),
            i64::from(column.id),
            column.order,
            &column.name,
            &column.type_name,
            i64::from(column.is_nullable),
            column.parent.map(i64::from),
        ];
        session.execute(&insert, values).await?;
    }
    Ok(())
}

async fn record_root(session: &mut dyn Session, bucket: &str, root: &str) -> Result<()> {
    let insert = sql!(
        "INSERT INTO lake_roots (bucket, root) VALUES ($1, $2) ON CONFLICT (bucket) DO UPDATE SET root = excluded.root
         WHERE lake_roots.root <> excluded.root"
    );
    session.execute(&insert, values![bucket, root]).await?;
    Ok(())
}

async fn objects_place(session: &mut dyn Session, bucket: &str) -> Result<ObjectsPlace> {
    // The least and the greatest bucket are each one step down an index.
    let select = sql!(
        "SELECT (SELECT min(bucket) FROM objects) AS least, (SELECT max(bucket) FROM objects) AS greatest,
            (SELECT min(key) FROM objects WHERE bucket = $1) AS object"
    );
    let Some(mut row) = session.fetch(&select, values![bucket]).await?.pop() else {
        return Ok(ObjectsPlace::default());
    };
    let ends = [row.optional_text("least")?, row.optional_text("greatest")?];
    let other_bucket = ends.into_iter().flatten().find(|end| end != bucket);
    let mut place = ObjectsPlace { object: row.optional_text("object")?, ..ObjectsPlace::default() };
    for mut row in session.fetch(&sql!("SELECT bucket, root FROM lake_roots"), values![]).await? {
        let (of, root) = (row.text("bucket")?, row.text("root")?);
        if of == bucket {
            place.root = Some(root);
        } else if Some(&of) == other_bucket.as_ref() {
            place.other_root = Some(root);
        }
    }
    Ok(ObjectsPlace { other_bucket, ..place })
}

async fn open_tables(session: &mut dyn Session, topic: Option<&TopicName>) -> Result<OpenTables> {
    let topic = topic.map(TopicName::as_str);
    session.fetch(&sql!("SELECT " entering_views), values![]).await?;
    let views = session.fetch(&sql!("SELECT " schema_of_views), values![]).await?.pop();
    let (schema, is_readable) = match views {
        Some(mut row) => (row.optional_text("schema")?, true),
        None => (None, false),
    };
    let topics =
        sql!("SELECT name, table_id, quarantine_table_id FROM topics WHERE $1 IS NULL OR name = $1 ORDER BY name");
    let topics = session.fetch(&topics, values![topic]).await?;
    let roots = session.fetch(&sql!("SELECT bucket, root FROM lake_roots ORDER BY bucket"), values![]).await?;
    let columns = sql!(
        "SELECT table_id, " lake_column_names " FROM lake_columns
         WHERE end_snapshot IS NULL AND ($1 IS NULL OR table_id IN (
             SELECT table_id FROM topics WHERE name = $1 UNION ALL SELECT quarantine_table_id FROM topics WHERE name = $1))
         ORDER BY table_id, column_id"
    );
    let columns = session.fetch(&columns, values![topic]).await?;
    let files = sql!(
        "SELECT table_id, path, record_count FROM ducklake_data_file
         WHERE end_snapshot IS NULL AND ($1 IS NULL OR table_id IN (
             SELECT table_id FROM topics WHERE name = $1 UNION ALL SELECT quarantine_table_id FROM topics WHERE name = $1))
         ORDER BY table_id, path"
    );
    let files = match is_readable {
        true => Some(rows::all(session.fetch(&files, values![topic]).await?)?),
        false => None,
    };
    Ok(OpenTables {
        schema,
        roots: roots.into_iter().map(|mut row| Ok((row.text("bucket")?, row.text("root")?))).collect::<Result<_>>()?,
        topics: topics.into_iter().map(tables_of_topic).collect::<Result<_>>()?,
        columns: columns.into_iter().map(column_of_table).collect::<Result<_>>()?,
        files,
    })
}

fn tables_of_topic(mut row: Row) -> Result<(TopicName, Tables)> {
    let name = row.topic()?;
    let (data, quarantine) = (row.unsigned("table_id")?, row.unsigned("quarantine_table_id")?);
    Ok((name, Tables { data: TableId(data), quarantine: TableId(quarantine) }))
}

fn column_of_table(mut row: Row) -> Result<(TableId, TableColumn)> {
    Ok((TableId(row.unsigned("table_id")?), TableColumn::try_from(row)?))
}

impl TryFrom<Row> for TableFile {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        Ok(Self {
            table_id: TableId(row.unsigned("table_id")?),
            path: row.text("path")?,
            record_count: row.unsigned("record_count")?,
        })
    }
}

impl TryFrom<Row> for TableColumn {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        Ok(Self {
            id: row.unsigned("column_id")?,
            order: row.integer("column_order")?,
            name: row.text("name")?,
            type_name: row.text("type")?,
            is_nullable: row.integer("nullable")? != 0,
            parent: row.optional_unsigned("parent_column")?,
        })
    }
}

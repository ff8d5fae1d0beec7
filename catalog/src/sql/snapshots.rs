//! Snapshots of the lists of tables and objects.
//!
//! Owns: their rising numbers and times, and the texts of their changes. The row of `lake_head` is the last one that a
//! transaction locks, so that snapshots become visible in the order of their numbers.
//! Does not own: the lists (`objects`, `topics`), thinning snapshots out (`fold`).

use std::collections::BTreeSet;

use chrono::DateTime;

use super::rows;
use crate::database::{Row, Session, sql, values};
use crate::error::{CatalogError, Result};
use crate::model::{LakeSnapshot, SnapshotId, TableId, Tables};

/// The change of a snapshot, with the numbers that it takes.
#[derive(Clone, Debug, Default)]
pub(super) struct Change {
    words: Vec<String>,
    is_of_schema: bool,
    tables: u64,
    objects: u64,
}

/// A snapshot in the open transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Snapshot {
    /// Its number.
    pub(super) id: SnapshotId,
    /// The first of the numbers for the tables that it creates.
    pub(super) first_catalog_id: u64,
    /// The first of the numbers for the objects that it lists.
    pub(super) first_file_id: u64,
}

impl Change {
    /// Objects are listed in these tables.
    pub(super) fn insert(tables: &BTreeSet<TableId>, objects: u64) -> Self {
        Self { objects, ..Self::of("inserted_into_table", tables) }
    }

    /// Objects of these tables leave the list.
    pub(super) fn delete(tables: &BTreeSet<TableId>) -> Self {
        Self::of("deleted_from_table", tables)
    }

    /// An object takes the place of others.
    pub(super) fn compact(table: TableId) -> Self {
        Self { objects: 1, ..Self::of("compacted_table", [&table]) }
    }

    /// A topic is created with its two tables.
    pub(super) fn create(topic: &str) -> Self {
        let name = topic.replace('"', "\"\"");
        let words = ["main", "quarantine"].map(|schema| format!("created_table:\"{schema}\".\"{name}\""));
        Self { words: words.to_vec(), is_of_schema: true, tables: 2, objects: 0 }
    }

    /// The columns of a topic change.
    pub(super) fn alter(tables: Tables) -> Self {
        Self { is_of_schema: true, ..Self::of("altered_table", [&tables.data, &tables.quarantine]) }
    }

    /// A topic is deleted.
    pub(super) fn drop(tables: Tables) -> Self {
        Self { is_of_schema: true, ..Self::of("dropped_table", [&tables.data, &tables.quarantine]) }
    }

    fn of<'t>(word: &str, tables: impl IntoIterator<Item = &'t TableId>) -> Self {
        let words = tables.into_iter().map(|table| format!("{word}:{table}")).collect();
        Self { words, ..Self::default() }
    }
}

/// Makes the next snapshot. No lock is taken after this one.
///
/// At least one object number is taken: readers cache tables by the next number.
pub(super) async fn advance(session: &mut dyn Session, change: Change) -> Result<Snapshot> {
    let update = sql!(
        "UPDATE lake_head SET snapshot_id = snapshot_id + 1,
                time_us = CASE WHEN time_us < " now_us " THEN " now_us " ELSE time_us + 1 END,
                schema_version = schema_version + $1, next_catalog_id = next_catalog_id + $2,
                next_file_id = next_file_id + $3
         RETURNING snapshot_id, time_us, schema_version, next_catalog_id, next_file_id"
    );
    let insert = sql!(
        "INSERT INTO lake_snapshots (snapshot_id, snapshot_time, time_us, schema_version, next_catalog_id, next_file_id,
                changes)
         VALUES ($1, $2, $3, $4, $5, $6, $7)"
    );
    let objects = change.objects.max(1);
    let changes = change.words.join(",");
    let numbers = values![i64::from(change.is_of_schema), change.tables.cast_signed(), objects.cast_signed()];
    let updated = session.fetch(&update, numbers).await?.pop();
    let head = head(&mut updated.ok_or_else(no_head)?)?;
    let values = values![
        head.snapshot_id.0.cast_signed(),
        time_text(head.time_us),
        head.time_us,
        head.schema_version.cast_signed(),
        head.next_catalog_id.cast_signed(),
        head.next_file_id.cast_signed(),
        &changes,
    ];
    session.execute(&insert, values).await?;
    Ok(Snapshot {
        id: head.snapshot_id,
        first_catalog_id: head.next_catalog_id - change.tables,
        first_file_id: head.next_file_id - objects,
    })
}

/// The snapshots that still exist, by number.
pub(super) async fn list(session: &mut dyn Session) -> Result<Vec<LakeSnapshot>> {
    let select = sql!(
        "SELECT snapshot_id, time_us, schema_version, next_catalog_id, next_file_id, changes FROM lake_snapshots
         ORDER BY snapshot_id"
    );
    rows::all(session.fetch(&select, values![]).await?)
}

/// The number of the newest snapshot, and its time in microseconds.
pub(super) async fn newest(session: &mut dyn Session) -> Result<(SnapshotId, i64)> {
    let found = session.fetch(&sql!("SELECT snapshot_id, time_us FROM lake_head"), values![]).await?.pop();
    let mut row = found.ok_or_else(no_head)?;
    Ok((SnapshotId(row.unsigned("snapshot_id")?), row.integer("time_us")?))
}

/// True if the snapshot of this number and time was made by this catalog. A server that lagged when it took over gives the
/// same number to another one. Numbers and times rise together, so the kept snapshots around one that was thinned out tell.
pub(super) async fn is_of_history(session: &mut dyn Session, snapshot_id: SnapshotId, time_us: i64) -> Result<bool> {
    let up_to = sql!("SELECT time_us FROM lake_snapshots WHERE snapshot_id <= $1 ORDER BY snapshot_id DESC LIMIT 1");
    let from = sql!("SELECT time_us FROM lake_snapshots WHERE snapshot_id >= $1 ORDER BY snapshot_id LIMIT 1");
    let mut times = Vec::with_capacity(2);
    for select in [up_to, from] {
        let row = session.fetch(&select, values![snapshot_id.0.cast_signed()]).await?.pop();
        times.push(row.map(|mut row| row.integer("time_us")).transpose()?);
    }
    Ok(times[0].is_none_or(|before| before <= time_us) && times[1].is_some_and(|after| after >= time_us))
}

fn no_head() -> CatalogError {
    CatalogError::Inconsistent("lake_head has no row".to_owned())
}

impl TryFrom<Row> for LakeSnapshot {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        let head = head(&mut row)?;
        Ok(Self { changes: row.text("changes")?, ..head })
    }
}

/// The five numbers of a snapshot.
fn head(row: &mut Row) -> Result<LakeSnapshot> {
    Ok(LakeSnapshot {
        snapshot_id: SnapshotId(row.unsigned("snapshot_id")?),
        time_us: row.integer("time_us")?,
        schema_version: row.unsigned("schema_version")?,
        next_catalog_id: row.unsigned("next_catalog_id")?,
        next_file_id: row.unsigned("next_file_id")?,
        changes: String::new(),
    })
}

/// A time as readers of snapshots parse it: `2026-11-20 00:01:39.000099+00`.
fn time_text(time_us: i64) -> String {
    let time = DateTime::from_timestamp_micros(time_us).unwrap_or_default();
    time.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_in_the_words_of_readers() {
        let tables = BTreeSet::from([TableId(2), TableId(5)]);
        assert_eq!(Change::insert(&tables, 3).words.join(","), "inserted_into_table:2,inserted_into_table:5");
        let created = Change::create("a\"b").words.join(",");
        assert_eq!(created, r#"created_table:"main"."a""b",created_table:"quarantine"."a""b""#);
        assert_eq!(Change::compact(TableId(7)).words, ["compacted_table:7"]);
    }

    #[test]
    fn a_time_has_all_six_digits_of_its_fraction() {
        assert_eq!(time_text(1_763_596_899_000_099), "2025-11-20 00:01:39.000099+00");
        assert_eq!(time_text(0), "1970-01-01 00:00:00.000000+00");
    }
}

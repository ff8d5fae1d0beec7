//! Retention by age: the oldest objects of a topic leave the list.
//!
//! Owns: the age, by the database's clock alone, and the locks. Does not own: the rule (`retention_plan`), taking objects
//! off the list (`expire`).
//!
//! No time is a parameter: a process whose clock is ahead can take nothing off the list early.

use std::collections::{BTreeMap, BTreeSet};

use common::{Incarnation, OffsetRange, TopicName};

use super::expire::{Leaving, take_off};
use super::input;
use super::objects::TopicLock;
use super::retention_plan::{OldObject, OldPart, OldSegment};
use crate::database::{Door, Row, Session, Value, sql, values};
use crate::error::Result;
use crate::model::{Expired, ExpiredPart, FileId, SegmentKind, Tables};

/// Objects that one transaction takes, unless one day has more.
const OBJECTS_AT_ONCE: usize = 10_000;

/// See [`SegmentStore::expire_by_age`](crate::SegmentStore::expire_by_age).
pub(super) async fn expire(door: &Door, topic: &TopicName) -> Result<Expired> {
    // Most often nothing is due: a reading transaction finds that out without waiting among the writers.
    let due = due(door, topic).await?;
    if due.objects == 0 {
        return Ok(due);
    }
    door.write(|session| Box::pin(take_oldest(session, topic))).await
}

/// See [`SegmentStore::due_by_age`](crate::SegmentStore::due_by_age).
pub(super) async fn due(door: &Door, topic: &TopicName) -> Result<Expired> {
    door.read(|session| Box::pin(look(session, topic))).await
}

async fn look(session: &mut dyn Session, topic: &TopicName) -> Result<Expired> {
    let Some(limit) = Limit::read(session, topic, TopicLock::None).await? else { return Ok(Expired::default()) };
    let objects = limit.old_objects(session).await?;
    let part = old_part(session, topic, objects).await?;
    let leaving = part.leaving(limit.before_us);
    Ok(part.expired(limit.before_us, &leaving))
}

async fn take_oldest(session: &mut dyn Session, topic: &TopicName) -> Result<Expired> {
    let lock_partitions = sql!(
        "SELECT partition_id FROM partitions WHERE topic = $2 AND partition_id IN (
             SELECT partition_id FROM segments WHERE file_id IN " numbers_1 "
         ) ORDER BY partition_id" for_update
    );
    // The topic's lock keeps others from moving the rows of these segments, those of the partitions keep folding and imports
    // away.
    let Some(limit) = Limit::read(session, topic, TopicLock::Exclusive).await? else { return Ok(Expired::default()) };
    let objects = limit.old_objects(session).await?;
    session.fetch(&lock_partitions, values![&files_of(objects.keys())?, topic]).await?;
    let part = old_part(session, topic, objects).await?;
    let (chosen, has_more) = part.oldest(limit.before_us, OBJECTS_AT_ONCE);
    let expired = Expired { has_more, ..part.expired(limit.before_us, &chosen) };
    if chosen.is_empty() {
        return Ok(expired);
    }
    let mut leaving = Leaving::default();
    for segment in part.segments.iter().filter(|segment| chosen.contains(&segment.file_id)) {
        let place = (segment.partition_id, i64::from(segment.incarnation.0));
        leaving.add(segment.file_id, limit.tables.of(segment.kind), place, segment.range);
    }
    take_off(session, topic, limit.tables, &leaving).await?;
    Ok(expired)
}

/// A topic with a retention, at one moment of the database's clock.
struct Limit {
    tables: Tables,
    before_us: i64,
}

impl Limit {
    /// `None` if there is no such topic, or it keeps everything.
    async fn read(session: &mut dyn Session, topic: &TopicName, lock: TopicLock) -> Result<Option<Self>> {
        let select = match lock {
            TopicLock::Exclusive => sql!(
                "SELECT table_id, quarantine_table_id, retention_ms, " now_ms " FROM topics WHERE name = $1" for_update
            ),
            _ => sql!("SELECT table_id, quarantine_table_id, retention_ms, " now_ms " FROM topics WHERE name = $1"),
        };
        let Some(mut row) = session.fetch(&select, values![topic]).await?.pop() else { return Ok(None) };
        let tables = row.tables()?;
        let Some(retention_ms) = row.optional_integer("retention_ms")? else { return Ok(None) };
        let before_ms = row.integer("now")?.saturating_sub(retention_ms);
        Ok(Some(Self { tables, before_us: before_ms.saturating_mul(1_000) }))
    }

    /// The live objects that are older.
    async fn old_objects(&self, session: &mut dyn Session) -> Result<BTreeMap<FileId, OldObject>> {
        // An object whose queue times are all 1970 or earlier has no age that means anything: it counts from its listing.
        let select = sql!(
            "SELECT file_id, size_bytes, newest_us FROM (
                 SELECT file_id, size_bytes,
                        CASE WHEN max_timestamp_us > 0 THEN max_timestamp_us ELSE created_at * 1000 END AS newest_us
                 FROM objects WHERE table_id = $1 OR table_id = $2
             ) AS aged WHERE newest_us < $3 ORDER BY file_id"
        );
        let [data, quarantine] =
            [self.tables.data, self.tables.quarantine].map(|table| Value::from(table.0.cast_signed()));
        let object = |mut row: Row| {
            let file_id = FileId(row.unsigned("file_id")?);
            let size_bytes = row.unsigned("size_bytes")?;
            Ok((file_id, OldObject { newest_us: row.integer("newest_us")?, size_bytes }))
        };
        let found = session.fetch(&select, &[data, quarantine, self.before_us.into()]).await?;
        found.into_iter().map(object).collect()
    }
}

fn files_of<'f>(files: impl Iterator<Item = &'f FileId>) -> Result<String> {
    input::numbers(files.map(|file| file.0))
}

/// The old objects with their segments, and the younger segments of the topic.
async fn old_part(
    session: &mut dyn Session,
    topic: &TopicName,
    objects: BTreeMap<FileId, OldObject>,
) -> Result<OldPart> {
    let segments = sql!(
        "SELECT partition_id, incarnation, kind, base_offset, end_offset, record_count, file_id FROM segments
         WHERE file_id IN " numbers_1 " ORDER BY partition_id, incarnation, base_offset"
    );
    let younger = sql!(
        "SELECT partition_id, incarnation, min(base_offset) FROM segments
         WHERE topic = $2 AND file_id NOT IN " numbers_1 " GROUP BY partition_id, incarnation"
    );
    let mut part = OldPart { objects, ..OldPart::default() };
    if part.objects.is_empty() {
        return Ok(part);
    }
    let files = files_of(part.objects.keys())?;
    for row in session.fetch(&segments, values![&files]).await? {
        part.segments.push(row.try_into()?);
    }
    for mut row in session.fetch(&younger, values![&files, topic]).await? {
        let (partition_id, incarnation) = (row.unsigned("partition_id")?, row.incarnation()?);
        let begin = (incarnation, row.unsigned("base_offset")?);
        let first = part.younger.entry(partition_id).or_insert(begin);
        *first = begin.min(*first);
    }
    Ok(part)
}

impl TryFrom<Row> for OldSegment {
    type Error = crate::error::CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        let (partition_id, incarnation): (_, Incarnation) = (row.unsigned("partition_id")?, row.incarnation()?);
        let (kind, range): (SegmentKind, OffsetRange) = (row.word("kind")?, row.range()?);
        let (records, file_id) = (row.unsigned("record_count")?, FileId(row.unsigned("file_id")?));
        Ok(Self { partition_id, incarnation, kind, range, records, file_id })
    }
}

impl OldPart {
    /// The sums over the leaving objects.
    fn expired(&self, before_us: i64, leaving: &BTreeSet<FileId>) -> Expired {
        let mut parts: BTreeMap<(u32, Incarnation), ExpiredPart> = BTreeMap::new();
        let mut expired = Expired {
            before_us: Some(before_us),
            objects: leaving.len() as u64,
            bytes: leaving.iter().map(|file_id| self.objects[file_id].size_bytes).sum(),
            held_back: (self.objects.len() - self.leaving(before_us).len()) as u64,
            ..Expired::default()
        };
        for segment in self.segments.iter().filter(|segment| leaving.contains(&segment.file_id)) {
            let OldSegment { partition_id, incarnation, kind, range, records, .. } = *segment;
            match kind {
                SegmentKind::Data => expired.records += records,
                SegmentKind::Quarantine => expired.quarantined += records,
            }
            expired.segments += 1;
            let empty = ExpiredPart { partition_id, incarnation, before_offset: 0, segments: 0, records: 0 };
            let part = parts.entry((partition_id, incarnation)).or_insert(empty);
            part.before_offset = range.next().max(part.before_offset);
            part.segments += 1;
            part.records += records;
        }
        expired.parts = parts.into_values().collect();
        expired
    }
}

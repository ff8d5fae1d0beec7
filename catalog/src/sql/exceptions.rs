//! Exceptions: the offsets of a partition that are committed and whose messages are not all in the topic's table.
//!
//! Owns: these reads, each one step down an index. Does not own: writing gaps and segments (`commit`).

use common::{Incarnation, OffsetRange, TopicPartition};

use super::input;
use super::partition_row::read_partition;
use super::segments::joined;
use crate::database::{Row, Session, Sql, sql, values};
use crate::error::Result;
use crate::model::{Exceptions, Gap, SegmentInfo};

/// Ranges do not overlap, so only the last one that begins at or before `$4` can reach it from the left.
const GAPS: Sql = sql!(
    "SELECT base_offset, end_offset, kind, reason FROM gaps
     WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND end_offset >= $4 AND base_offset <= $5
       AND base_offset >= COALESCE((
           SELECT MAX(base_offset) FROM gaps
           WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND base_offset <= $4
       ), $4)
     ORDER BY base_offset"
);

const QUARANTINE: Sql = sql!(
    "SELECT " segment_columns ", " object_columns "
     FROM segments JOIN objects ON objects.file_id = segments.file_id
     WHERE segments.topic = $1 AND segments.partition_id = $2 AND segments.incarnation = $3
       AND segments.kind = 'quarantine' AND segments.end_offset >= $4 AND segments.base_offset <= $5
       AND segments.base_offset >= COALESCE((
           SELECT MAX(base_offset) FROM segments
           WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND kind = 'quarantine' AND base_offset <= $4
       ), $4)
     ORDER BY segments.base_offset"
);

/// See [`SegmentStore::exceptions`](crate::SegmentStore::exceptions).
pub(super) async fn exceptions(
    session: &mut dyn Session,
    of: &TopicPartition,
    range: OffsetRange,
) -> Result<Option<Exceptions>> {
    let Some(partition) = read_partition(session, of).await? else { return Ok(None) };
    let incarnation = partition.incarnation;
    Ok(Some(Exceptions {
        start_offset: start_offset(session, of, incarnation).await?,
        gaps: gaps(session, of, incarnation, range).await?,
        quarantine: quarantine(session, of, incarnation, range).await?,
        expired_before: expired_before(session, of, incarnation).await?,
        partition,
    }))
}

async fn gaps(
    session: &mut dyn Session,
    of: &TopicPartition,
    incarnation: Incarnation,
    range: OffsetRange,
) -> Result<Vec<Gap>> {
    let (base, end) = (input::offset(range.base())?, input::offset(range.end())?);
    let found = session.fetch(&GAPS, values![&of.topic, of.partition_id, incarnation, base, end]).await?;
    found.into_iter().map(|mut row| row.gap()).collect()
}

async fn quarantine(
    session: &mut dyn Session,
    of: &TopicPartition,
    incarnation: Incarnation,
    range: OffsetRange,
) -> Result<Vec<SegmentInfo>> {
    let (base, end) = (input::offset(range.base())?, input::offset(range.end())?);
    joined(session.fetch(&QUARANTINE, values![&of.topic, of.partition_id, incarnation, base, end]).await?)
}

async fn start_offset(session: &mut dyn Session, of: &TopicPartition, incarnation: Incarnation) -> Result<u64> {
    let select =
        sql!("SELECT start_offset FROM incarnations WHERE topic = $1 AND partition_id = $2 AND incarnation = $3");
    number(session.fetch(&select, values![&of.topic, of.partition_id, incarnation]).await?, "start_offset")
}

async fn expired_before(session: &mut dyn Session, of: &TopicPartition, incarnation: Incarnation) -> Result<u64> {
    let select =
        sql!("SELECT before_offset FROM expirations WHERE topic = $1 AND partition_id = $2 AND incarnation = $3");
    number(session.fetch(&select, values![&of.topic, of.partition_id, incarnation]).await?, "before_offset")
}

/// The number in the only row; 0 without a row.
fn number(mut found: Vec<Row>, column: &'static str) -> Result<u64> {
    found.pop().map_or(Ok(0), |mut row| row.unsigned(column))
}

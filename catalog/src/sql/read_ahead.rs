//! The next segments of a partition from a place on.
//!
//! Owns: these reads, each of them one step down an index unless the place is a time. Does not own: the place that follows a
//! segment (crate `consumer`).

use common::{Incarnation, TopicPartition};

use super::partition_row::read_partition;
use super::segments::joined;
use super::{history, input, rows};
use crate::database::{Row, Session, Sql, sql, values};
use crate::error::Result;
use crate::model::{Position, ReadAhead, ReadFrom, SegmentInfo};

/// Ranges do not overlap, so only the last one that begins at or before `$4` can reach it from the left.
const OF_INCARNATION: Sql = sql!(
    "SELECT " segment_columns ", " object_columns "
     FROM segments JOIN objects ON objects.file_id = segments.file_id
     WHERE segments.topic = $1 AND segments.partition_id = $2 AND segments.incarnation = $3
       AND segments.kind = 'data' AND segments.end_offset >= $4
       AND segments.base_offset >= COALESCE((
           SELECT MAX(base_offset) FROM segments
           WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND kind = 'data' AND base_offset <= $4
       ), $4)
     ORDER BY segments.base_offset LIMIT $5"
);

const OF_LATER_ONES: Sql = sql!(
    "SELECT " segment_columns ", " object_columns "
     FROM segments JOIN objects ON objects.file_id = segments.file_id
     WHERE segments.topic = $1 AND segments.partition_id = $2 AND segments.incarnation > $3
       AND segments.kind = 'data'
     ORDER BY segments.incarnation, segments.base_offset LIMIT $4"
);

/// The place of the first segment that reaches the time `$3`.
const AT_TIME: Sql = sql!(
    "SELECT incarnation, base_offset FROM segments
     WHERE topic = $1 AND partition_id = $2 AND kind = 'data' AND max_timestamp_us >= $3
     ORDER BY incarnation, base_offset LIMIT 1"
);

/// See [`SegmentStore::segments_from`](crate::SegmentStore::segments_from).
pub(super) async fn segments_from(
    session: &mut dyn Session,
    of: &TopicPartition,
    from: ReadFrom,
    limit: u32,
) -> Result<Option<ReadAhead>> {
    let topic = sql!("SELECT " topic_columns " FROM topics WHERE name = $1");
    let Some(topic) = rows::only(session.fetch(&topic, values![&of.topic]).await?)? else { return Ok(None) };
    let Some(partition) = read_partition(session, of).await? else { return Ok(None) };
    let position = match from {
        ReadFrom::Position(position) => Some(position),
        ReadFrom::Offset(offset) => Some(Position { incarnation: partition.incarnation, offset }),
        ReadFrom::Time(us) => {
            let found = session.fetch(&AT_TIME, values![&of.topic, of.partition_id, us]).await?.pop();
            found.map(place).transpose()?
        }
    };
    let segments = match position {
        Some(position) => segments(session, of, position, limit).await?,
        None => Vec::new(),
    };
    let incarnations = history::incarnations(session, of).await?;
    let expirations = history::expirations(session, of).await?;
    Ok(Some(ReadAhead { topic, partition, segments, incarnations, expirations }))
}

async fn segments(
    session: &mut dyn Session,
    of: &TopicPartition,
    from: Position,
    limit: u32,
) -> Result<Vec<SegmentInfo>> {
    let (topic, id, offset) = (&of.topic, of.partition_id, input::offset(from.offset)?);
    let values = values![topic, id, from.incarnation, offset, limit];
    let mut found = session.fetch(&OF_INCARNATION, values).await?;
    let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
    if left > 0 {
        found.extend(session.fetch(&OF_LATER_ONES, values![topic, id, from.incarnation, left]).await?);
    }
    joined(found)
}

fn place(mut row: Row) -> Result<Position> {
    Ok(Position { incarnation: Incarnation(row.unsigned("incarnation")?), offset: row.unsigned("base_offset")? })
}

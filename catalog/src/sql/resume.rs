//! Resume: a halted partition continues in a new incarnation.
//!
//! Owns: this one transaction. Does not own: the point to continue from, which an operator chooses.

use common::{Incarnation, TopicPartition};

use super::partition_row::read_partition;
use super::{input, rows};
use crate::database::{Session, sql, values};
use crate::error::{CatalogError, Result};
use crate::model::{Partition, ResumePoint};

/// See [`OwnershipStore::resume`](crate::OwnershipStore::resume).
pub(super) async fn resume(
    session: &mut dyn Session,
    partition: &TopicPartition,
    seen: Incarnation,
    at: &ResumePoint,
) -> Result<Partition> {
    let is_resumed = raise_incarnation(session, partition, seen, at).await?;
    let now = read_partition(session, partition).await?.ok_or_else(|| rows::partition_not_found(partition))?;
    if !is_resumed {
        return Err(not_halted(partition, seen, &now));
    }
    assert!(now.incarnation.0 == seen.0 + 1, "{partition} was at incarnation {seen}, and is at {}", now.incarnation);
    let insert = sql!(
        "INSERT INTO incarnations (topic, partition_id, incarnation, start_offset, reason, created_at)
         VALUES ($1, $2, $3, $4, $5, " now_ms ")"
    );
    let (start_offset, reason) = (input::offset(at.high_watermark)?, input::note(&at.reason));
    let values = values![&partition.topic, partition.partition_id, now.incarnation, start_offset, reason];
    session.execute(&insert, values).await?;
    let doom = sql!(
        "UPDATE uploads SET state = 'doomed', doomed_at = " now_ms "
         WHERE topic = $1 AND partition_id = $2 AND state = 'pending'"
    );
    session.execute(&doom, values![&partition.topic, partition.partition_id]).await?;
    Ok(now)
}

/// Moves the partition to the next incarnation, if it is halted in the incarnation `seen`. The epoch rises: the owner
/// before the halt is fenced even if it returns.
async fn raise_incarnation(
    session: &mut dyn Session,
    partition: &TopicPartition,
    seen: Incarnation,
    at: &ResumePoint,
) -> Result<bool> {
    let update = sql!(
        "UPDATE partitions SET incarnation = incarnation + 1, epoch = epoch + 1, owner = NULL, state = 'active',
                halt_reason = NULL, high_watermark = $4, anchor_offset = $5, anchor_timestamp_us = $6,
                anchor_hash = $7, takeovers = 0, suspect_offset = NULL, suspect_times = 0, updated_at = " now_ms "
         WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND state = 'halted'"
    );
    let values = values![
        &partition.topic,
        partition.partition_id,
        seen,
        input::offset(at.high_watermark)?,
        at.anchor.map(|anchor| input::offset(anchor.offset)).transpose()?,
        at.anchor.map(|anchor| anchor.timestamp_us),
        at.anchor.map(|anchor| input::hash(anchor.hash)),
    ];
    Ok(session.execute(&update, values).await? == 1)
}

fn not_halted(partition: &TopicPartition, seen: Incarnation, now: &Partition) -> CatalogError {
    let reason = if now.incarnation == seen {
        "it is not halted; only a halted partition can be resumed".to_owned()
    } else {
        format!("its incarnation is {}, not {seen}; somebody resumed it already", now.incarnation)
    };
    CatalogError::Fenced { partition: partition.clone(), reason }
}

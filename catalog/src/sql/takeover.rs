//! Taking partitions over: a writer becomes the owner, in a new epoch.
//!
//! Owns: the transaction that makes a writer the owner. Leases are judged by the database's clock alone.
//! Does not own: other statements on owners (`ownership`).

use std::collections::HashMap;
use std::time::Duration;

use common::{Epoch, OwnerId, TopicPartition};

use super::partition_row::lock_partition;
use super::{input, rows};
use crate::database::{Row, Session, sql, values};
use crate::error::{CatalogError, Result};
use crate::model::{AcquireOutcome, Ownership, Partition, PartitionState, Suspect};

/// Time for which the row of a writer is kept after its last heartbeat, so that people can look up recent writers.
const AGENTS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// See [`OwnershipStore::acquire`](crate::OwnershipStore::acquire).
pub(super) async fn acquire(
    session: &mut dyn Session,
    owner: OwnerId,
    lease: Duration,
    partitions: &[TopicPartition],
) -> Result<Vec<AcquireOutcome>> {
    let mut order: Vec<usize> = (0..partitions.len()).collect();
    order.sort_by_key(|&index| &partitions[index]);
    if session.fetch(&sql!("SELECT owner FROM agents WHERE owner = $1"), values![owner]).await?.is_empty() {
        return Err(CatalogError::Refused(format!("agent {owner} has not sent a heartbeat")));
    }
    // An owner without a row counts as expired: deleting the rows of long-dead writers loses nothing.
    let delete = sql!("DELETE FROM agents WHERE heartbeat_at < " now_ms " - $1");
    session.execute(&delete, values![input::lease_ms(lease.max(AGENTS_KEPT))]).await?;
    let mut outcomes: Vec<Option<AcquireOutcome>> = vec![None; partitions.len()];
    let mut alive = HashMap::new();
    for index in order {
        outcomes[index] = Some(acquire_one(session, owner, lease, &partitions[index], &mut alive).await?);
    }
    Ok(outcomes.into_iter().map(|outcome| outcome.expect("each index is in order once")).collect())
}

/// Takes one partition over if it is free. `alive` caches the lookup of each other owner.
async fn acquire_one(
    session: &mut dyn Session,
    owner: OwnerId,
    lease: Duration,
    partition: &TopicPartition,
    alive: &mut HashMap<OwnerId, bool>,
) -> Result<AcquireOutcome> {
    let seen = lock_partition(session, partition).await?.ok_or_else(|| rows::partition_not_found(partition))?;
    if seen.state == PartitionState::Halted {
        let reason = seen.halt_reason.unwrap_or_default();
        return Ok(AcquireOutcome::Halted { partition: partition.clone(), reason });
    }
    if let Some(other) = seen.owner.filter(|&other| other != owner) {
        // Read while the lock is held: a heartbeat sent during the wait for it counts.
        let is_alive = match alive.get(&other) {
            Some(&known) => known,
            None => is_alive(session, other, lease).await?,
        };
        alive.insert(other, is_alive);
        if is_alive {
            return Ok(AcquireOutcome::Held { partition: partition.clone(), owner: other });
        }
    }
    Ok(AcquireOutcome::Acquired(raise_epoch(session, owner, seen).await?))
}

/// Makes `owner` the owner in a new epoch, and dooms the intents of older ones. The row is locked.
async fn raise_epoch(session: &mut dyn Session, owner: OwnerId, seen: Partition) -> Result<Ownership> {
    // An owner that released did not crash: its takeover is not counted.
    let update = sql!(
        "UPDATE partitions SET epoch = epoch + 1, owner = $4,
                takeovers = CASE WHEN owner IS NULL THEN takeovers ELSE takeovers + 1 END, updated_at = " now_ms "
         WHERE topic = $1 AND partition_id = $2 AND epoch = $3
         RETURNING takeovers, suspect_offset, suspect_times"
    );
    let doom = sql!(
        "UPDATE uploads SET state = 'doomed', doomed_at = " now_ms "
         WHERE topic = $1 AND partition_id = $2 AND state = 'pending' AND epoch <= $3"
    );
    let partition = TopicPartition::new(seen.topic, seen.partition_id);
    let epoch = input::number("epoch", seen.epoch.0)?;
    let taken = session.fetch(&update, values![&partition.topic, partition.partition_id, epoch, owner]).await?.pop();
    let Some(mut taken) = taken else {
        let reason = format!("its epoch is no longer {epoch}");
        return Err(CatalogError::Fenced { partition, reason });
    };
    session.execute(&doom, values![&partition.topic, partition.partition_id, epoch]).await?;
    if let Some(expired) = seen.owner.filter(|&expired| expired != owner) {
        doom_shared(session, &partition, expired).await?;
    }
    Ok(Ownership {
        partition,
        owner,
        epoch: Epoch(seen.epoch.0 + 1),
        incarnation: seen.incarnation,
        high_watermark: seen.high_watermark,
        anchor: seen.anchor,
        takeovers: taken.unsigned("takeovers")?,
        suspect: suspect(&mut taken)?,
    })
}

/// Dooms the topic's shared objects of an owner that expired. Nothing needs them any more: if it lives, its commits find
/// their intents gone, and it reads again.
async fn doom_shared(session: &mut dyn Session, partition: &TopicPartition, expired: OwnerId) -> Result<()> {
    let doom = sql!(
        "UPDATE uploads SET state = 'doomed', doomed_at = " now_ms "
         WHERE topic = $1 AND partition_id IS NULL AND owner = $2 AND state = 'pending'"
    );
    session.execute(&doom, values![&partition.topic, expired]).await?;
    Ok(())
}

fn suspect(row: &mut Row) -> Result<Option<Suspect>> {
    let (offset, times) = (row.optional_unsigned("suspect_offset")?, row.unsigned("suspect_times")?);
    Ok(offset.map(|offset| Suspect { offset, times }))
}

/// True if the owner has sent a heartbeat within `lease`. An owner without a row has not.
async fn is_alive(session: &mut dyn Session, owner: OwnerId, lease: Duration) -> Result<bool> {
    let select = sql!("SELECT owner FROM agents WHERE owner = $1 AND heartbeat_at >= " now_ms " - $2");
    Ok(!session.fetch(&select, values![owner, input::lease_ms(lease)]).await?.is_empty())
}

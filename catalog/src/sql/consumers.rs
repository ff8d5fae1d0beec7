//! Consumer groups and their positions.
//!
//! Owns: their statements. Does not own: the meaning of an offset, which each consumer decides.

use async_trait::async_trait;
use common::{Generation, MemberId, TopicPartition};

use super::partition_row::read_partition;
use super::{SqlMetadataStore, groups, input, rows};
use crate::database::{Row, Session, sql, values};
use crate::error::{CatalogError, Result};
use crate::model::{ConsumerOffset, Position};
use crate::store::ConsumerStore;

#[async_trait]
impl<D> ConsumerStore for SqlMetadataStore<D> {
    async fn ensure_consumer_group(&self, group_id: &str) -> Result<()> {
        let insert = sql!(
            "INSERT INTO consumer_groups (group_id, created_at, updated_at)
             SELECT $1, now_ms, now_ms FROM (SELECT " now_ms " AS now_ms) AS clock WHERE true
             ON CONFLICT (group_id) DO NOTHING"
        );
        self.door.execute(&insert, values![group_name(group_id)?]).await?;
        Ok(())
    }

    async fn commit_offset(&self, offset: ConsumerOffset) -> Result<()> {
        self.door.write(|session| Box::pin(commit_offset(session, &offset))).await
    }

    async fn get_committed_offset(&self, group_id: &str, partition: &TopicPartition) -> Result<Option<Position>> {
        let select = sql!(
            "SELECT incarnation, committed_offset FROM consumer_offsets
             WHERE group_id = $1 AND topic = $2 AND partition_id = $3"
        );
        let values = values![group_name(group_id)?, &partition.topic, partition.partition_id];
        let committed =
            |mut row: Row| Ok(Position { incarnation: row.incarnation()?, offset: row.unsigned("committed_offset")? });
        self.door.fetch(&select, values).await?.pop().map(committed).transpose()
    }

    async fn get_consumer_offsets(&self, group_id: &str) -> Result<Vec<ConsumerOffset>> {
        let select = sql!(
            "SELECT group_id, topic, partition_id, incarnation, committed_offset, metadata FROM consumer_offsets
             WHERE group_id = $1 ORDER BY topic, partition_id"
        );
        rows::all(self.door.fetch(&select, values![group_name(group_id)?]).await?)
    }

    async fn delete_consumer_group(&self, group_id: &str) -> Result<()> {
        self.door.write(|session| Box::pin(delete_group(session, group_id))).await
    }
}

async fn delete_group(session: &mut dyn Session, group_id: &str) -> Result<()> {
    let delete = sql!("DELETE FROM consumer_groups WHERE group_id = $1");
    let group_id = group_name(group_id)?;
    groups::lock(session, group_id).await?.ok_or_else(|| CatalogError::GroupNotFound(group_id.to_owned()))?;
    groups::be_idle(session, group_id).await?;
    session.execute(&delete, values![group_id]).await?;
    Ok(())
}

/// Records the position of a group without members that are alive.
pub(super) async fn commit_offset(session: &mut dyn Session, offset: &ConsumerOffset) -> Result<()> {
    let group_id = group_name(&offset.group_id)?;
    input::offset(offset.committed_offset)?;
    touch_group(session, group_id).await?;
    groups::be_idle(session, group_id).await?;
    set_offset(session, offset, None).await
}

/// Makes the group, or notes the time of a change; its row is locked until the end of the transaction.
pub(super) async fn touch_group(session: &mut dyn Session, group_id: &str) -> Result<()> {
    let upsert = sql!(
        "INSERT INTO consumer_groups (group_id, created_at, updated_at)
         SELECT $1, now_ms, now_ms FROM (SELECT " now_ms " AS now_ms) AS clock WHERE true
         ON CONFLICT (group_id) DO UPDATE SET updated_at = excluded.updated_at"
    );
    session.execute(&upsert, values![group_id]).await?;
    Ok(())
}

/// Writes the row of the offset. The caller has checked who may; the claim, if there is one, is compared in the same statement
/// again: a topic may be deleted and made again between the two.
pub(super) async fn set_offset(
    session: &mut dyn Session,
    offset: &ConsumerOffset,
    claim: Option<(MemberId, Generation)>,
) -> Result<()> {
    let upsert_offset = sql!(
        "INSERT INTO consumer_offsets
                (group_id, topic, partition_id, incarnation, committed_offset, metadata, committed_at)
         SELECT $1, topic, partition_id, $4, $5, $6, " now_ms " FROM partitions
         WHERE topic = $2 AND partition_id = $3 AND incarnation >= $4
               AND ($7 = '' OR EXISTS (SELECT 1 FROM consumer_claims AS c
                                       WHERE c.group_id = $1 AND c.topic = $2 AND c.partition_id = $3
                                             AND c.member_id = $7 AND c.generation = $8))
         ON CONFLICT (group_id, topic, partition_id) DO UPDATE SET
                incarnation = excluded.incarnation, committed_offset = excluded.committed_offset,
                metadata = excluded.metadata, committed_at = excluded.committed_at"
    );
    let group_id = group_name(&offset.group_id)?;
    let committed_offset = input::offset(offset.committed_offset)?;
    let metadata = offset.metadata.as_deref().map(|text| input::exact("metadata", text)).transpose()?;
    let partition = TopicPartition::new(offset.topic.clone(), offset.partition_id);
    let (topic, id) = (&partition.topic, partition.partition_id);
    let member = claim.map_or_else(String::new, |(member, _)| member.to_string());
    let generation = claim.map_or(Ok(0), |(_, generation)| input::number("generation", generation.0))?;
    let values = values![group_id, topic, id, offset.incarnation, committed_offset, metadata, member, generation];
    if session.execute(&upsert_offset, values).await? == 1 {
        return Ok(());
    }
    let now = read_partition(session, &partition).await?.ok_or_else(|| rows::partition_not_found(&partition))?;
    if let Some((member, generation)) = claim.filter(|_| offset.incarnation <= now.incarnation) {
        let reason = groups::not_claimed(group_id, member, generation);
        return Err(CatalogError::Fenced { partition, reason });
    }
    let reason = format!("it is of incarnation {}, the partition is at {}", offset.incarnation, now.incarnation);
    Err(CatalogError::InvalidOffset { offset: offset.committed_offset, reason })
}

/// The id, if it can be one.
pub(super) fn group_name(group_id: &str) -> Result<&str> {
    if group_id.is_empty() {
        return Err(CatalogError::Refused("the consumer group's id is empty; allowed is any other text".to_owned()));
    }
    input::exact("consumer group id", group_id)
}

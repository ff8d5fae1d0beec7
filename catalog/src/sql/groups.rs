//! Members of consumer groups and their claims.
//!
//! Owns: their statements. Every change locks the group's row first, so that changes of one group follow each other. Leases
//! are judged by the database's clock alone. Does not own: offsets without a claim (`consumers`), the view (`group_view`).

use async_trait::async_trait;
use common::{Generation, MemberId, TopicName, TopicPartition};

use super::consumers::{commit_offset, group_name, set_offset, touch_group};
use super::{SqlMetadataStore, group_view, input, rows};
use crate::database::{Session, sql, values};
use crate::error::{CatalogError, Result};
use crate::model::{Claim, Claimed, ClaimedOffset, ConsumerOffset, GroupInfo, GroupView, Membership, Position};
use crate::store::GroupStore;

#[async_trait]
impl<D> GroupStore for SqlMetadataStore<D> {
    async fn join_group(&self, membership: &Membership) -> Result<GroupView> {
        self.door.write(|session| Box::pin(join(session, membership))).await
    }

    async fn claim(&self, group_id: &str, member: MemberId, partitions: &[TopicPartition]) -> Result<Vec<Claimed>> {
        self.door.write(|session| Box::pin(claim(session, group_id, member, partitions))).await
    }

    async fn release_claims(&self, group_id: &str, claims: &[Claim]) -> Result<u64> {
        self.door.write(|session| Box::pin(release(session, group_id, claims))).await
    }

    async fn commit_claimed(&self, group_id: &str, member: MemberId, offsets: &[ClaimedOffset]) -> Result<()> {
        self.door.write(|session| Box::pin(commit_claimed(session, group_id, member, offsets))).await
    }

    async fn leave_group(&self, group_id: &str, member: MemberId) -> Result<()> {
        self.door.write(|session| Box::pin(leave(session, group_id, member))).await
    }

    async fn reset_offsets(&self, offsets: &[ConsumerOffset]) -> Result<()> {
        self.door.write(|session| Box::pin(reset(session, offsets))).await
    }

    async fn group_view(&self, group_id: &str) -> Result<GroupView> {
        self.door.read(|session| Box::pin(group_view::view(session, group_id))).await
    }

    async fn list_groups(&self) -> Result<Vec<GroupInfo>> {
        self.door.read(|session| Box::pin(group_view::groups(session))).await
    }
}

async fn join(session: &mut dyn Session, membership: &Membership) -> Result<GroupView> {
    let ensure = sql!(
        "INSERT INTO consumer_groups (group_id, created_at, updated_at)
         SELECT $1, now_ms, now_ms FROM (SELECT " now_ms " AS now_ms) AS clock WHERE true
         ON CONFLICT (group_id) DO NOTHING"
    );
    let upsert = sql!(
        "INSERT INTO consumer_members (group_id, member_id, name, topics, lease_ms, joined_at, heartbeat_at)
         SELECT $1, $2, $3, $4, $5, now_ms, now_ms FROM (SELECT " now_ms " AS now_ms) AS clock WHERE true
         ON CONFLICT (group_id, member_id) DO UPDATE
             SET name = excluded.name, topics = excluded.topics, lease_ms = excluded.lease_ms,
                 heartbeat_at = excluded.heartbeat_at"
    );
    let group_id = group_name(&membership.group_id)?;
    session.execute(&ensure, values![group_id]).await?;
    lock(session, group_id).await?.ok_or_else(|| CatalogError::GroupNotFound(group_id.to_owned()))?;
    let dropped = drop_expired(session, group_id, Some(membership.member)).await?;
    let topics = topics_text(&membership.topics);
    let known = sql!("SELECT topics FROM consumer_members WHERE group_id = $1 AND member_id = $2");
    let known = session.fetch(&known, values![group_id, membership.member]).await?.pop();
    let known = known.map(|mut row| row.text("topics")).transpose()?;
    let (name, lease_ms) = (input::note(&membership.name), input::lease_ms(membership.lease));
    let is_changed = dropped > 0 || known.is_none_or(|known| known != topics);
    session.execute(&upsert, values![group_id, membership.member, name, topics, lease_ms]).await?;
    if is_changed {
        raise_generation(session, group_id).await?;
    }
    group_view::view(session, group_id).await
}

async fn claim(
    session: &mut dyn Session,
    group_id: &str,
    member: MemberId,
    partitions: &[TopicPartition],
) -> Result<Vec<Claimed>> {
    let insert = sql!(
        "INSERT INTO consumer_claims (group_id, topic, partition_id, member_id, generation, claimed_at)
         SELECT $1, topic, partition_id, $4, $5, " now_ms " FROM partitions WHERE topic = $2 AND partition_id = $3
         ON CONFLICT (group_id, topic, partition_id) DO NOTHING"
    );
    let unknown = || CatalogError::MemberUnknown { group: group_id.to_owned(), member };
    let group_id = group_name(group_id)?;
    lock(session, group_id).await?.ok_or_else(unknown)?;
    let is_member = sql!("SELECT member_id FROM consumer_members WHERE group_id = $1 AND member_id = $2");
    session.fetch(&is_member, values![group_id, member]).await?.pop().ok_or_else(unknown)?;
    let generation = raise_generation(session, group_id).await?;
    // In the order in which every transaction locks partitions.
    let mut wanted: Vec<&TopicPartition> = partitions.iter().collect();
    wanted.sort();
    wanted.dedup();
    for of in &wanted {
        let values = values![group_id, &of.topic, of.partition_id, member, generation];
        session.execute(&insert, values).await?;
    }
    let mut held = group_view::claimed(session, group_id, member).await?;
    held.retain(|held| wanted.binary_search(&&held.claim.partition).is_ok());
    Ok(held)
}

async fn release(session: &mut dyn Session, group_id: &str, claims: &[Claim]) -> Result<u64> {
    let delete = sql!(
        "DELETE FROM consumer_claims
         WHERE group_id = $1 AND topic = $2 AND partition_id = $3 AND member_id = $4 AND generation = $5"
    );
    let group_id = group_name(group_id)?;
    if lock(session, group_id).await?.is_none() {
        return Ok(0);
    }
    let mut released = 0;
    for claim in claims {
        let generation = input::number("generation", claim.generation.0)?;
        let of = &claim.partition;
        let values = values![group_id, &of.topic, of.partition_id, claim.member, generation];
        released += session.execute(&delete, values).await?;
    }
    if released > 0 {
        raise_generation(session, group_id).await?;
    }
    Ok(released)
}

async fn commit_claimed(
    session: &mut dyn Session,
    group_id: &str,
    member: MemberId,
    offsets: &[ClaimedOffset],
) -> Result<()> {
    let held = sql!(
        "SELECT c.topic, c.partition_id, c.member_id, c.generation, o.incarnation, o.committed_offset
         FROM consumer_claims AS c LEFT JOIN consumer_offsets AS o
              ON o.group_id = c.group_id AND o.topic = c.topic AND o.partition_id = c.partition_id
         WHERE c.group_id = $1 AND c.topic = $2 AND c.partition_id = $3 AND c.member_id = $4"
    );
    let group_id = group_name(group_id)?;
    if lock(session, group_id).await?.is_none() {
        return Err(CatalogError::MemberUnknown { group: group_id.to_owned(), member });
    }
    touch_group(session, group_id).await?;
    for offset in offsets {
        let of = &offset.partition;
        let found = session.fetch(&held, values![group_id, &of.topic, of.partition_id, member]).await?;
        let held: Option<Claimed> = rows::only(found)?;
        let Some(held) = held.filter(|held| held.claim.generation == offset.generation) else {
            let reason = not_claimed(group_id, member, offset.generation);
            return Err(CatalogError::Fenced { partition: of.clone(), reason });
        };
        let place = Position { incarnation: offset.incarnation, offset: offset.offset };
        if held.committed.is_some_and(|committed| committed > place && offset.replaces != Some(committed)) {
            continue;
        }
        let row = ConsumerOffset {
            group_id: group_id.to_owned(),
            topic: of.topic.clone(),
            partition_id: of.partition_id,
            incarnation: offset.incarnation,
            committed_offset: offset.offset,
            metadata: offset.metadata.clone(),
        };
        set_offset(session, &row, Some((member, offset.generation))).await?;
    }
    Ok(())
}

async fn leave(session: &mut dyn Session, group_id: &str, member: MemberId) -> Result<()> {
    let delete = sql!("DELETE FROM consumer_members WHERE group_id = $1 AND member_id = $2");
    let group_id = group_name(group_id)?;
    if lock(session, group_id).await?.is_some() && session.execute(&delete, values![group_id, member]).await? > 0 {
        raise_generation(session, group_id).await?;
    }
    Ok(())
}

async fn reset(session: &mut dyn Session, offsets: &[ConsumerOffset]) -> Result<()> {
    for offset in offsets {
        commit_offset(session, offset).await?;
    }
    Ok(())
}

/// The group's generation, if the group exists; its row is locked until the end of the transaction.
pub(super) async fn lock(session: &mut dyn Session, group_id: &str) -> Result<Option<Generation>> {
    let select = sql!("SELECT generation FROM consumer_groups WHERE group_id = $1" for_update);
    let found = session.fetch(&select, values![group_id]).await?.pop();
    found.map(|mut row| row.unsigned("generation").map(Generation)).transpose()
}

/// Drops members whose lease expired. The group's row is locked.
///
/// # Errors
/// `GroupActive` if others are left.
pub(super) async fn be_idle(session: &mut dyn Session, group_id: &str) -> Result<()> {
    if drop_expired(session, group_id, None).await? > 0 {
        raise_generation(session, group_id).await?;
    }
    let select = sql!("SELECT name FROM consumer_members WHERE group_id = $1 ORDER BY name, member_id");
    let alive = session.fetch(&select, values![group_id]).await?;
    let alive = alive.into_iter().map(|mut row| row.text("name")).collect::<Result<Vec<_>>>()?;
    if alive.is_empty() {
        return Ok(());
    }
    Err(CatalogError::GroupActive { group: group_id.to_owned(), members: alive.join(", ") })
}

/// Drops members whose lease expired, except this one; returns their number.
async fn drop_expired(session: &mut dyn Session, group_id: &str, except: Option<MemberId>) -> Result<u64> {
    let delete = sql!(
        "DELETE FROM consumer_members WHERE group_id = $1 AND member_id <> $2 AND heartbeat_at < " now_ms " - lease_ms"
    );
    let except = except.map_or_else(String::new, |member| member.to_string());
    Ok(session.execute(&delete, values![group_id, except]).await?)
}

/// The next generation, as a column value.
async fn raise_generation(session: &mut dyn Session, group_id: &str) -> Result<i64> {
    let update = sql!(
        "UPDATE consumer_groups SET generation = generation + 1, updated_at = " now_ms "
         WHERE group_id = $1 RETURNING generation"
    );
    let raised = session.fetch(&update, values![group_id]).await?.pop();
    let gone = || CatalogError::GroupNotFound(group_id.to_owned());
    raised.ok_or_else(gone)?.integer("generation")
}

/// The topics as JSON, each once and in order.
fn topics_text(topics: &[TopicName]) -> String {
    let mut topics: Vec<&TopicName> = topics.iter().collect();
    topics.sort();
    topics.dedup();
    serde_json::to_string(&topics).expect("names are text")
}

pub(super) fn not_claimed(group_id: &str, member: MemberId, generation: Generation) -> String {
    format!("member {member} of group {group_id} does not hold it at generation {generation} any more")
}

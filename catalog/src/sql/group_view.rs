//! The state of consumer groups, as rows.
//!
//! Owns: the statements that only read members and claims. Does not own: their changes (`groups`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::{Generation, Incarnation, MemberId, TopicName};
use uuid::Uuid;

use super::consumers::group_name;
use super::rows;
use crate::database::{Row, Session, sql, values};
use crate::error::{CatalogError, Result};
use crate::model::{Claim, Claimed, GroupInfo, GroupMember, GroupOffset, GroupView, Position};

/// All groups, by id, with the number of their members that are alive.
pub(super) async fn groups(session: &mut dyn Session) -> Result<Vec<GroupInfo>> {
    let select = sql!(
        "SELECT group_id, generation,
                (SELECT count(*) FROM consumer_members AS m
                 WHERE m.group_id = g.group_id AND m.heartbeat_at >= now_ms - m.lease_ms) AS member_count,
                created_at, updated_at
         FROM consumer_groups AS g, (SELECT " now_ms " AS now_ms) AS clock
         ORDER BY group_id"
    );
    let mut found: Vec<GroupInfo> = rows::all(session.fetch(&select, values![]).await?)?;
    let mut topics: BTreeMap<String, BTreeSet<TopicName>> = BTreeMap::new();
    let with_offsets = sql!("SELECT DISTINCT group_id, topic FROM consumer_offsets");
    for mut row in session.fetch(&with_offsets, values![]).await? {
        topics.entry(row.text("group_id")?).or_default().insert(row.topic()?);
    }
    let read = sql!("SELECT group_id, member_id, topics FROM consumer_members");
    for mut row in session.fetch(&read, values![]).await? {
        let (group_id, member) = (row.text("group_id")?, row.member()?);
        topics.entry(group_id).or_default().extend(row.topics_of(member)?);
    }
    for group in &mut found {
        group.topics = topics.remove(&group.group_id).unwrap_or_default().into_iter().collect();
    }
    Ok(found)
}

/// All offsets of groups, by group, topic and partition.
pub(super) async fn offsets(session: &mut dyn Session) -> Result<Vec<GroupOffset>> {
    let select = sql!(
        "SELECT o.committed_at, p.incarnation AS now_incarnation, p.high_watermark, o.group_id, o.topic, o.partition_id,
                o.incarnation, o.committed_offset, o.metadata
         FROM consumer_offsets AS o JOIN partitions AS p ON p.topic = o.topic AND p.partition_id = o.partition_id
         ORDER BY o.group_id, o.topic, o.partition_id"
    );
    rows::all(session.fetch(&select, values![]).await?)
}

/// See [`GroupStore::group_view`](crate::GroupStore::group_view).
pub(super) async fn view(session: &mut dyn Session, group_id: &str) -> Result<GroupView> {
    let group_id = group_name(group_id)?;
    let generation = sql!("SELECT generation FROM consumer_groups WHERE group_id = $1");
    let Some(mut found) = session.fetch(&generation, values![group_id]).await?.pop() else {
        return Err(CatalogError::GroupNotFound(group_id.to_owned()));
    };
    let generation = Generation(found.unsigned("generation")?);
    let members = sql!(
        "SELECT member_id, name, topics, lease_ms, now_ms - heartbeat_at AS silent_ms, joined_at
         FROM consumer_members, (SELECT " now_ms " AS now_ms) AS clock WHERE group_id = $1 ORDER BY member_id"
    );
    let members: Vec<GroupMember> = rows::all(session.fetch(&members, values![group_id]).await?)?;
    let claims = sql!(
        "SELECT topic, partition_id, member_id, generation FROM consumer_claims WHERE group_id = $1
         ORDER BY topic, partition_id"
    );
    let claims = rows::all(session.fetch(&claims, values![group_id]).await?)?;
    let mut wanted: Vec<&TopicName> = members.iter().flat_map(|member| &member.topics).collect();
    wanted.sort();
    wanted.dedup();
    let wanted = serde_json::to_string(&wanted).expect("names are text");
    let topics = sql!("SELECT name, partition_count FROM topics WHERE name IN " texts_1 " ORDER BY name");
    let topics = session.fetch(&topics, values![wanted]).await?;
    let topics = topics.into_iter().map(|mut row| Ok((row.topic()?, row.unsigned("partition_count")?)));
    let topics = topics.collect::<Result<_>>()?;
    Ok(GroupView { group_id: group_id.to_owned(), generation, members, claims, topics })
}

/// The claims of a member, with the offsets committed last.
pub(super) async fn claimed(session: &mut dyn Session, group_id: &str, member: MemberId) -> Result<Vec<Claimed>> {
    let select = sql!(
        "SELECT c.topic, c.partition_id, c.member_id, c.generation, o.incarnation, o.committed_offset
         FROM consumer_claims AS c LEFT JOIN consumer_offsets AS o
              ON o.group_id = c.group_id AND o.topic = c.topic AND o.partition_id = c.partition_id
         WHERE c.group_id = $1 AND c.member_id = $2 ORDER BY c.topic, c.partition_id"
    );
    rows::all(session.fetch(&select, values![group_id, member]).await?)
}

impl TryFrom<Row> for Claim {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        row.claim()
    }
}

impl TryFrom<Row> for Claimed {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        let claim = row.claim()?;
        let incarnation = row.optional_unsigned("incarnation")?.map(Incarnation);
        let offset = row.optional_unsigned("committed_offset")?;
        let committed = incarnation.zip(offset).map(|(incarnation, offset)| Position { incarnation, offset });
        Ok(Self { claim, committed })
    }
}

/// Of `member_id, name, topics, lease_ms, silent_ms, joined_at`.
impl TryFrom<Row> for GroupMember {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        let (member, name) = (row.member()?, row.text("name")?);
        let topics = row.topics_of(member)?;
        let lease = Duration::from_millis(row.unsigned("lease_ms")?);
        // A clock that was set back gives a negative time.
        let silent_for = Duration::from_millis(u64::try_from(row.integer("silent_ms")?).unwrap_or_default());
        Ok(Self { member, name, topics, lease, silent_for, joined_at: row.integer("joined_at")? })
    }
}

/// Of `group_id, generation, member_count, created_at, updated_at`; without its topics.
impl TryFrom<Row> for GroupInfo {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        Ok(Self {
            group_id: row.text("group_id")?,
            generation: Generation(row.unsigned("generation")?),
            members: row.unsigned("member_count")?,
            topics: Vec::new(),
            created_at: row.integer("created_at")?,
            updated_at: row.integer("updated_at")?,
        })
    }
}

/// Of `committed_at, now_incarnation, high_watermark` and the columns of an offset.
impl TryFrom<Row> for GroupOffset {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        let committed_at = row.integer("committed_at")?;
        let incarnation = Incarnation(row.unsigned("now_incarnation")?);
        let high_watermark = row.unsigned("high_watermark")?;
        Ok(Self { offset: row.try_into()?, committed_at, incarnation, high_watermark })
    }
}

impl Row {
    fn topics_of(&mut self, member: MemberId) -> Result<Vec<TopicName>> {
        let text = self.text("topics")?;
        let topics = serde_json::from_str(&text);
        topics.map_err(|error| CatalogError::Inconsistent(format!("topics of member {member}: {error}")))
    }

    fn member(&mut self) -> Result<MemberId> {
        let text = self.text("member_id")?;
        let id = Uuid::try_parse(&text);
        id.map(MemberId).map_err(|error| CatalogError::Inconsistent(format!("member {text:?}: {error}")))
    }

    fn claim(&mut self) -> Result<Claim> {
        let (partition, member) = (self.partition()?, self.member()?);
        Ok(Claim { partition, member, generation: Generation(self.unsigned("generation")?) })
    }
}

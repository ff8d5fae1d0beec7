//! Transactions on the members of consumer groups and their claims.
//!
//! Owns: members, claims, generations, and offsets that a claim commits. Leases are judged by the database's clock alone.
//! Does not own: offsets without a claim (`consumers`).

use std::collections::BTreeSet;
use std::time::Duration;

use ::catalog::{
    CatalogError, Claim, Claimed, ClaimedOffset, ConsumerOffset, GroupInfo, GroupMember, GroupOffset, GroupView,
    Membership, Position, Result,
};
use common::{Generation, MemberId, TopicName, TopicPartition};

use super::consumers::check_group;
use super::event::Change;
use super::limits;
use super::state::{CatalogState, GroupRow, OffsetRow};

/// A row of `consumer_members`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// Name for people.
    pub name: String,
    /// Topics that it reads.
    pub topics: BTreeSet<TopicName>,
    /// Time after its heartbeat in which it is alive, in milliseconds.
    pub lease_ms: i64,
    /// Time at which it joined.
    pub joined_at: i64,
    /// Time of its last heartbeat.
    pub heartbeat_at: i64,
}

/// A row of `consumer_claims`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimRow {
    /// The member that reads the partition.
    pub member: MemberId,
    /// The group's generation once the claim was made.
    pub generation: Generation,
}

impl CatalogState {
    pub(crate) fn join_group(&mut self, membership: &Membership) -> Result<GroupView> {
        let (group_id, id) = (membership.group_id.as_str(), membership.member);
        check_group(group_id)?;
        let now = self.now_ms;
        self.groups.entry(group_id.to_owned()).or_insert(GroupRow::new(now));
        let dropped = self.drop_expired(group_id, Some(id));
        let topics: BTreeSet<TopicName> = membership.topics.iter().cloned().collect();
        let known = self.members.get(&(group_id.to_owned(), id));
        let is_changed = dropped > 0 || known.is_none_or(|row| row.topics != topics);
        let row = MemberRow {
            name: limits::note(&membership.name),
            topics,
            lease_ms: limits::duration_ms(membership.lease),
            joined_at: known.map_or(now, |row| row.joined_at),
            heartbeat_at: now,
        };
        self.members.insert((group_id.to_owned(), id), row);
        if is_changed {
            self.raise_generation(group_id);
        }
        self.changed(Change::Other("join_group"));
        self.group_view(group_id)
    }

    pub(crate) fn claim(
        &mut self,
        group_id: &str,
        member: MemberId,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Claimed>> {
        check_group(group_id)?;
        if !self.members.contains_key(&(group_id.to_owned(), member)) {
            return Err(CatalogError::MemberUnknown { group: group_id.to_owned(), member });
        }
        let generation = self.raise_generation(group_id);
        let wanted: BTreeSet<&TopicPartition> = partitions.iter().collect();
        let mut held = Vec::new();
        for of in wanted {
            if !self.partitions.contains_key(of) {
                continue;
            }
            let key = (group_id.to_owned(), of.clone());
            let row = *self.claims.entry(key.clone()).or_insert(ClaimRow { member, generation });
            if row.member == member {
                let claim = Claim { partition: of.clone(), member, generation: row.generation };
                let committed = self.offsets.get(&key);
                let committed = committed.map(|row| row.position());
                held.push(Claimed { claim, committed });
            }
        }
        self.changed(Change::Other("claim"));
        Ok(held)
    }

    pub(crate) fn release_claims(&mut self, group_id: &str, claims: &[Claim]) -> Result<u64> {
        check_group(group_id)?;
        let before = self.claims.len();
        for claim in claims {
            let key = (group_id.to_owned(), claim.partition.clone());
            let row = ClaimRow { member: claim.member, generation: claim.generation };
            if self.claims.get(&key) == Some(&row) {
                self.claims.remove(&key);
            }
        }
        let released = before - self.claims.len();
        if released > 0 {
            self.raise_generation(group_id);
            self.changed(Change::Other("release_claims"));
        }
        Ok(released as u64)
    }

    pub(crate) fn commit_claimed(&mut self, group_id: &str, member: MemberId, offsets: &[ClaimedOffset]) -> Result<()> {
        check_group(group_id)?;
        if !self.groups.contains_key(group_id) {
            return Err(CatalogError::MemberUnknown { group: group_id.to_owned(), member });
        }
        let before = (self.groups.clone(), self.offsets.clone());
        let written = offsets.iter().try_for_each(|offset| self.commit_one(group_id, member, offset));
        if let Err(error) = written {
            (self.groups, self.offsets) = before;
            return Err(error);
        }
        self.touch_group(group_id);
        self.changed(Change::Other("commit_claimed"));
        Ok(())
    }

    fn commit_one(&mut self, group_id: &str, member: MemberId, offset: &ClaimedOffset) -> Result<()> {
        let of = &offset.partition;
        let row = ClaimRow { member, generation: offset.generation };
        let is_held = self.claims.get(&(group_id.to_owned(), of.clone())) == Some(&row);
        if self.guards.claim_compare && !is_held {
            let reason = format!("member {member} does not hold it at generation {}", offset.generation);
            return Err(CatalogError::Fenced { partition: of.clone(), reason });
        }
        let recorded = self.offsets.get(&(group_id.to_owned(), of.clone()));
        let place = Position { incarnation: offset.incarnation, offset: offset.offset };
        let is_late = recorded.map(|row| row.position());
        let is_late = is_late.is_some_and(|recorded| recorded > place && offset.replaces != Some(recorded));
        if is_late && self.guards.claim_compare {
            return Ok(());
        }
        self.set_offset(ConsumerOffset {
            group_id: group_id.to_owned(),
            topic: of.topic.clone(),
            partition_id: of.partition_id,
            incarnation: offset.incarnation,
            committed_offset: offset.offset,
            metadata: offset.metadata.clone(),
        })
    }

    pub(crate) fn leave_group(&mut self, group_id: &str, member: MemberId) -> Result<()> {
        check_group(group_id)?;
        if self.members.remove(&(group_id.to_owned(), member)).is_some() {
            self.claims.retain(|(group, _), row| group != group_id || row.member != member);
            self.raise_generation(group_id);
            self.changed(Change::Other("leave_group"));
        }
        Ok(())
    }

    pub(crate) fn reset_offsets(&mut self, offsets: &[ConsumerOffset]) -> Result<()> {
        let before = (self.groups.clone(), self.offsets.clone(), self.members.clone(), self.claims.clone());
        let written = offsets.iter().try_for_each(|offset| self.commit_offset(offset.clone()));
        if written.is_err() {
            (self.groups, self.offsets, self.members, self.claims) = before;
        }
        written
    }

    pub(crate) fn group_view(&self, group_id: &str) -> Result<GroupView> {
        check_group(group_id)?;
        let group = self.groups.get(group_id).ok_or_else(|| CatalogError::GroupNotFound(group_id.to_owned()))?;
        let members: Vec<GroupMember> = self
            .members_of(group_id)
            .map(|(member, row)| GroupMember {
                member,
                name: row.name.clone(),
                topics: row.topics.iter().cloned().collect(),
                lease: Duration::from_millis(u64::try_from(row.lease_ms).unwrap_or_default()),
                silent_for: Duration::from_millis(u64::try_from(self.now_ms - row.heartbeat_at).unwrap_or_default()),
                joined_at: row.joined_at,
            })
            .collect();
        let of_group = self.claims.iter().filter(|((group, _), _)| group == group_id);
        let claims = of_group.map(|((_, partition), row)| Claim {
            partition: partition.clone(),
            member: row.member,
            generation: row.generation,
        });
        let claims = claims.collect();
        let wanted: BTreeSet<&TopicName> = members.iter().flat_map(|member| &member.topics).collect();
        let topics = self.topics.values().filter(|topic| wanted.contains(&topic.name));
        let topics = topics.map(|topic| (topic.name.clone(), topic.partition_count)).collect();
        Ok(GroupView { group_id: group_id.to_owned(), generation: group.generation, members, claims, topics })
    }

    pub(crate) fn list_groups(&self) -> Vec<GroupInfo> {
        let info = |(group_id, row): (&String, &GroupRow)| GroupInfo {
            group_id: group_id.clone(),
            generation: row.generation,
            members: self.members_of(group_id).filter(|(_, row)| self.is_alive_member(row)).count() as u64,
            topics: self.topics_of_group(group_id).into_iter().cloned().collect(),
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        self.groups.iter().map(info).collect()
    }

    fn topics_of_group<'a>(&'a self, group_id: &'a str) -> BTreeSet<&'a TopicName> {
        let of_members = self.members_of(group_id).flat_map(|(_, row)| &row.topics);
        let of_offsets = self.offsets.keys().filter(|(group, _)| group == group_id).map(|(_, of)| &of.topic);
        of_members.chain(of_offsets).collect()
    }

    pub(crate) fn list_offsets(&self) -> Vec<GroupOffset> {
        let offset = |((group_id, of), row): (&(String, TopicPartition), &OffsetRow)| {
            let partition = &self.partitions[of].partition;
            GroupOffset {
                offset: ConsumerOffset {
                    group_id: group_id.clone(),
                    topic: of.topic.clone(),
                    partition_id: of.partition_id,
                    incarnation: row.incarnation,
                    committed_offset: row.committed_offset,
                    metadata: row.metadata.clone(),
                },
                committed_at: row.committed_at,
                incarnation: partition.incarnation,
                high_watermark: partition.high_watermark,
            }
        };
        self.offsets.iter().map(offset).collect()
    }

    /// Drops members whose lease expired, and refuses if others are left.
    pub(crate) fn be_idle(&mut self, group_id: &str) -> Result<()> {
        if self.drop_expired(group_id, None) > 0 {
            self.raise_generation(group_id);
        }
        let mut names: Vec<&str> = self.members_of(group_id).map(|(_, row)| row.name.as_str()).collect();
        if names.is_empty() {
            return Ok(());
        }
        names.sort_unstable();
        Err(CatalogError::GroupActive { group: group_id.to_owned(), members: names.join(", ") })
    }

    fn members_of<'a>(&'a self, group_id: &'a str) -> impl Iterator<Item = (MemberId, &'a MemberRow)> {
        self.members.iter().filter(move |((group, _), _)| group == group_id).map(|((_, member), row)| (*member, row))
    }

    fn is_alive_member(&self, row: &MemberRow) -> bool {
        row.heartbeat_at >= self.now_ms - row.lease_ms
    }

    fn drop_expired(&mut self, group_id: &str, except: Option<MemberId>) -> usize {
        let others = self.members_of(group_id).filter(|(member, _)| Some(*member) != except);
        let expired: BTreeSet<MemberId> =
            others.filter(|(_, row)| !self.is_alive_member(row)).map(|(member, _)| member).collect();
        self.members.retain(|(group, member), _| group != group_id || !expired.contains(member));
        self.claims.retain(|(group, _), row| group != group_id || !expired.contains(&row.member));
        expired.len()
    }

    fn raise_generation(&mut self, group_id: &str) -> Generation {
        let now_ms = self.now_ms;
        let Some(group) = self.groups.get_mut(group_id) else { return Generation::default() };
        group.generation.0 += 1;
        group.updated_at = now_ms;
        group.generation
    }
}

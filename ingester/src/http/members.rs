//! Members of consumer groups over HTTP: joining, committing, leaving.
//!
//! Owns: the bodies of these requests. Does not own: the member's share (crate `consumer`), reading records (`consume`), the
//! rows of the group (crate `catalog`).
//!
//! The service keeps nothing between two requests: a member may send each one to another process.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use catalog::{Caller, CatalogError, Claim, ClaimedOffset, GroupView, Membership, Position, Right};
use common::{Generation, Incarnation, MemberId, TopicName, TopicPartition};
use consumer::{GroupError, HeldPartition, take_share};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Api;
use super::access::caller;
use super::error::{ApiError, Code};
use super::json_body::read_json;
use super::parameters::Query;
use super::path::{GroupPath, MemberPath};

const LEASE_MS_DEFAULT: u64 = 30_000;
const LEASE_MS: std::ops::RangeInclusive<u64> = 1_000..=3_600_000;

/// The words with which a member joins, and goes on being one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Joining {
    /// Its id; a new one if absent.
    member: Option<MemberId>,
    /// Its name for people.
    name: Option<String>,
    topics: Vec<TopicName>,
    lease_ms: Option<u64>,
}

/// Places up to which a member processed records.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Committing {
    #[serde(default)]
    offsets: Vec<Offset>,
    /// Partitions that the member gives up after the commit.
    #[serde(default)]
    release: Vec<Released>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Released {
    topic: TopicName,
    partition_id: u32,
    generation: Generation,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Offset {
    topic: TopicName,
    partition_id: u32,
    generation: Generation,
    incarnation: Incarnation,
    offset: u64,
    metadata: Option<String>,
    /// The later place that this one takes the place of, after the way out of one that was out of range.
    replaces: Option<Place>,
}

/// [`Position`], in which a word too much is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    incarnation: Incarnation,
    offset: u64,
}

pub(super) async fn join(
    State(api): State<Arc<Api>>,
    GroupPath(group_id): GroupPath,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let caller = caller(&request);
    let joining: Joining = read_json(&api, request).await?;
    joining.topics.iter().try_for_each(|topic| caller.ensure(Right::Read, topic))?;
    let lease_ms = joining.lease_ms.unwrap_or(LEASE_MS_DEFAULT);
    if !LEASE_MS.contains(&lease_ms) {
        let (least, most) = (LEASE_MS.start(), LEASE_MS.end());
        return Err(ApiError::invalid(format!("lease_ms is {lease_ms}; allowed is {least} to {most}")));
    }
    if let Some(member) = joining.member {
        match api.catalog.group_view(&group_id).await {
            Err(CatalogError::GroupNotFound(_)) => {}
            view => drop(may_be(&caller, &view?, member)?),
        }
    }
    let membership = Membership {
        group_id,
        member: joining.member.unwrap_or_else(|| MemberId(Uuid::now_v7())),
        name: joining.name.unwrap_or_else(|| caller.name().unwrap_or("http").to_owned()),
        topics: joining.topics,
        lease: Duration::from_millis(lease_ms),
    };
    let share = take_share(api.catalog.as_ref(), &membership).await?;
    // It may hold more of the topics that it read before, by another caller's requests.
    let held = share.held.iter().filter(|held| caller.may(Right::Read, &held.claim.partition.topic));
    Ok(Json(json!({
        "group_id": membership.group_id,
        "member": membership.member,
        "lease_ms": lease_ms,
        "members": share.view.members.len(),
        "partitions": held.map(shown).collect::<Vec<Value>>(),
    })))
}

fn shown(held: &HeldPartition) -> Value {
    let Claim { partition, generation, .. } = &held.claim;
    json!({
        "topic": partition.topic,
        "partition_id": partition.partition_id,
        "generation": generation,
        "committed": held.committed,
        "is_leaving": held.is_leaving,
    })
}

pub(super) async fn commit(
    State(api): State<Arc<Api>>,
    MemberPath(group_id, member): MemberPath,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let caller = caller(&request);
    let committing: Committing = read_json(&api, request).await?;
    committing.check(&caller)?;
    let Committing { offsets, release } = committing;
    let offsets: Vec<ClaimedOffset> = offsets.into_iter().map(Offset::claimed).collect();
    if !offsets.is_empty() {
        api.catalog.commit_claimed(&group_id, member, &offsets).await?;
    }
    let claims: Vec<Claim> = release.into_iter().map(|released| released.claim(member)).collect();
    let released = match claims.as_slice() {
        [] => 0,
        claims => api.catalog.release_claims(&group_id, claims).await?,
    };
    Ok(Json(json!({ "committed": offsets.len(), "released": released })))
}

impl Committing {
    /// Refuses what the caller may not do, and what cannot be meant.
    fn check(&self, caller: &Caller) -> Result<(), ApiError> {
        let of_offsets = self.offsets.iter().map(|offset| (&offset.topic, offset.generation));
        let of_claims = self.release.iter().map(|released| (&released.topic, released.generation));
        for (topic, Generation(generation)) in of_offsets.chain(of_claims) {
            caller.ensure(Right::Read, topic)?;
            if i64::try_from(generation).is_err() {
                let text = format!("generation is {generation}; allowed is the one that joining answered with");
                return Err(ApiError::invalid(text));
            }
        }
        if self.offsets.is_empty() && self.release.is_empty() {
            return Err(ApiError::invalid("there is nothing to commit; give offsets or release"));
        }
        if self.offsets.iter().filter_map(|offset| offset.metadata.as_deref()).any(|text| text.contains('\0')) {
            return Err(ApiError::invalid("metadata has a NUL; allowed is any other text"));
        }
        Ok(())
    }
}

impl Offset {
    fn claimed(self) -> ClaimedOffset {
        let (partition, generation) = (TopicPartition::new(self.topic, self.partition_id), self.generation);
        let (incarnation, offset, metadata) = (self.incarnation, self.offset, self.metadata);
        let replaces = self.replaces.map(|Place { incarnation, offset }| Position { incarnation, offset });
        ClaimedOffset { partition, generation, incarnation, offset, replaces, metadata }
    }
}

impl Released {
    fn claim(self, member: MemberId) -> Claim {
        let partition = TopicPartition::new(self.topic, self.partition_id);
        Claim { partition, member, generation: self.generation }
    }
}

/// Takes a member out of its group. One that is not there is no error: a repetition finds none.
pub(super) async fn leave(
    State(api): State<Arc<Api>>,
    MemberPath(group_id, member): MemberPath,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    Query::read(request.uri().query(), &[])?;
    let caller = caller(&request);
    let view = api.catalog.group_view(&group_id).await?;
    if may_be(&caller, &view, member)? {
        api.catalog.leave_group(&group_id, member).await?;
    }
    Ok(Json(json!({ "left": member })))
}

/// Refuses a caller who may not read all topics of the member, and so could not have joined as it; true if the member is there.
fn may_be(caller: &Caller, view: &GroupView, member: MemberId) -> Result<bool, ApiError> {
    let Some(found) = view.members.iter().find(|of| of.member == member) else { return Ok(false) };
    found.topics.iter().try_for_each(|topic| caller.ensure(Right::Read, topic))?;
    Ok(true)
}

impl From<GroupError> for ApiError {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Fetch(error) => error.into(),
            GroupError::Catalog(error) => error.into(),
            error @ GroupError::NotHeld { .. } => Self::new(Code::Conflict, error.to_string()),
            error @ GroupError::Invalid(_) => Self::invalid(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;

//! `/v1/groups`: consumer groups with their members and lag; setting their offsets; deleting them.
//!
//! Owns: the group that a caller sees, and the body of a reset. Does not own: the numbers (crate `consumer`), members over
//! HTTP (`members`).
//!
//! A group is in sight with one of its topics, and shows no other ones. One without topics is in sight of administrators.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use catalog::{Caller, CatalogError, ConsumerOffset, GroupInfo, GroupMember, Right};
use common::timestamp::{TIMESTAMPS_ALLOWED, parse_timestamp_us};
use common::{TopicName, TopicPartition};
use consumer::{ResetTo, check_reset, lags, plan_reset};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::access::caller;
use super::error::ApiError;
use super::json_body::read_json;
use super::parameters::Query;
use super::path::GroupPath;
use super::topics::found;

/// The place that a group is set to, in the partitions of a topic.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    topic: TopicName,
    /// Only this one.
    partition_id: Option<u32>,
    /// `begin`, `end`, or a number. Any JSON is read, so that what is wrong can be named.
    offset: Option<Value>,
    /// The first record since then.
    time: Option<String>,
    /// Show the change, and make none.
    #[serde(default)]
    dry_run: bool,
}

impl Reset {
    fn to(&self) -> Result<ResetTo, ApiError> {
        match (&self.offset, &self.time) {
            (Some(_), Some(_)) => Err(ApiError::invalid("offset and time are different places; use one of them")),
            (None, None) => Err(ApiError::invalid("offset or time is missing: offset is begin, end or a number")),
            (Some(given), None) => match (given.as_u64(), given.as_str()) {
                (Some(offset), _) => Ok(ResetTo::Offset(offset)),
                (None, Some("begin")) => Ok(ResetTo::Begin),
                (None, Some("end")) => Ok(ResetTo::End),
                _ => Err(ApiError::invalid(format!(
                    "offset is {given}; allowed is begin, end or a whole number from 0 on"
                ))),
            },
            (None, Some(text)) => {
                let allowed = || ApiError::invalid(format!("time is {text:?}; allowed is {TIMESTAMPS_ALLOWED}"));
                parse_timestamp_us(text).map(ResetTo::Time).ok_or_else(allowed)
            }
        }
    }
}

pub(super) async fn list(State(api): State<Arc<Api>>, request: Request) -> Result<Json<Value>, ApiError> {
    Query::read(request.uri().query(), &[])?;
    let caller = caller(&request);
    let groups = api.catalog.list_groups().await?;
    let groups: Vec<GroupInfo> = groups.into_iter().filter_map(|group| in_sight(&caller, group)).collect();
    Ok(Json(json!({ "groups": groups })))
}

pub(super) async fn describe(
    State(api): State<Arc<Api>>,
    GroupPath(group_id): GroupPath,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    Query::read(request.uri().query(), &[])?;
    let caller = caller(&request);
    seen(&api, &caller, &group_id).await?;
    let may_read = |topic: &TopicName| caller.may(Right::Read, topic);
    let (view, mut lags) = Box::pin(lags(&api.fetcher, &group_id)).await?;
    lags.retain(|lag| may_read(&lag.partition.topic));
    let in_sight = |mut member: GroupMember| {
        member.topics.retain(may_read);
        (!member.topics.is_empty()).then_some(member)
    };
    let members: Vec<GroupMember> = view.members.into_iter().filter_map(in_sight).collect();
    Ok(Json(json!({
        "group_id": view.group_id,
        "generation": view.generation,
        "members": members,
        "partitions": lags,
    })))
}

pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    GroupPath(group_id): GroupPath,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    Query::read(request.uri().query(), &[])?;
    let caller = caller(&request);
    let group = listed(&api, &group_id).await?;
    group.topics.iter().try_for_each(|topic| caller.ensure(Right::Admin, topic))?;
    api.catalog.delete_consumer_group(&group_id).await?;
    Ok(Json(json!({ "deleted": group_id })))
}

pub(super) async fn reset(
    State(api): State<Arc<Api>>,
    GroupPath(group_id): GroupPath,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let caller = caller(&request);
    let wanted: Reset = read_json(&api, request).await?;
    caller.ensure(Right::Admin, &wanted.topic)?;
    let to = wanted.to()?;
    let partitions = partitions(&api, &wanted).await?;
    let planned = Box::pin(plan_reset(&api.resetting, &group_id, &partitions, to)).await?;
    if wanted.dry_run {
        check_reset(api.catalog.as_ref(), &group_id).await?;
    } else {
        let offsets: Vec<ConsumerOffset> = planned.iter().map(|planned| planned.row.clone()).collect();
        api.catalog.reset_offsets(&offsets).await?;
    }
    Ok(Json(json!({ "group_id": group_id, "dry_run": wanted.dry_run, "partitions": planned })))
}

async fn partitions(api: &Api, wanted: &Reset) -> Result<Vec<TopicPartition>, ApiError> {
    let count = found(api, &wanted.topic).await?.partition_count;
    let of = |partition_id| TopicPartition::new(wanted.topic.clone(), partition_id);
    match wanted.partition_id {
        None => Ok((0..count).map(of).collect()),
        Some(wanted) if wanted < count => Ok(vec![of(wanted)]),
        Some(other) => {
            let (name, last) = (&wanted.topic, count - 1);
            Err(ApiError::invalid(format!("partition_id is {other}; topic {name} has partitions 0 to {last}")))
        }
    }
}

/// The group as the caller sees it.
fn in_sight(caller: &Caller, mut group: GroupInfo) -> Option<GroupInfo> {
    let is_empty = group.topics.is_empty();
    group.topics.retain(|topic| caller.may(Right::Read, topic));
    let is_seen = if is_empty { caller.ensure_somewhere(Right::Admin).is_ok() } else { !group.topics.is_empty() };
    is_seen.then_some(group)
}

/// The group, which must exist for the caller.
async fn seen(api: &Api, caller: &Caller, group_id: &str) -> Result<GroupInfo, ApiError> {
    let group = listed(api, group_id).await?;
    in_sight(caller, group).ok_or_else(|| CatalogError::GroupNotFound(group_id.to_owned()).into())
}

async fn listed(api: &Api, group_id: &str) -> Result<GroupInfo, ApiError> {
    let groups = api.catalog.list_groups().await?;
    let group = groups.into_iter().find(|group| group.group_id == group_id);
    group.ok_or_else(|| CatalogError::GroupNotFound(group_id.to_owned()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(body: &str) -> Result<ResetTo, String> {
        let reset: Reset = serde_json::from_str(body).expect("a body");
        reset.to().map_err(|error| error.message)
    }

    #[test]
    fn a_reset_names_one_place() {
        assert_eq!(to(r#"{"topic":"t","offset":"begin"}"#), Ok(ResetTo::Begin));
        assert_eq!(to(r#"{"topic":"t","offset":"end"}"#), Ok(ResetTo::End));
        assert_eq!(to(r#"{"topic":"t","offset":7}"#), Ok(ResetTo::Offset(7)));
        assert_eq!(to(r#"{"topic":"t","time":"1970-01-01T00:00:01Z"}"#), Ok(ResetTo::Time(1_000_000)));
        for (body, part) in [
            (r#"{"topic":"t"}"#, "offset or time is missing"),
            (r#"{"topic":"t","offset":"7"}"#, "offset is \"7\"; allowed is begin, end or a whole number"),
            (r#"{"topic":"t","offset":-1}"#, "offset is -1;"),
            (r#"{"topic":"t","offset":1.5}"#, "offset is 1.5;"),
            (r#"{"topic":"t","offset":1,"time":"1"}"#, "different places"),
            (r#"{"topic":"t","time":"soon"}"#, "time is \"soon\""),
        ] {
            let error = to(body).expect_err(body);
            assert!(error.contains(part), "{body}: {error}");
        }
    }
}

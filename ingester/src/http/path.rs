//! The names in a path: topic, partition, consumer group, member.
//!
//! Owns: reading them. Does not own: which names are valid (`common::ids`), which topics exist (the catalog).

use std::collections::HashMap;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use common::{MemberId, TopicName, TopicPartition};
use uuid::Uuid;

use super::error::ApiError;
use super::parameters::wrong;

/// Longest id of a group over HTTP, in bytes: PostgreSQL's indexes have a limit.
const GROUP_BYTES_MAX: usize = 256;

/// The name of the topic in the path of a request.
pub(super) struct TopicPath(pub(super) TopicName);

/// The topic and the partition.
pub(super) struct PartitionPath(pub(super) TopicPartition);

/// The consumer group in the path.
pub(super) struct GroupPath(pub(super) String);

/// The consumer group and its member.
pub(super) struct MemberPath(pub(super) String, pub(super) MemberId);

impl<S: Send + Sync> FromRequestParts<S> for GroupPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        group(&names(parts, state).await?).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MemberPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let names = names(parts, state).await?;
        let text = part(&names, "member");
        let id = Uuid::try_parse(text).map_err(|_| wrong("member", text, "the id that joining answered with"))?;
        Ok(Self(group(&names)?, MemberId(id)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TopicPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        topic(&names(parts, state).await?).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PartitionPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let names = names(parts, state).await?;
        let text = part(&names, "partition");
        let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let id = text.parse().ok().filter(|_| is_digits);
        let id = id.ok_or_else(|| wrong("partition", text, "a whole number from 0 on"))?;
        Ok(Self(TopicPartition::new(topic(&names)?, id)))
    }
}

async fn names<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<HashMap<String, String>, ApiError> {
    let names = Path::<HashMap<String, String>>::from_request_parts(parts, state).await;
    let Path(names) = names
        .map_err(|error| ApiError::invalid(format!("the names in the path cannot be read: {}", error.body_text())))?;
    Ok(names)
}

fn part<'n>(names: &'n HashMap<String, String>, name: &str) -> &'n str {
    names.get(name).map(String::as_str).unwrap_or_default()
}

fn group(names: &HashMap<String, String>) -> Result<String, ApiError> {
    let text = part(names, "group");
    match (1..=GROUP_BYTES_MAX).contains(&text.len()) && !text.contains('\0') {
        true => Ok(text.to_owned()),
        false => Err(wrong("group", text, "1 to 256 bytes of text without NUL")),
    }
}

fn topic(names: &HashMap<String, String>) -> Result<TopicName, ApiError> {
    TopicName::new(part(names, "topic")).map_err(|error| ApiError::invalid(error.to_string()))
}

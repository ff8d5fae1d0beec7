//! The names in a path: topic, partition.
//!
//! Owns: reading them. Does not own: which names are valid (`common::ids`), which topics exist (the catalog).

use std::collections::HashMap;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use common::{TopicName, TopicPartition};

use super::error::ApiError;
use super::parameters::wrong;

/// The name of the topic in the path of a request.
pub(super) struct TopicPath(pub(super) TopicName);

/// The topic and the partition.
pub(super) struct PartitionPath(pub(super) TopicPartition);

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
        .map_err(|error| ApiError::invalid(format!("the topic in the path cannot be read: {}", error.body_text())))?;
    Ok(names)
}

fn part<'n>(names: &'n HashMap<String, String>, name: &str) -> &'n str {
    names.get(name).map(String::as_str).unwrap_or_default()
}

fn topic(names: &HashMap<String, String>) -> Result<TopicName, ApiError> {
    TopicName::new(part(names, "topic")).map_err(|error| ApiError::invalid(error.to_string()))
}

//! `/v1/topics`: listing, creating, changing and deleting topics.
//!
//! Owns: the bodies of these requests. Does not own: which topics and changes are valid (`common::topic`), their order in
//! queue and catalog (crate `catalog`).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use catalog::{DeleteTopicError, NewTopic, Right, Topic, UpdateTopicError};
use common::TopicName;
use common::topic::{ColumnChange, ColumnSpec, Reading, TopicOptions};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::Api;
use super::access::caller;
use super::auto_create;
use super::error::{ApiError, Code};
use super::json_body::read_json;
use super::parameters::Query;
use super::path::TopicPath;

/// A change of columns, notations, packing, arrangement and retention, as `siltstone topic update` makes it.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TopicChange {
    columns: Vec<ColumnSpec>,
    drop_columns: Vec<String>,
    rename_columns: Vec<Renaming>,
    #[serde(deserialize_with = "given")]
    reading: Option<Reading>,
    #[serde(deserialize_with = "given")]
    packed: Option<bool>,
    #[serde(deserialize_with = "given")]
    sort: Option<Vec<String>>,
    #[serde(deserialize_with = "given")]
    bloom: Option<Vec<String>>,
    /// Null is without end.
    #[serde(deserialize_with = "given")]
    retention_ms: Option<Option<u64>>,
}

/// A member that may be absent; null is a value of it or refused.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Renaming {
    from: String,
    to: String,
}

pub(super) async fn list(State(api): State<Arc<Api>>, request: Request) -> Result<Json<Value>, ApiError> {
    Query::read(request.uri().query(), &[])?;
    let caller = caller(&request);
    let mut topics = api.catalog.list_topics().await?;
    topics.retain(|topic| caller.may(Right::Read, &topic.name));
    Ok(Json(json!({ "topics": topics })))
}

pub(super) async fn create(State(api): State<Arc<Api>>, request: Request) -> Result<impl IntoResponse, ApiError> {
    let caller = caller(&request);
    let new = read_json::<NewTopic>(&api, request).await?;
    caller.ensure(Right::Admin, &new.name)?;
    let config = new.config().map_err(ApiError::invalid)?;
    let topic = catalog::create_topic(api.queue.as_ref(), api.catalog.as_ref(), config).await?;
    let place = format!("/v1/topics/{}", topic.name.encoded());
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(topic)))
}

pub(super) async fn describe(
    State(api): State<Arc<Api>>,
    TopicPath(name): TopicPath,
    request: Request,
) -> Result<Response, ApiError> {
    Query::read(request.uri().query(), &[])?;
    let Some(topic) = api.catalog.get_topic(&name).await? else {
        return Ok(auto_create::absent(&api, &name));
    };
    Ok(Json(json!({ "topic": topic, "partitions": api.catalog.list_partitions(&name).await? })).into_response())
}

pub(super) async fn update(
    State(api): State<Arc<Api>>,
    TopicPath(name): TopicPath,
    request: Request,
) -> Result<Json<Topic>, ApiError> {
    let change: TopicChange = read_json(&api, request).await?;
    if change == TopicChange::default() {
        let text = "there is nothing to change; give columns, drop_columns, rename_columns, reading, packed, sort, bloom \
                    or retention_ms";
        return Err(ApiError::invalid(text));
    }
    let topic = found(&api, &name).await?;
    let retention_ms = change.retention_ms;
    let options = changed(&topic.config, change)?;
    let updated = match retention_ms {
        Some(kept_ms) => catalog::update_retention(api.catalog.as_ref(), &topic, kept_ms, options).await,
        None => catalog::update_topic(api.catalog.as_ref(), &topic, options).await,
    };
    // The next request with records goes by the new options.
    api.producer.topics().forget(&name);
    updated.map(Json).map_err(|error| match error {
        UpdateTopicError::Invalid(invalid) => ApiError::invalid(invalid.to_string()),
        UpdateTopicError::Catalog(error) => error.into(),
    })
}

pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    TopicPath(name): TopicPath,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    Query::read(request.uri().query(), &[])?;
    let deleted = catalog::delete_topic(api.queue.as_ref(), api.catalog.as_ref(), &name).await;
    api.producer.topics().forget(&name);
    match deleted {
        Ok(()) => Ok(Json(json!({ "deleted": name }))),
        Err(DeleteTopicError::Catalog(error)) => Err(error.into()),
        Err(error @ (DeleteTopicError::Queue { .. } | DeleteTopicError::StillListed { .. })) => {
            Err(ApiError::passed_on(Code::Unavailable, &error))
        }
    }
}

/// The topic, which must exist.
pub(super) async fn found(api: &Api, name: &TopicName) -> Result<Topic, ApiError> {
    api.catalog.get_topic(name).await?.ok_or_else(|| ApiError::topic_not_found(name.as_str()))
}

fn changed(options: &TopicOptions, change: TopicChange) -> Result<TopicOptions, ApiError> {
    let columns = ColumnChange {
        drop: change.drop_columns,
        rename: change.rename_columns.into_iter().map(|renaming| (renaming.from, renaming.to)).collect(),
        declare: change.columns,
    };
    let mut changed = if columns == ColumnChange::default() {
        options.clone()
    } else {
        options.evolve(&columns).map_err(|refused| ApiError::new(Code::Refused, refused.to_string()))?
    };
    changed.reading = change.reading.unwrap_or(changed.reading);
    changed.packed = change.packed.unwrap_or(changed.packed);
    changed.sort = change.sort.unwrap_or(changed.sort);
    changed.bloom = change.bloom.unwrap_or(changed.bloom);
    Ok(changed)
}

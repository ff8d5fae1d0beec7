//! Topics that are created by the first request with records for them.
//!
//! Owns: the topic of a rule before it is there, and its creation, of which several processes may be at work at once.
//! Does not own: the rules (`catalog::AutoCreate`), the moment of the creation (`send`).

use axum::Json;
use axum::response::{IntoResponse, Response};
use catalog::TopicConfig;
use common::TopicName;
use serde_json::json;

use super::Api;
use super::error::{ApiError, Code};
use crate::error::ProducerError;
use crate::topics::KnownTopic;

/// The topic of a request.
pub(super) struct Found {
    pub(super) known: KnownTopic,
    /// The same topic, if it is absent and a rule has its name: what is known is what it will be.
    pub(super) planned: Option<TopicConfig>,
}

/// The topic as it is, or as a rule makes it. Nothing is created: the request may yet be refused.
pub(super) async fn find(api: &Api, name: &TopicName) -> Result<Found, ApiError> {
    let absent = match api.producer.topics().get(name).await {
        Err(ProducerError::TopicNotFound(absent)) => absent,
        known => return Ok(Found { known: known?, planned: None }),
    };
    let Some(topic) = api.auto_create.topic(&absent) else {
        let names = api.auto_create.names();
        return Err(match names.as_str() {
            "" => ApiError::topic_not_found(name.as_str()),
            names => ApiError::new(
                Code::TopicNotFound,
                format!("topic {name} does not exist; create it first: AUTO_CREATE allows {names}"),
            ),
        });
    };
    let config = topic.config().map_err(ApiError::invalid)?;
    Ok(Found { known: KnownTopic::planned(config.clone()), planned: Some(config) })
}

/// The answer to a look at a topic that is absent. It has what the first request with records would make of it, so that a
/// producer knows the partitions before.
pub(super) fn absent(api: &Api, name: &TopicName) -> Response {
    let error = ApiError::topic_not_found(name.as_str());
    match api.auto_create.topic(name).and_then(|topic| topic.config().ok()) {
        Some(config) => {
            let planned = KnownTopic::planned(config).topic;
            (error.code.status(), Json(json!({ "error": error, "planned": *planned }))).into_response()
        }
        None => error.into_response(),
    }
}

/// Creates a topic for records that are about to be sent.
pub(super) async fn create(api: &Api, config: TopicConfig) -> Result<(), ApiError> {
    let name = config.name.clone();
    let created = catalog::create_topic(api.queue.as_ref(), api.catalog.as_ref(), config).await;
    match (created, api.producer.topics().get(&name).await) {
        (Ok(_), known) => {
            tracing::info!(topic = %name, "topic created at its first request with records");
            Ok(known.map(drop)?)
        }
        // Another request was first; its topic is as good.
        (Err(_), Ok(_)) => Ok(()),
        (Err(error), Err(_)) => Err(error.into()),
    }
}

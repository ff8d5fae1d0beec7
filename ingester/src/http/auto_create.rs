//! Topics that are created by the first request with records for them.
//!
//! Owns: the creation, of which several processes may be at work at once. Does not own: the rules (`catalog::AutoCreate`).

use common::TopicName;

use super::Api;
use super::error::{ApiError, Code};
use crate::error::ProducerError;
use crate::topics::KnownTopic;

/// The topic, created if it is absent and a rule has its name.
pub(super) async fn known(api: &Api, name: &TopicName) -> Result<KnownTopic, ApiError> {
    let absent = match api.producer.topics().get(name).await {
        Err(ProducerError::TopicNotFound(absent)) => absent,
        known => return Ok(known?),
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
    let created = catalog::create_topic(api.queue.as_ref(), api.catalog.as_ref(), config).await;
    match (created, api.producer.topics().get(name).await) {
        (Ok(_), known) => {
            tracing::info!(topic = %name, "topic created at its first request with records");
            Ok(known?)
        }
        // Another request was first; its topic is as good.
        (Err(_), Ok(known)) => Ok(known),
        (Err(error), Err(_)) => Err(error.into()),
    }
}

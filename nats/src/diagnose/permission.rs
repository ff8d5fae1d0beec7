//! The rights of a login on consumers, tried with one that reads nothing.
//!
//! Owns: making and deleting it, and the verdict. Does not own: the consumers that read (`consumer`).

use async_nats::jetstream::ErrorCode;
use common::diagnosis::{Area, Finding};
use common::ids::TopicPartition;
use common::topic::TopicDefinition;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::{self, Answer, EMPTY};
use crate::connection::Connection;
use crate::{consumer, topic_streams};

/// Checks that this login may create and delete consumers, with one on the first stream that is set to deliver
/// nothing.
pub(super) async fn check(connection: &Connection, topic: &TopicDefinition) -> Finding {
    let check = format!("{} permissions", topic.name);
    let (stream, _) = topic_streams::stream_of(topic, 0);
    let name = format!("siltstone-doctor-{}", Uuid::now_v7().simple());
    let config = json!({
        "name": name, "deliver_policy": "new", "ack_policy": "none", "inactive_threshold": 5_000_000_000_u64,
        "num_replicas": 1, "mem_storage": true,
    });
    let request = json!({ "stream_name": stream, "config": config, "action": "create" });
    let advice = "the login needs to publish to $JS.API.> (STREAM.INFO, STREAM.MSG.GET, DIRECT.GET, CONSUMER.*) and \
                  $JS.ACK.>, and to subscribe to _INBOX.>";
    let fail = |found: String| Finding::fail(Area::Queue, check.clone(), found, advice);
    match api::request::<Value>(connection, format!("CONSUMER.CREATE.{stream}.{name}"), &request).await {
        Err(error) => return fail(format!("no consumer on stream {stream}: {error}")),
        Ok(Answer::Refused(error)) if error.error_code() == ErrorCode::MAXIMUM_CONSUMERS_LIMIT => {
            return full(connection, topic, check).await;
        }
        Ok(Answer::Refused(error)) => return fail(format!("no consumer on stream {stream}: {error}")),
        Ok(Answer::Done(_)) => {}
    }
    match api::request::<Value>(connection, format!("CONSUMER.DELETE.{stream}.{name}"), &EMPTY).await {
        Ok(Answer::Done(_)) => Finding::ok(Area::Queue, check, "a consumer can be made and deleted"),
        Ok(Answer::Refused(error)) => fail(format!("consumer {name} on stream {stream} cannot be deleted: {error}")),
        Err(error) => fail(format!("consumer {name} on stream {stream} cannot be deleted: {error}")),
    }
}

/// The finding about a stream that allows no further consumer: good if Siltstone has the place.
async fn full(connection: &Connection, topic: &TopicDefinition, check: String) -> Finding {
    let (stream, _) = topic_streams::stream_of(topic, 0);
    let advice = "raise max_consumers of the stream, or delete a consumer that nobody reads";
    match consumer::has_own(connection, &stream, &TopicPartition::new(topic.name.clone(), 0)).await {
        Ok(true) => {
            Finding::ok(Area::Queue, check, "the stream's consumers are as many as it allows, Siltstone's among them")
        }
        Ok(false) => {
            let found = format!("stream {stream} allows no further consumer (max_consumers), and none is Siltstone's");
            Finding::fail(Area::Queue, check, found, advice)
        }
        Err(error) => Finding::fail(Area::Queue, check, error.to_string(), advice),
    }
}

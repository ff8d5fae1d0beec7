//! The server's side of a subscription: one consumer per partition, epoch and subscription.
//!
//! Owns: its name and settings, deleting it and its predecessors. Does not own: the position, which is the
//! catalog's: a consumer is never shared, resumed or trusted with anything.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::config::AckMode;
use super::connection::{Connection, EMPTY, server_error};
use super::topic_streams::PartitionStream;
use crate::ids::{Epoch, TopicPartition};
use crate::queue::QueueError;

/// Far above the messages of any segment: at the server's default of 1,000 a segment would never fill.
const ACK_PENDING_MAX: u64 = 50_000_000;
/// A message is never delivered again to the same consumer while its segment is settled.
const ACK_WAIT: Duration = Duration::from_secs(2 * 60 * 60);
/// A consumer whose reader died goes by itself after this.
const INACTIVE_THRESHOLD: Duration = Duration::from_secs(5 * 60);
/// Deletions at once.
const DELETES_MAX: usize = 8;

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a few hours")
}

fn prefix(partition: &TopicPartition) -> String {
    format!("siltstone-{}-{}-e", partition.topic.encoded(), partition.partition_id)
}

/// Epoch of the consumer `name`, if it is one of `partition`.
fn epoch_of(partition: &TopicPartition, name: &str) -> Option<Epoch> {
    let (epoch, unique) = name.strip_prefix(&prefix(partition))?.split_once('-')?;
    if unique.contains('-') {
        return None;
    }
    epoch.parse().ok().map(Epoch)
}

/// Makes a consumer that starts at the first message with an offset of at least `from_offset`; gives its name.
pub(super) async fn create(
    connection: &Connection,
    stream: &PartitionStream,
    epoch: Epoch,
    from_offset: u64,
    ack: AckMode,
) -> Result<String, QueueError> {
    let unique = Uuid::now_v7().simple().to_string();
    let name = format!("{}{epoch}-{}", prefix(&stream.partition), &unique[12..]);
    let mut config = json!({
        "name": name,
        "description": format!("Siltstone {} epoch {epoch}", stream.partition),
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": from_offset.max(1),
        "replay_policy": "instant",
        "max_deliver": -1,
        "inactive_threshold": nanos(INACTIVE_THRESHOLD),
        "num_replicas": 1,
        "mem_storage": true,
    });
    match ack {
        AckMode::All => {
            config["ack_policy"] = json!("all");
            config["ack_wait"] = json!(nanos(ACK_WAIT));
            config["max_ack_pending"] = json!(ACK_PENDING_MAX);
        }
        AckMode::None => config["ack_policy"] = json!("none"),
    }
    if !stream.filters.is_empty() {
        config["filter_subjects"] = json!(stream.filters);
    }
    let request = json!({ "stream_name": stream.stream, "config": config, "action": "create" });
    let answer = connection.api::<Value>(format!("CONSUMER.CREATE.{}.{name}", stream.stream), &request).await?;
    match answer {
        Ok(_) => Ok(name),
        Err(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Err(QueueError::TopicUnknown {
            topic: stream.partition.topic.clone(),
            reason: format!("stream {} was deleted", stream.stream),
        }),
        Err(error) => Err(server_error(&format!("no consumer on stream {}", stream.stream), &error)),
    }
}

#[derive(Deserialize)]
struct Names {
    #[serde(default)]
    total: usize,
    #[serde(default)]
    consumers: Option<Vec<String>>,
}

/// Deletes the partition's consumers of this and earlier epochs except `own`, as far as possible: those that
/// remain cost the server a little until they go by themselves.
pub(super) async fn delete_others(connection: &Connection, stream: &PartitionStream, epoch: Epoch, own: &str) {
    let mut names: Vec<String> = Vec::new();
    loop {
        let request = json!({ "offset": names.len() });
        let page = connection.api::<Names>(format!("CONSUMER.NAMES.{}", stream.stream), &request).await;
        let Ok(Ok(page)) = page else { break };
        let found = page.consumers.unwrap_or_default();
        let is_last = found.is_empty() || names.len() + found.len() >= page.total;
        names.extend(found);
        if is_last {
            break;
        }
    }
    names.retain(|name| name != own && epoch_of(&stream.partition, name).is_some_and(|of| of <= epoch));
    stream::iter(names)
        .for_each_concurrent(DELETES_MAX, |name| async move {
            let deleted = delete(connection, stream, &name).await;
            tracing::debug!(consumer = %name, ok = deleted.is_ok(), "earlier consumer deleted");
        })
        .await;
}

/// Deletes one consumer; an absent one is no error.
pub(super) async fn delete(connection: &Connection, stream: &PartitionStream, name: &str) -> Result<(), QueueError> {
    let answer = connection.api::<Value>(format!("CONSUMER.DELETE.{}.{name}", stream.stream), &EMPTY).await?;
    match answer {
        Err(error) if error.error_code() != ErrorCode::CONSUMER_NOT_FOUND => {
            Err(server_error(&format!("consumer {name} cannot be deleted"), &error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TopicName;

    #[test]
    fn only_consumers_of_the_very_partition_are_recognised() {
        let partition = |topic: &str, id| TopicPartition::new(TopicName::new(topic).expect("valid"), id);
        let orders = partition("orders", 1);
        let name = format!("{}{}-0123456789ab", prefix(&orders), Epoch(7));
        assert_eq!(epoch_of(&orders, &name), Some(Epoch(7)));
        assert_eq!(epoch_of(&partition("orders", 10), &name), None);
        assert_eq!(epoch_of(&partition("orders-1", 0), &name), None);
        assert_eq!(epoch_of(&orders, "siltstone-orders-1-e2-e3-0123456789ab"), None);
        assert_eq!(epoch_of(&orders, "somebody-else"), None);
    }
}

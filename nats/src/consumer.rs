//! The server's side of a subscription: one consumer per partition, epoch and subscription.
//!
//! Owns: its name and settings, creating it, deleting it and its predecessors. Does not own: the rules of each
//! retention (`retention`), and the position, which is the catalog's: a consumer is never shared, resumed or trusted
//! with it.

use std::time::Duration;

use async_nats::jetstream::{Error as ServerError, ErrorCode};
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::{self, Answer, EMPTY, server_error};
use crate::connection::Connection;
use crate::retention::Acks;
use crate::topic_streams::PartitionStream;
use common::ids::{Epoch, TopicPartition};
use common::queue::QueueError;

/// Long enough that the same consumer never redelivers a message before its segment is committed.
const ACK_WAIT: Duration = Duration::from_secs(2 * 60 * 60);
/// Deletions at once.
const DELETES_MAX: usize = 8;

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a few hours")
}

fn prefix(partition: &TopicPartition) -> String {
    format!("siltstone-{}-{}-e", partition.topic.encoded(), partition.partition_id)
}

/// Epoch of the consumer `name`, if it belongs to `partition`.
fn epoch_of(partition: &TopicPartition, name: &str) -> Option<Epoch> {
    let (epoch, unique) = name.strip_prefix(&prefix(partition))?.split_once('-')?;
    if unique.contains('-') {
        return None;
    }
    epoch.parse().ok().map(Epoch)
}

/// The reader's requirements for a consumer.
pub(super) struct Wanted {
    pub(super) epoch: Epoch,
    /// The first unread offset.
    pub(super) from_offset: u64,
    /// Every message below is committed.
    pub(super) committed: u64,
    pub(super) acks: Acks,
}

/// A consumer that was created.
pub(super) struct Made {
    pub(super) name: String,
    /// It delivers nothing below this offset; it may deliver offsets that were already read.
    pub(super) start: u64,
}

/// Creates a new consumer, and deletes those of this and earlier epochs, in the order that loses nothing.
pub(super) async fn make(
    connection: &Connection,
    stream: &PartitionStream,
    wanted: &Wanted,
) -> Result<Made, QueueError> {
    let retention = stream.retention;
    if retention.deletes() {
        let others = of_partition(connection, stream).await?;
        if let Some((name, epoch)) = others.iter().find(|(_, epoch)| *epoch > wanted.epoch) {
            return Err(QueueError::unavailable(format!(
                "consumer {name} of stream {} belongs to epoch {epoch}, a later owner of {} than epoch {}; if there is \
                 none, because the catalog was restored from an older copy, delete that consumer",
                stream.stream, stream.partition, wanted.epoch
            )));
        }
        if retention.deletes_before_making() {
            delete_all(connection, stream, others.into_iter().map(|(name, _)| name).collect()).await;
        }
    }
    let mut made = create(connection, stream, wanted).await?;
    let is_full = |error: &ServerError| error.error_code() == ErrorCode::MAXIMUM_CONSUMERS_LIMIT;
    if !retention.deletes() && made.as_ref().is_err_and(is_full) {
        // The last owner's consumer may have the place, and nothing depends on it.
        delete_all(connection, stream, earlier(connection, stream, wanted).await).await;
        made = create(connection, stream, wanted).await?;
    }
    let name = match made {
        Ok(name) => name,
        Err(error) => return Err(refusal(connection, stream, &error).await),
    };
    if !retention.deletes_before_making() {
        let mut others = earlier(connection, stream, wanted).await;
        others.retain(|other| *other != name);
        delete_all(connection, stream, others).await;
    }
    Ok(Made { name, start: retention.start(wanted.from_offset, wanted.committed).unwrap_or(0) })
}

/// A new consumer, or the server's refusal.
async fn create(
    connection: &Connection,
    stream: &PartitionStream,
    wanted: &Wanted,
) -> Result<Result<String, ServerError>, QueueError> {
    let unique = Uuid::now_v7().simple().to_string();
    let name = format!("{}{}-{}", prefix(&stream.partition), wanted.epoch, &unique[12..]);
    let config = config(stream, wanted, &name);
    let request = json!({ "stream_name": stream.stream, "config": config, "action": "create" });
    let subject = format!("CONSUMER.CREATE.{}.{name}", stream.stream);
    Ok(match api::request::<Value>(connection, subject, &request).await? {
        Answer::Done(_) => Ok(name),
        Answer::Refused(error) => Err(error),
    })
}

/// The refusal of a consumer, with the way out where one is known.
async fn refusal(connection: &Connection, stream: &PartitionStream, error: &ServerError) -> QueueError {
    let name = &stream.stream;
    match error.error_code() {
        ErrorCode::STREAM_NOT_FOUND => {
            let reason = format!("stream {name} was deleted");
            QueueError::TopicUnknown { topic: stream.partition.topic.clone(), reason }
        }
        ErrorCode::CONSUMER_WQ_MULTIPLE_UNFILTERED | ErrorCode::CONSUMER_WQ_CONSUMER_NOT_UNIQUE => {
            let others = names(connection, &stream.stream).await.unwrap_or_default();
            let others = if others.is_empty() { "another".to_owned() } else { others.join(", ") };
            QueueError::refused(format!(
                "stream {name} has retention workqueue, which gives each message to one consumer, and {others} takes what {} \
                 would read ({error}); delete that consumer, or bind the topic to subjects that it does not take",
                stream.partition
            ))
        }
        _ => server_error(&format!("no consumer on stream {name}"), error),
    }
}

fn config(stream: &PartitionStream, wanted: &Wanted, name: &str) -> Value {
    let mut config = json!({
        "name": name,
        "description": format!("Siltstone {} epoch {}", stream.partition, wanted.epoch),
        "replay_policy": "instant",
        "max_deliver": -1,
    });
    match stream.retention.start(wanted.from_offset, wanted.committed) {
        Some(start) => {
            config["deliver_policy"] = json!("by_start_sequence");
            config["opt_start_seq"] = json!(start.max(1));
        }
        None => config["deliver_policy"] = json!("all"),
    }
    match stream.retention.inactive_threshold() {
        Some(threshold) => {
            config["inactive_threshold"] = json!(nanos(stream.bounded.inactive(threshold)));
            config["mem_storage"] = json!(true);
        }
        // It must outlive both the server and the reader.
        None => config["durable_name"] = json!(name),
    }
    if !stream.retention.deletes() {
        config["num_replicas"] = json!(1);
    }
    match wanted.acks {
        Acks::None => config["ack_policy"] = json!("none"),
        acks => {
            config["ack_policy"] = json!(if acks == Acks::Explicit { "explicit" } else { "all" });
            config["ack_wait"] = json!(nanos(ACK_WAIT));
            config["max_ack_pending"] = json!(stream.bounded.ack_pending_max);
        }
    }
    if !stream.filters.is_empty() {
        config["filter_subjects"] = json!(stream.filters);
    }
    config
}

#[derive(Deserialize)]
struct Names {
    #[serde(default)]
    total: usize,
    #[serde(default)]
    consumers: Option<Vec<String>>,
}

/// Every consumer of the stream.
async fn names(connection: &Connection, stream: &str) -> Result<Vec<String>, QueueError> {
    let mut names: Vec<String> = Vec::new();
    loop {
        let request = json!({ "offset": names.len() });
        let answer = api::request::<Names>(connection, format!("CONSUMER.NAMES.{stream}"), &request).await?;
        let page = answer.expected(&format!("consumers of stream {stream}"))?;
        let found = page.consumers.unwrap_or_default();
        let is_last = found.is_empty() || names.len() + found.len() >= page.total;
        names.extend(found);
        if is_last {
            return Ok(names);
        }
    }
}

/// The consumers of the partition, with their epochs.
async fn of_partition(connection: &Connection, stream: &PartitionStream) -> Result<Vec<(String, Epoch)>, QueueError> {
    let names = names(connection, &stream.stream).await?;
    let of_partition = |name: String| epoch_of(&stream.partition, &name).map(|epoch| (name, epoch));
    Ok(names.into_iter().filter_map(of_partition).collect())
}

/// True if one of the stream's consumers is the partition's.
pub(super) async fn has_own(
    connection: &Connection,
    stream: &str,
    partition: &TopicPartition,
) -> Result<bool, QueueError> {
    Ok(names(connection, stream).await?.iter().any(|name| epoch_of(partition, name).is_some()))
}

/// The consumers of the partition that this and earlier epochs made. One that cannot be listed or deleted now costs the
/// server a little until the next attach.
async fn earlier(connection: &Connection, stream: &PartitionStream, wanted: &Wanted) -> Vec<String> {
    let others = of_partition(connection, stream).await.unwrap_or_default();
    others.into_iter().filter(|(_, epoch)| *epoch <= wanted.epoch).map(|(name, _)| name).collect()
}

/// Deletes consumers; failures are tolerated.
async fn delete_all(connection: &Connection, stream: &PartitionStream, names: Vec<String>) {
    stream::iter(names)
        .for_each_concurrent(DELETES_MAX, |name| async move {
            let deleted = delete(connection, stream, &name).await;
            tracing::debug!(consumer = %name, ok = deleted.is_ok(), "earlier consumer deleted");
        })
        .await;
}

/// Deletes every consumer of the partition, of any epoch, after the topic was deleted.
pub(super) async fn delete_of_partition(connection: &Connection, stream: &PartitionStream) -> Result<(), QueueError> {
    for (name, _) in of_partition(connection, stream).await? {
        delete(connection, stream, &name).await?;
    }
    Ok(())
}

/// Deletes one consumer; an absent one is no error.
pub(super) async fn delete(connection: &Connection, stream: &PartitionStream, name: &str) -> Result<(), QueueError> {
    match api::request::<Value>(connection, format!("CONSUMER.DELETE.{}.{name}", stream.stream), &EMPTY).await? {
        Answer::Done(_) => Ok(()),
        Answer::Refused(error) if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND => Ok(()),
        Answer::Refused(error) => Err(server_error(&format!("consumer {name} cannot be deleted"), &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::ids::TopicName;

    #[test]
    fn only_consumers_of_the_same_partition_are_recognised() {
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

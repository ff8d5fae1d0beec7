//! Managed streams: those that Siltstone creates, one for each partition.
//!
//! Owns: their settings, and comparing an existing one with them. Does not own: creating it, its subjects
//! (`crate::subjects`).

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use super::stream_of;
use crate::subjects::subjects;
use common::queue::QueueError;
use common::topic::TopicDefinition;

const DUPLICATE_WINDOW_DEFAULT: Duration = Duration::from_secs(120);

/// The stream of one partition of a topic without bound streams.
pub(super) fn config(topic: &TopicDefinition, partition_id: u32) -> Config {
    let limits = topic.options.stream_limits.clone().unwrap_or_default();
    let max_age = Duration::from_secs(limits.age_max_secs.unwrap_or(0));
    // The server refuses a window longer than the messages' life.
    let window_max = if max_age.is_zero() { Duration::MAX } else { max_age };
    let duplicate_window =
        limits.duplicate_window_secs.map_or(DUPLICATE_WINDOW_DEFAULT.min(window_max), Duration::from_secs);
    Config {
        name: stream_of(topic, partition_id).0,
        description: Some(format!("Siltstone topic {} partition {partition_id}", topic.name)),
        subjects: subjects(topic, partition_id),
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        num_replicas: limits.replicas.unwrap_or(1),
        max_age,
        max_bytes: limits.bytes_max.unwrap_or(-1),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_message_size: -1,
        max_consumers: -1,
        duplicate_window,
        allow_direct: true,
        ..Config::default()
    }
}

/// Compares the settings that safety and the topic's options determine.
pub(super) fn compare(held: &Config, wanted: &Config) -> Result<(), QueueError> {
    let sorted = |subjects: &[String]| {
        let mut subjects = subjects.to_vec();
        subjects.sort();
        subjects
    };
    let unlimited = |limit: i64| if limit <= 0 { -1 } else { limit };
    let pairs = [
        ("subjects", format!("{:?}", sorted(&held.subjects)), format!("{:?}", sorted(&wanted.subjects))),
        ("retention", format!("{:?}", held.retention), format!("{:?}", wanted.retention)),
        ("storage", format!("{:?}", held.storage), format!("{:?}", wanted.storage)),
        ("discard", format!("{:?}", held.discard), format!("{:?}", wanted.discard)),
        ("replicas", held.num_replicas.to_string(), wanted.num_replicas.to_string()),
        ("max_age", format!("{:?}", held.max_age), format!("{:?}", wanted.max_age)),
        ("max_bytes", unlimited(held.max_bytes).to_string(), unlimited(wanted.max_bytes).to_string()),
        ("max_msgs", unlimited(held.max_messages).to_string(), "-1".to_owned()),
        ("max_msgs_per_subject", unlimited(held.max_messages_per_subject).to_string(), "-1".to_owned()),
        ("duplicate_window", format!("{:?}", held.duplicate_window), format!("{:?}", wanted.duplicate_window)),
        ("allow_direct", held.allow_direct.to_string(), wanted.allow_direct.to_string()),
    ];
    for (setting, held_value, wanted_value) in pairs {
        if held_value != wanted_value {
            return Err(QueueError::refused(format!(
                "stream {} exists with {setting} {held_value} instead of {wanted_value}",
                held.name
            )));
        }
    }
    Ok(())
}

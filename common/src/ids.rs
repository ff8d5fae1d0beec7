//! Names and numbers that identify things: topics, partitions, epochs, owners.
//!
//! Owns: the validity of a topic name and its safe encoding in object keys and file names.
//! Does not own: which topics exist (the catalog), where they are stored (segments' keys).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Longest topic name, in bytes *after* percent-encoding, so that it fits in one file name on every file system.
pub const TOPIC_NAME_ENCODED_BYTES_MAX: usize = 200;

/// The name of a topic: any printable UTF-8 text, 1 to [`TOPIC_NAME_ENCODED_BYTES_MAX`] bytes when encoded.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicName(Arc<str>);

/// A text that is not a valid topic name, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid topic name {name:?}: {reason}")]
pub struct InvalidTopicName {
    name: String,
    reason: &'static str,
}

impl TopicName {
    /// Checks `name` and wraps it.
    ///
    /// # Errors
    /// [`InvalidTopicName`] when it is empty, holds a control character, or is too long once encoded.
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidTopicName> {
        let name = name.as_ref();
        let refuse = |reason| Err(InvalidTopicName { name: name.to_owned(), reason });
        if name.is_empty() {
            return refuse("it is empty; allowed are 1 to 200 bytes of printable text");
        }
        if name.chars().any(char::is_control) {
            return refuse("it holds a control character; allowed is printable text");
        }
        if encode(name).len() > TOPIC_NAME_ENCODED_BYTES_MAX {
            return refuse("it is longer than 200 bytes once percent-encoded");
        }
        Ok(Self(Arc::from(name)))
    }

    /// The name as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with every byte outside `[A-Za-z0-9_-]` written as `%XX`: one safe path component, never `..`.
    pub fn encoded(&self) -> String {
        encode(&self.0)
    }

    /// True if the name equals its encoding, which a NATS stream or subject needs.
    pub fn is_plain(&self) -> bool {
        self.0.bytes().all(is_plain_byte)
    }
}

fn is_plain_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if is_plain_byte(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

impl TryFrom<String> for TopicName {
    type Error = InvalidTopicName;
    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl std::str::FromStr for TopicName {
    type Err = InvalidTopicName;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl From<TopicName> for String {
    fn from(name: TopicName) -> Self {
        name.0.to_string()
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// One partition of a topic: the unit of order and of ownership. Displayed as `topic/partition`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition's number, from 0 to `partition_count - 1`.
    pub partition_id: u32,
}

impl TopicPartition {
    /// The partition `partition_id` of `topic`.
    pub fn new(topic: TopicName, partition_id: u32) -> Self {
        Self { topic, partition_id }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition_id)
    }
}

/// Number of a partition's ownership. Each takeover adds one. The first partitions of a name begin at 0; those of a
/// topic with a deleted topic's name begin at the deleted topic's highest epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// Number of the queue's history of a partition. A recreated or rolled-back stream is a new history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Incarnation(pub u32);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identity of one process start of a writer. Never reused, so that an old process cannot pass for a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OwnerId(pub Uuid);

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One member of a consumer group: a process start, or whoever holds the id over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemberId(pub Uuid);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of a consumer group's state: it rises with each change of its members, their topics or their claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_prefix_are_encoded_away() {
        for name in ["..", "a/b", "%2e%2e", "a'b\"c", "日志", "a b"] {
            let encoded = TopicName::new(name).expect("valid").encoded();
            assert!(encoded.bytes().all(|b| is_plain_byte(b) || b == b'%'), "{encoded}");
        }
    }

    #[test]
    fn encoding_keeps_different_names_apart() {
        let encoded = |name| TopicName::new(name).expect("valid").encoded();
        assert_ne!(encoded("a/b"), encoded("a%2Fb"));
        assert_eq!(encoded("orders-v2_x"), "orders-v2_x");
    }

    #[test]
    fn empty_control_and_overlong_names_are_refused_with_the_reason() {
        assert!(TopicName::new("").is_err());
        assert!(TopicName::new("a\0b").expect_err("NUL").to_string().contains("control character"));
        assert!(TopicName::new("x".repeat(200)).is_ok());
        assert!(TopicName::new("x".repeat(201)).is_err());
        assert!(TopicName::new("é".repeat(34)).is_err(), "each é is six bytes encoded");
    }
}

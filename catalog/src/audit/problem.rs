//! The problems that an audit reports.
//!
//! Owns: the kinds of checks, and a problem with its place, its meaning and advice.
//! Does not own: finding problems.

use std::fmt;

use common::{Incarnation, TopicName, TopicPartition};
use serde::Serialize;

/// A kind of check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Commits chain up to the watermark, and their epochs never fall.
    Commits,
    /// Every offset below the watermark is in exactly one place.
    Offsets,
    /// Listed segments and commits belong together.
    Segments,
    /// No listed object has an upload.
    Uploads,
    /// Listed objects exist with their size and checksum.
    Objects,
    /// Objects hold as many rows as the commits counted.
    Rows,
    /// The queue has the same messages, where it still holds them.
    Stream,
    /// No consumer group is ahead of the records.
    Consumers,
    /// Readers of Iceberg see the objects that were live in the lake snapshot they are shown.
    Iceberg,
}

impl Check {
    /// All kinds, in the order of the checks.
    pub const ALL: [Self; 9] = [
        Self::Commits,
        Self::Offsets,
        Self::Segments,
        Self::Uploads,
        Self::Objects,
        Self::Rows,
        Self::Stream,
        Self::Consumers,
        Self::Iceberg,
    ];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Commits => "commits",
            Self::Offsets => "offsets",
            Self::Segments => "segments",
            Self::Uploads => "uploads",
            Self::Objects => "objects",
            Self::Rows => "rows",
            Self::Stream => "stream",
            Self::Consumers => "consumers",
            Self::Iceberg => "iceberg",
        }
    }

    /// The fact that the check proves when it finds no problem.
    pub fn claim(self) -> &'static str {
        match self {
            Self::Commits => "chain up to the watermark, no epoch falls",
            Self::Offsets => "each in one segment range, in quarantine or in a gap",
            Self::Segments => "each of one commit, with its range",
            Self::Uploads => "none of a listed object, none of a lost ownership",
            Self::Objects => "exist with their size and CRC-32C",
            Self::Rows => "footer, count, order and messages as committed",
            Self::Stream => "messages still held are the committed ones",
            Self::Consumers => "no group is ahead of the records",
            Self::Iceberg => "readers see the objects of a lake snapshot",
        }
    }
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The check that found it.
    pub check: Check,
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition_id: u32,
    /// The incarnation in which `offset` counts.
    pub incarnation: Incarnation,
    /// The first offset concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Key of the object concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The finding.
    pub found: String,
    /// Its meaning, and the action to take.
    pub advice: &'static str,
}

impl Problem {
    /// A problem of a partition.
    pub fn new(
        check: Check,
        partition: &TopicPartition,
        incarnation: Incarnation,
        found: impl Into<String>,
        advice: &'static str,
    ) -> Self {
        let TopicPartition { topic, partition_id } = partition.clone();
        let found = found.into();
        Self { check, topic, partition_id, incarnation, offset: None, key: None, found, advice }
    }

    /// The same problem with an offset.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// The same problem with an object.
    #[must_use]
    pub fn of(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.check.word(), self.topic, self.partition_id)?;
        if self.incarnation != Incarnation::default() {
            write!(f, " incarnation {}", self.incarnation)?;
        }
        if let Some(offset) = self.offset {
            write!(f, " offset {offset}")?;
        }
        if let Some(key) = &self.key {
            write!(f, " {key}")?;
        }
        write!(f, ": {}", self.found)
    }
}

//! What an audit reports.
//!
//! Owns: the kinds of checks, and a problem with its place, what it means and what to do.
//! Does not own: finding problems.

use std::fmt;

use common::{Incarnation, TopicName, TopicPartition};
use serde::Serialize;

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Commits chain up to the watermark, and their epochs never fall.
    Commits,
    /// Every offset below the watermark is in exactly one place.
    Offsets,
    /// Listed segments and commits belong together.
    Segments,
    /// What is listed is not about to be put or deleted.
    Uploads,
    /// Listed objects exist with their size and checksum.
    Objects,
    /// Rows in objects are those that the commit counted.
    Rows,
    /// The queue, where it still holds them, has the same messages.
    Stream,
}

impl Check {
    /// All of them, in the order in which they are made.
    pub const ALL: [Self; 7] =
        [Self::Commits, Self::Offsets, Self::Segments, Self::Uploads, Self::Objects, Self::Rows, Self::Stream];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Commits => "commits",
            Self::Offsets => "offsets",
            Self::Segments => "segments",
            Self::Uploads => "uploads",
            Self::Objects => "objects",
            Self::Rows => "rows",
            Self::Stream => "stream",
        }
    }

    /// What holds when it finds nothing.
    pub fn claim(self) -> &'static str {
        match self {
            Self::Commits => "chain up to the watermark, no epoch falls",
            Self::Offsets => "each in one segment range, in quarantine or in a gap",
            Self::Segments => "each of one commit, with its range",
            Self::Uploads => "none of a listed object, none of a lost ownership",
            Self::Objects => "exist with their size and CRC-32C",
            Self::Rows => "footer, count, order and messages as committed",
            Self::Stream => "messages still held are the committed ones",
        }
    }
}

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Which check found it.
    pub check: Check,
    /// Where: the topic.
    pub topic: TopicName,
    /// The partition.
    pub partition_id: u32,
    /// The history that `offset` counts in.
    pub incarnation: Incarnation,
    /// The first offset concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Key of the object concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What was found.
    pub found: String,
    /// What it means, and what to do.
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

    /// The same with an offset.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// The same with an object.
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

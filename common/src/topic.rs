//! Topics: the partitions, the format of the messages, the columns, the streams.
//!
//! Owns: the options stored as JSON in the catalog.
//! Does not own: the names of the formats (`format`), the types of columns (`columns`), their notation (`notation`), their
//! ids (`numbering`), the notations that JSON may have (`reading`), the order of rows (`arrangement`), the valid options
//! (`validity`), their changes (`evolution`), the Arrow schema of a topic (crate `lake`), decoding (crate `writer`).

mod arrangement;
mod columns;
mod evolution;
mod format;
mod member;
mod notation;
mod numbering;
mod reading;
mod time_format;
mod validity;
mod widening;

use serde::{Deserialize, Serialize};

use crate::ids::TopicName;
use crate::partitioner::Partitioner;

pub use self::columns::{ColumnSpec, ColumnType};
pub use self::evolution::{ColumnChange, EvolutionRefused};
pub use self::format::{Format, UnknownFormat};
pub use self::member::Member;
pub use self::numbering::DECLARED_ID_FIRST;
pub use self::reading::{Base64, Reading};
pub use self::time_format::TimeFormat;
pub use self::validity::{
    InvalidTopic, KEPT_PAYLOAD, PARTITION_COUNT_MAX, RESERVED_PREFIX, SYSTEM_COLUMNS, check_retention,
};

/// A topic's definition, as queue and writer need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDefinition {
    /// Its name.
    pub name: TopicName,
    /// Number of its partitions, at least 1.
    pub partition_count: u32,
    /// Its options.
    pub options: TopicOptions,
}

/// The options of a topic, stored as JSON in the catalog's `topics.config`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopicOptions {
    /// The format of its payloads.
    pub format: Format,
    /// The declared columns, for a format that has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnSpec>,
    /// The id of the next column that is declared, once columns keep their ids ([`Self::numbered_columns`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_column_id: Option<i32>,
    /// The notations that the values of JSON may have beside the strict ones.
    #[serde(skip_serializing_if = "Reading::is_default")]
    pub reading: Reading,
    /// The function that spreads keys over partitions.
    pub partitioner: Partitioner,
    /// Producers may put many records into one message ([`packing`](crate::packing)), which only Siltstone can read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub packed: bool,
    /// Rows of declared columns keep the bytes of their record too, in the column [`KEPT_PAYLOAD`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep_payload: bool,
    /// Columns that the rows of merged objects are sorted by, before time and place; each rises.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sort: Vec<String>,
    /// Columns on which merged objects have bloom filters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bloom: Vec<String>,
    /// Existing streams to read instead of managed ones: one per partition.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<BoundStream>,
    /// Settings of the streams that `topic create` makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_limits: Option<StreamLimits>,
}

/// An existing stream that serves one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundStream {
    /// The stream's name.
    pub stream: String,
    /// The subjects to read; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// Offset (sequence) at which reading begins; messages below are skipped on purpose. Absent means at the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_offset: Option<u64>,
}

/// Limits of managed streams; a missing one is unlimited (or the server's default).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamLimits {
    /// Copies of each stream in a NATS cluster, 1 to 5.
    pub replicas: Option<usize>,
    /// Messages older than this are discarded, committed or not.
    pub age_max_secs: Option<u64>,
    /// Publishing fails beyond this many bytes per partition.
    pub bytes_max: Option<i64>,
    /// Time for which a message id is remembered.
    pub duplicate_window_secs: Option<u64>,
}

impl TopicOptions {
    /// Options of a topic of JSON objects with these columns.
    pub fn json(columns: Vec<ColumnSpec>) -> Self {
        Self { format: Format::Json, columns, ..Self::default() }
    }
}

impl TopicDefinition {
    /// A topic with default options (format `raw`).
    pub fn new(name: TopicName, partition_count: u32) -> Self {
        Self { name, partition_count, options: TopicOptions::default() }
    }
}

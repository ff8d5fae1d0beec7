//! Rows as they are stored, and what they mean.
//!
//! Owns: the names of the columns and their conversion; a value that no program of ours stores is `Inconsistent`.
//! Does not own: statements.

use common::{Anchor, Epoch, Incarnation, OwnerId, TopicName, TopicPartition};
use sqlx::FromRow;
use uuid::Uuid;

use crate::error::{CatalogError, Result};
use crate::model::{
    Agent, ConsumerOffset, Partition, PartitionOwner, PartitionState, Scope, SegmentInfo, SegmentKind, Topic,
};

/// The columns of [`TopicRow`].
macro_rules! topic_columns {
    () => {
        "name, partition_count, retention_ms, config, schema_version, created_at, updated_at"
    };
}

/// The columns of [`PartitionRow`].
macro_rules! partition_columns {
    () => {
        "topic, partition_id, high_watermark, incarnation, epoch, owner, state, halt_reason, anchor_offset, \
         anchor_timestamp_us, anchor_hash, commit_no, created_at, updated_at"
    };
}

/// The columns of [`SegmentRow`].
macro_rules! segment_columns {
    () => {
        "id, topic, partition_id, incarnation, kind, base_offset, end_offset, record_count, size_bytes, bucket, key, \
         min_timestamp_us, max_timestamp_us, checksum, schema_version, created_at"
    };
}

pub(crate) use {partition_columns, segment_columns, topic_columns};

/// A row of `topics`.
#[derive(FromRow)]
pub(crate) struct TopicRow {
    name: String,
    partition_count: i64,
    retention_ms: Option<i64>,
    config: String,
    schema_version: i64,
    created_at: i64,
    updated_at: i64,
}

/// A row of `partitions`.
#[derive(FromRow)]
pub(crate) struct PartitionRow {
    topic: String,
    partition_id: i64,
    high_watermark: i64,
    incarnation: i64,
    epoch: i64,
    owner: Option<String>,
    state: String,
    halt_reason: Option<String>,
    anchor_offset: Option<i64>,
    anchor_timestamp_us: Option<i64>,
    anchor_hash: Option<i64>,
    commit_no: i64,
    created_at: i64,
    updated_at: i64,
}

/// A row of `segments`.
#[derive(FromRow)]
pub(crate) struct SegmentRow {
    id: String,
    topic: String,
    partition_id: i64,
    incarnation: i64,
    kind: String,
    base_offset: i64,
    end_offset: i64,
    record_count: i64,
    size_bytes: i64,
    bucket: String,
    key: String,
    min_timestamp_us: i64,
    max_timestamp_us: i64,
    checksum: i64,
    schema_version: i64,
    created_at: i64,
}

/// A row of `agents`.
#[derive(FromRow)]
pub(crate) struct AgentRow {
    owner: String,
    name: String,
    topics: String,
}

/// What `partitions` says of an owner.
#[derive(FromRow)]
pub(crate) struct PartitionOwnerRow {
    topic: String,
    partition_id: i64,
    owner: Option<String>,
    epoch: i64,
    high_watermark: i64,
    state: String,
}

/// A row of `consumer_offsets`.
#[derive(FromRow)]
pub(crate) struct ConsumerOffsetRow {
    group_id: String,
    topic: String,
    partition_id: i64,
    committed_offset: i64,
    metadata: Option<String>,
}

impl TopicRow {
    /// When it was created.
    pub(crate) fn created_at(&self) -> i64 {
        self.created_at
    }
}

impl TryFrom<TopicRow> for Topic {
    type Error = CatalogError;
    fn try_from(row: TopicRow) -> Result<Self> {
        let config = serde_json::from_str(&row.config)
            .map_err(|error| CatalogError::Inconsistent(format!("config of topic {}: {error}", row.name)))?;
        Ok(Self {
            partition_count: unsigned("partition_count", row.partition_count)?,
            retention_ms: row.retention_ms.map(|value| unsigned("retention_ms", value)).transpose()?,
            config,
            schema_version: unsigned("schema_version", row.schema_version)?,
            created_at: row.created_at,
            updated_at: row.updated_at,
            name: topic_name(&row.name)?,
        })
    }
}

impl TryFrom<PartitionRow> for Partition {
    type Error = CatalogError;
    fn try_from(row: PartitionRow) -> Result<Self> {
        let anchor = match (row.anchor_offset, row.anchor_timestamp_us, row.anchor_hash) {
            (Some(offset), Some(timestamp_us), Some(hash)) => {
                Some(Anchor { offset: unsigned("anchor_offset", offset)?, timestamp_us, hash: hash.cast_unsigned() })
            }
            _ => None,
        };
        Ok(Self {
            topic: topic_name(&row.topic)?,
            partition_id: unsigned("partition_id", row.partition_id)?,
            high_watermark: unsigned("high_watermark", row.high_watermark)?,
            incarnation: Incarnation(unsigned("incarnation", row.incarnation)?),
            epoch: Epoch(unsigned("epoch", row.epoch)?),
            owner: row.owner.as_deref().map(owner_id).transpose()?,
            state: partition_state(&row.state)?,
            halt_reason: row.halt_reason,
            anchor,
            commit_no: unsigned("commit_no", row.commit_no)?,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl TryFrom<SegmentRow> for SegmentInfo {
    type Error = CatalogError;
    fn try_from(row: SegmentRow) -> Result<Self> {
        Ok(Self {
            topic: topic_name(&row.topic)?,
            partition_id: unsigned("partition_id", row.partition_id)?,
            incarnation: Incarnation(unsigned("incarnation", row.incarnation)?),
            kind: match row.kind.as_str() {
                "data" => SegmentKind::Data,
                "quarantine" => SegmentKind::Quarantine,
                other => return Err(CatalogError::Inconsistent(format!("segment kind {other:?}"))),
            },
            base_offset: unsigned("base_offset", row.base_offset)?,
            end_offset: unsigned("end_offset", row.end_offset)?,
            record_count: unsigned("record_count", row.record_count)?,
            size_bytes: unsigned("size_bytes", row.size_bytes)?,
            min_timestamp_us: row.min_timestamp_us,
            max_timestamp_us: row.max_timestamp_us,
            checksum: unsigned("checksum", row.checksum)?,
            schema_version: unsigned("schema_version", row.schema_version)?,
            created_at: row.created_at,
            id: row.id,
            bucket: row.bucket,
            key: row.key,
        })
    }
}

impl TryFrom<AgentRow> for Agent {
    type Error = CatalogError;
    fn try_from(row: AgentRow) -> Result<Self> {
        let topics: Option<Vec<TopicName>> = serde_json::from_str(&row.topics)
            .map_err(|error| CatalogError::Inconsistent(format!("topics of agent {}: {error}", row.owner)))?;
        let scope = match topics {
            Some(topics) if topics.is_empty() => Scope::All,
            Some(topics) => Scope::Only(topics),
            None => Scope::Nothing,
        };
        Ok(Self { owner: owner_id(&row.owner)?, name: row.name, scope })
    }
}

impl TryFrom<PartitionOwnerRow> for PartitionOwner {
    type Error = CatalogError;
    fn try_from(row: PartitionOwnerRow) -> Result<Self> {
        Ok(Self {
            partition: topic_partition(&row.topic, row.partition_id)?,
            owner: row.owner.as_deref().map(owner_id).transpose()?,
            epoch: Epoch(unsigned("epoch", row.epoch)?),
            high_watermark: unsigned("high_watermark", row.high_watermark)?,
            state: partition_state(&row.state)?,
        })
    }
}

impl TryFrom<ConsumerOffsetRow> for ConsumerOffset {
    type Error = CatalogError;
    fn try_from(row: ConsumerOffsetRow) -> Result<Self> {
        Ok(Self {
            topic: topic_name(&row.topic)?,
            partition_id: unsigned("partition_id", row.partition_id)?,
            committed_offset: unsigned("committed_offset", row.committed_offset)?,
            group_id: row.group_id,
            metadata: row.metadata,
        })
    }
}

/// Converts every row, or says which cannot be.
pub(crate) fn all<R, T: TryFrom<R, Error = CatalogError>>(rows: Vec<R>) -> Result<Vec<T>> {
    rows.into_iter().map(T::try_from).collect()
}

/// A stored number that cannot be negative, in the width of the contract.
pub(crate) fn unsigned<T: TryFrom<i64>>(column: &str, value: i64) -> Result<T> {
    T::try_from(value).map_err(|_| CatalogError::Inconsistent(format!("{column} is {value}")))
}

/// The word that `partitions.state` holds.
pub(crate) fn partition_state(word: &str) -> Result<PartitionState> {
    match word {
        "active" => Ok(PartitionState::Active),
        "halted" => Ok(PartitionState::Halted),
        other => Err(CatalogError::Inconsistent(format!("partition state {other:?}"))),
    }
}

/// A stored partition.
pub(crate) fn topic_partition(topic: &str, partition_id: i64) -> Result<TopicPartition> {
    Ok(TopicPartition::new(topic_name(topic)?, unsigned("partition_id", partition_id)?))
}

/// A stored owner.
pub(crate) fn owner_id(text: &str) -> Result<OwnerId> {
    let id = Uuid::try_parse(text).map_err(|error| CatalogError::Inconsistent(format!("owner {text:?}: {error}")))?;
    Ok(OwnerId(id))
}

/// The word that `segments.kind` holds.
pub(crate) fn kind_word(kind: SegmentKind) -> &'static str {
    match kind {
        SegmentKind::Data => "data",
        SegmentKind::Quarantine => "quarantine",
    }
}

/// `PartitionNotFound` for `partition`.
pub(crate) fn partition_not_found(partition: &TopicPartition) -> CatalogError {
    CatalogError::PartitionNotFound { topic: partition.topic.to_string(), partition: partition.partition_id }
}

fn topic_name(name: &str) -> Result<TopicName> {
    TopicName::new(name).map_err(|error| CatalogError::Inconsistent(error.to_string()))
}

//! Rows as they are stored, and their types.
//!
//! Owns: the lists of columns and their conversion, in the same order; a value that this program never stores is
//! `Inconsistent`. Does not own: statements.

use std::str::FromStr;
use std::time::Duration;

use common::{AgentGroup, Anchor, Epoch, Incarnation, OffsetRange, OwnerId, TopicName, TopicPartition};
use uuid::Uuid;

use crate::database::Row;
use crate::error::{CatalogError, Result};
use crate::model::{Agent, ConsumerOffset, Contact, Gap, Partition, PartitionOwner, RegisteredAgent, Scope, Topic};

/// Lists of columns, as fragments of statements.
macro_rules! columns {
    (topic_columns) => {
        "name, partition_count, retention_ms, config, schema_version, created_at, updated_at"
    };
    (partition_columns) => {
        "topic, partition_id, high_watermark, incarnation, epoch, owner, state, halt_reason, anchor_offset, \
         anchor_timestamp_us, anchor_hash, commit_no, created_at, updated_at"
    };
    (segment_columns) => {
        "segments.id, segments.topic, segments.partition_id, segments.incarnation, segments.kind, \
         segments.base_offset, segments.end_offset, segments.record_count, segments.min_timestamp_us, \
         segments.max_timestamp_us, segments.schema_version, segments.created_at, segments.file_id"
    };
    (object_columns) => {
        "objects.file_id, objects.bucket, objects.key, objects.begin_snapshot, objects.level, objects.layout, \
         objects.record_count, objects.size_bytes, objects.footer_bytes, objects.checksum, objects.schema_version, \
         objects.min_partition, objects.max_partition, objects.min_offset, objects.max_offset, \
         objects.min_timestamp_us, objects.max_timestamp_us, objects.created_at"
    };
    (object_names) => {
        "file_id, bucket, key, begin_snapshot, level, layout, record_count, size_bytes, footer_bytes, checksum, \
         schema_version, min_partition, max_partition, min_offset, max_offset, min_timestamp_us, max_timestamp_us, \
         created_at"
    };
    (commit_columns) => {
        "incarnation, first_commit_no, commit_no, base_offset, end_offset, epoch, owner, message_count, record_count, \
         quarantined_count, data_segment_id, quarantine_segment_id, anchor_offset, anchor_timestamp_us, anchor_hash, \
         snapshot_id, committed_at"
    };
    (lake_column_names) => {
        "column_id, column_order, name, type, nullable, parent_column"
    };
    (iceberg_head_columns) => {
        "version, metadata_location, bucket, root, lake_snapshot, next_file_id, schema_version, metadata, manifests, \
         expires_at"
    };
    (token_columns) => {
        "id, name, hash, grants, created_at, expires_at, revoked_at"
    };
    (upload_columns) => {
        "bucket, key, topic, partition_id, segment_id, epoch, owner, state, created_at, doomed_at, sweeps"
    };
}

pub(crate) use columns;

impl TryFrom<Row> for Topic {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        let name = row.topic()?;
        Ok(Self {
            partition_count: row.unsigned("partition_count")?,
            retention_ms: row.optional_unsigned("retention_ms")?,
            config: serde_json::from_str(&row.text("config")?)
                .map_err(|error| CatalogError::Inconsistent(format!("config of topic {name}: {error}")))?,
            schema_version: row.unsigned("schema_version")?,
            created_at: row.integer("created_at")?,
            updated_at: row.integer("updated_at")?,
            name,
        })
    }
}

impl TryFrom<Row> for Partition {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        Ok(Self {
            topic: row.topic()?,
            partition_id: row.unsigned("partition_id")?,
            high_watermark: row.unsigned("high_watermark")?,
            incarnation: row.incarnation()?,
            epoch: row.epoch()?,
            owner: row.optional_owner()?,
            state: row.word("state")?,
            halt_reason: row.optional_text("halt_reason")?,
            anchor: row.optional_anchor()?,
            commit_no: row.unsigned("commit_no")?,
            created_at: row.integer("created_at")?,
            updated_at: row.integer("updated_at")?,
        })
    }
}

/// Of `owner, name, topics, agent_group, address`.
impl TryFrom<Row> for Agent {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        let (owner, name) = (row.owner()?, row.text("name")?);
        let topics: Option<Vec<TopicName>> = serde_json::from_str(&row.text("topics")?)
            .map_err(|error| CatalogError::Inconsistent(format!("topics of agent {owner}: {error}")))?;
        let scope = match topics {
            Some(topics) if topics.is_empty() => Scope::All,
            Some(topics) => Scope::Only(topics),
            None => Scope::Nothing,
        };
        Ok(Self { owner, name, scope, contact: row.contact()? })
    }
}

/// Of `role, owner, name, agent_group, address, started_at, silent_ms, partition_count`.
impl TryFrom<Row> for RegisteredAgent {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        Ok(Self {
            role: row.word("role")?,
            id: row.owner()?,
            name: row.text("name")?,
            contact: row.contact()?,
            started_at: row.integer("started_at")?,
            // A clock that was set back gives a negative time.
            silent_for: Duration::from_millis(u64::try_from(row.integer("silent_ms")?).unwrap_or_default()),
            partitions: row.unsigned("partition_count")?,
        })
    }
}

/// Of `topic, partition_id, owner, epoch, high_watermark, state`.
impl TryFrom<Row> for PartitionOwner {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        Ok(Self {
            partition: row.partition()?,
            owner: row.optional_owner()?,
            epoch: row.epoch()?,
            high_watermark: row.unsigned("high_watermark")?,
            state: row.word("state")?,
        })
    }
}

/// Of `group_id, topic, partition_id, incarnation, committed_offset, metadata`.
impl TryFrom<Row> for ConsumerOffset {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        Ok(Self {
            group_id: row.text("group_id")?,
            topic: row.topic()?,
            partition_id: row.unsigned("partition_id")?,
            incarnation: row.incarnation()?,
            committed_offset: row.unsigned("committed_offset")?,
            metadata: row.optional_text("metadata")?,
        })
    }
}

impl Row {
    /// The name of a topic.
    pub(crate) fn topic(&mut self) -> Result<TopicName> {
        TopicName::new(&self.text("topic")?).map_err(|error| CatalogError::Inconsistent(error.to_string()))
    }

    /// A topic and the number of a partition.
    pub(crate) fn partition(&mut self) -> Result<TopicPartition> {
        Ok(TopicPartition::new(self.topic()?, self.unsigned("partition_id")?))
    }

    /// The first and the last offset of a range.
    pub(crate) fn range(&mut self) -> Result<OffsetRange> {
        let (base, end) = (self.unsigned("base_offset")?, self.unsigned("end_offset")?);
        let range = OffsetRange::new(base, end);
        range.ok_or_else(|| CatalogError::Inconsistent(format!("{base}..={end} is not a range of offsets")))
    }

    pub(crate) fn incarnation(&mut self) -> Result<Incarnation> {
        Ok(Incarnation(self.unsigned("incarnation")?))
    }

    pub(crate) fn epoch(&mut self) -> Result<Epoch> {
        Ok(Epoch(self.unsigned("epoch")?))
    }

    pub(crate) fn owner(&mut self) -> Result<OwnerId> {
        owner_id(&self.text("owner")?)
    }

    pub(crate) fn optional_owner(&mut self) -> Result<Option<OwnerId>> {
        self.optional_text("owner")?.as_deref().map(owner_id).transpose()
    }

    /// The group and the address of an agent.
    pub(crate) fn contact(&mut self) -> Result<Contact> {
        let group = AgentGroup::new(&self.text("agent_group")?);
        let group = group.map_err(|error| CatalogError::Inconsistent(error.to_string()))?;
        Ok(Contact { group, address: self.optional_text("address")? })
    }

    /// The three columns of an anchor.
    pub(crate) fn anchor(&mut self) -> Result<Anchor> {
        let anchor = self.optional_anchor()?;
        anchor.ok_or_else(|| CatalogError::Inconsistent("a part of an anchor is absent".to_owned()))
    }

    /// The three columns of an anchor; `None` if one of them is NULL.
    pub(crate) fn optional_anchor(&mut self) -> Result<Option<Anchor>> {
        let offset = self.optional_unsigned("anchor_offset")?;
        let timestamp_us = self.optional_integer("anchor_timestamp_us")?;
        let hash = self.optional_integer("anchor_hash")?.map(i64::cast_unsigned);
        let (Some(offset), Some(timestamp_us), Some(hash)) = (offset, timestamp_us, hash) else { return Ok(None) };
        Ok(Some(Anchor { offset, timestamp_us, hash }))
    }

    /// The name of a value of `T`.
    /// A gap without its incarnation and time.
    pub(crate) fn gap(&mut self) -> Result<Gap> {
        Ok(Gap { range: self.range()?, kind: self.word("kind")?, reason: self.text("reason")? })
    }

    pub(crate) fn word<T: FromStr<Err = CatalogError>>(&mut self, name: &str) -> Result<T> {
        self.text(name)?.parse()
    }
}

fn owner_id(text: &str) -> Result<OwnerId> {
    let id = Uuid::try_parse(text).map_err(|error| CatalogError::Inconsistent(format!("owner {text:?}: {error}")))?;
    Ok(OwnerId(id))
}

/// Converts every row; the error names the first that cannot be converted.
pub(crate) fn all<T: TryFrom<Row, Error = CatalogError>>(rows: Vec<Row>) -> Result<Vec<T>> {
    rows.into_iter().map(T::try_from).collect()
}

/// Converts the only row, if there is one.
pub(crate) fn only<T: TryFrom<Row, Error = CatalogError>>(rows: Vec<Row>) -> Result<Option<T>> {
    rows.into_iter().next().map(T::try_from).transpose()
}

/// `PartitionNotFound` for `partition`.
pub(crate) fn partition_not_found(partition: &TopicPartition) -> CatalogError {
    CatalogError::PartitionNotFound { topic: partition.topic.to_string(), partition: partition.partition_id }
}

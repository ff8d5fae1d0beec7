//! The system tables: the rows of the catalog itself, in the schema `siltstone`.
//!
//! Owns: their names, and the columns of `topics`, `partitions` and `segments`.
//! Does not own: the other tables (`history`, `consumers`), the types of columns (`columns`), reading the rows (`known`).

mod columns;
mod consumers;
mod history;

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::error::Result;

use self::columns::{microseconds, milliseconds, partition, shown, table, text, uint32, uint64};
use catalog::{Partition, SegmentInfo, Topic, TopicSnapshot, View};

/// A system table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum SystemTable {
    Topics,
    Partitions,
    Segments,
    Commits,
    Gaps,
    Agents,
    Uploads,
    ConsumerGroups,
    ConsumerOffsets,
}

impl SystemTable {
    pub(super) const ALL: [Self; 9] = [
        Self::Topics,
        Self::Partitions,
        Self::Segments,
        Self::Commits,
        Self::Gaps,
        Self::Agents,
        Self::Uploads,
        Self::ConsumerGroups,
        Self::ConsumerOffsets,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Topics => "topics",
            Self::Partitions => "partitions",
            Self::Segments => "segments",
            Self::Commits => "commits",
            Self::Gaps => "gaps",
            Self::Agents => "agents",
            Self::Uploads => "uploads",
            Self::ConsumerGroups => "consumer_groups",
            Self::ConsumerOffsets => "consumer_offsets",
        }
    }

    /// The table of this name.
    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// Its columns.
    pub(super) fn schema(self) -> SchemaRef {
        self.rows(&View::default()).expect("columns without rows are equally long").schema()
    }

    /// Its rows in a view that has them.
    pub(super) fn rows(self, view: &View) -> Result<MemTable> {
        match self {
            Self::Topics => topics(&view.topics),
            Self::Partitions => partitions(&view.snapshots),
            Self::Segments => segments(&view.snapshots),
            Self::Commits => history::commits(&view.commits),
            Self::Gaps => history::gaps(&view.gaps),
            Self::Agents => history::agents(&view.agents),
            Self::Uploads => history::uploads(&view.uploads),
            Self::ConsumerGroups => consumers::groups(&view.groups),
            Self::ConsumerOffsets => consumers::offsets(&view.offsets),
        }
    }
}

fn topics(topics: &[Topic]) -> Result<MemTable> {
    table(vec![
        ("topic", text(topics, |topic| Some(topic.name.as_str()))),
        ("format", text(topics, |topic| Some(topic.config.format.as_str()))),
        ("partition_count", uint32(topics, |topic| topic.partition_count)),
        ("retention_ms", uint64(topics, |topic| topic.retention_ms)),
        ("schema_version", uint32(topics, |topic| topic.schema_version)),
        ("created_at", milliseconds(topics, |topic| Some(topic.created_at))),
        ("updated_at", milliseconds(topics, |topic| Some(topic.updated_at))),
    ])
}

fn partitions(snapshots: &[Arc<TopicSnapshot>]) -> Result<MemTable> {
    let rows: Vec<&Partition> = snapshots.iter().flat_map(|snapshot| &snapshot.partitions).collect();
    table(vec![
        ("topic", text(&rows, |row| Some(row.topic.as_str()))),
        ("partition", partition(&rows, |row| Some(row.partition_id))),
        ("high_watermark", uint64(&rows, |row| Some(row.high_watermark))),
        ("incarnation", uint32(&rows, |row| row.incarnation.0)),
        ("epoch", uint64(&rows, |row| Some(row.epoch.0))),
        ("owner", shown(&rows, |row| row.owner)),
        ("state", text(&rows, |row| Some(row.state.as_str()))),
        ("halt_reason", text(&rows, |row| row.halt_reason.as_deref())),
        ("commit_no", uint64(&rows, |row| Some(row.commit_no))),
        ("updated_at", milliseconds(&rows, |row| Some(row.updated_at))),
    ])
}

fn segments(snapshots: &[Arc<TopicSnapshot>]) -> Result<MemTable> {
    let rows: Vec<&SegmentInfo> = snapshots.iter().flat_map(|snapshot| &snapshot.segments).collect();
    table(vec![
        ("topic", text(&rows, |row| Some(row.topic.as_str()))),
        ("partition", partition(&rows, |row| Some(row.partition_id))),
        ("kind", text(&rows, |row| Some(row.kind.as_str()))),
        ("incarnation", uint32(&rows, |row| row.incarnation.0)),
        ("base_offset", uint64(&rows, |row| Some(row.range.base()))),
        ("end_offset", uint64(&rows, |row| Some(row.range.end()))),
        ("record_count", uint64(&rows, |row| Some(row.record_count))),
        ("size_bytes", uint64(&rows, |row| Some(row.object.size_bytes))),
        ("min_timestamp", microseconds(&rows, |row| row.min_timestamp_us)),
        ("max_timestamp", microseconds(&rows, |row| row.max_timestamp_us)),
        ("schema_version", uint32(&rows, |row| row.schema_version)),
        ("created_at", milliseconds(&rows, |row| Some(row.created_at))),
        ("bucket", text(&rows, |row| Some(row.object.bucket.as_str()))),
        ("key", text(&rows, |row| Some(row.object.key.as_str()))),
        ("id", text(&rows, |row| Some(row.id.as_str()))),
    ])
}

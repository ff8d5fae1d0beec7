//! Decode: messages become rows, or quarantine with a reason. Never neither.
//!
//! Owns: which decoder a topic has, and that every message is accounted for.
//! Does not own: when to decode (batch), or how rows are stored (segment).

mod columns;
mod json;
mod quarantine;
mod raw;
mod system;
mod values;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use catalog::Topic;
use common::Message;
use common::topic::{Format, TopicOptions};
use lake::schema::{quarantine_schema, table_schema};

use self::quarantine::Quarantine;

/// Everything about a topic that decoding and encoding need; one version of its schema.
#[derive(Debug)]
pub struct TopicTable {
    options: TopicOptions,
    schema: SchemaRef,
    quarantine: SchemaRef,
    schema_version: u32,
}

/// What became of some messages.
#[derive(Debug)]
pub struct Decoded {
    /// Rows of the topic's table; absent when there are none.
    pub rows: Option<RecordBatch>,
    /// Records that could not be decoded; absent when there are none.
    pub quarantine: Option<RecordBatch>,
}

impl TopicTable {
    /// The table of `topic` as it is now.
    pub fn new(topic: &Topic) -> Arc<Self> {
        Self::with_options(topic.config.clone(), topic.schema_version)
    }

    /// A table of these options.
    pub fn with_options(options: TopicOptions, schema_version: u32) -> Arc<Self> {
        let schema = table_schema(&options);
        Arc::new(Self { options, schema, quarantine: quarantine_schema(), schema_version })
    }

    /// Schema of the rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Schema of the quarantine.
    pub fn quarantine_schema(&self) -> &SchemaRef {
        &self.quarantine
    }

    /// The catalog's number of this schema.
    pub fn schema_version(&self) -> u32 {
        self.schema_version
    }

    /// Keeps `messages` of one partition whole, undecoded, one quarantined record each.
    pub fn quarantine_whole(&self, partition_id: u32, messages: &[Message], reason: &str) -> Decoded {
        let mut quarantine = Quarantine::new(partition_id);
        for message in messages {
            quarantine.push(message, 0, &message.payload, reason);
        }
        Decoded { rows: None, quarantine: quarantine.finish(&self.quarantine) }
    }

    /// Decodes `messages` of one partition, in order. Every message gives at least one row, in the table or in
    /// quarantine; `(offset, row)` is unique over both. No payload makes it fail.
    pub fn decode(&self, partition_id: u32, messages: &[Message]) -> Decoded {
        match self.options.format {
            Format::Raw => Decoded { rows: raw::decode(&self.schema, partition_id, messages), quarantine: None },
            Format::Json => json::decode(self, partition_id, messages),
        }
    }
}

//! Decode: messages become rows, or quarantine with a reason. Never neither.
//!
//! Owns: which decoder a topic has, and how long it lives: one schema version of one partition.
//! Does not own: when to decode (`batch`), the rows and refusals (`sink`), how rows are stored (`lake::segment`).
//!
//! A new format needs its words in `common::topic::Format`, its columns in `lake::schema`, a `Decoder` in a file here, and a
//! line in `TopicTable::decoder`.

mod columns;
mod json;
mod quarantine;
mod raw;
mod sink;
mod system;
mod text;
mod typed;
mod values;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use catalog::Topic;
use common::Message;
use common::topic::{Format, TopicOptions};
use lake::schema::{quarantine_schema, table_schema};

use self::json::JsonDecoder;
use self::raw::RawDecoder;
use self::sink::RowSink;
use self::text::TextDecoder;

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

/// Decodes the messages of one partition under one version of its topic's schema, chunk by chunk.
pub(crate) struct PartitionDecoder {
    table: Arc<TopicTable>,
    partition_id: u32,
    decoder: Box<dyn Decoder>,
}

/// Decodes one format. A decoder lives as long as the schema version of its partition, and may keep between chunks what it
/// learned; what it keeps changes no row.
trait Decoder: Send {
    /// Gives each record of `messages`, in order, to `sink`: accepted as a row, or refused with a reason. No payload makes it
    /// fail.
    fn decode(&mut self, messages: &[Message], sink: &mut RowSink);
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

    /// Decodes `messages` of one partition, in order. Every message gives at least one row, in the table or in
    /// quarantine; `(offset, row)` is unique over both. No payload makes it fail.
    pub fn decode(&self, partition_id: u32, messages: &[Message]) -> Decoded {
        self.decode_with(self.decoder().as_mut(), partition_id, messages)
    }

    /// A decoder of the topic's format.
    fn decoder(&self) -> Box<dyn Decoder> {
        match self.options.format {
            Format::Raw => Box::new(RawDecoder),
            Format::Json => Box::new(JsonDecoder::new(self)),
            Format::Text => Box::new(TextDecoder),
        }
    }

    fn decode_with(&self, decoder: &mut dyn Decoder, partition_id: u32, messages: &[Message]) -> Decoded {
        let mut sink = RowSink::new(self, partition_id, messages.len());
        decoder.decode(messages, &mut sink);
        sink.finish()
    }
}

impl PartitionDecoder {
    /// A decoder for a partition of the topic that `table` is of.
    pub(crate) fn new(table: Arc<TopicTable>, partition_id: u32) -> Self {
        Self { decoder: table.decoder(), table, partition_id }
    }

    /// The topic's table, in the version that it decodes into.
    pub(crate) fn table(&self) -> &TopicTable {
        &self.table
    }

    /// As [`TopicTable::decode`].
    pub(crate) fn decode(&mut self, messages: &[Message]) -> Decoded {
        self.table.decode_with(self.decoder.as_mut(), self.partition_id, messages)
    }

    /// Keeps `messages` whole, undecoded, one quarantined record each.
    pub(crate) fn quarantine_whole(&self, messages: &[Message], reason: &str) -> Decoded {
        let mut sink = RowSink::new(&self.table, self.partition_id, 0);
        for message in messages {
            sink.refuse_whole(message, reason);
        }
        sink.finish()
    }
}

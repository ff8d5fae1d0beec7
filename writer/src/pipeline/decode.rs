//! Decode: turns every message into rows, or quarantined records with a reason.
//!
//! Owns: the choice of a topic's decoder, and its lifetime: one schema version of one partition.
//! Does not own: the time of decoding (`batch`), the rows and refusals (`sink`), storing rows (`lake::segment`).
//!
//! A new format needs its words in `common::topic::Format`, its columns in `lake::schema`, a `Decoder` in a file of
//! the folder `decode`, and a line in `TopicTable::decoder`.

mod calendar;
mod columns;
mod foreign;
mod json;
mod quarantine;
mod raw;
mod rules;
mod sink;
mod system;
mod text;
mod typed;
mod unpack;
mod values;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use catalog::{Ownership, Topic};
use common::topic::{Format, TopicOptions};
use common::{Incarnation, Message};
use lake::schema::{EXTRA, quarantine_schema, table_schema};

use self::json::JsonDecoder;
use self::raw::RawDecoder;
use self::sink::RowSink;
use self::text::TextDecoder;

/// A topic's requirements for decoding and encoding, in one version of its schema.
#[derive(Debug)]
pub struct TopicTable {
    options: TopicOptions,
    schema: SchemaRef,
    quarantine: SchemaRef,
    schema_version: u32,
}

/// The origin of messages, in which their offsets count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Number of the partition.
    pub partition_id: u32,
    /// The history of the queue.
    pub incarnation: Incarnation,
}

/// The outcome of decoding messages.
#[derive(Debug)]
pub struct Decoded {
    /// Rows of the topic's table; absent if there are none.
    pub rows: Option<RecordBatch>,
    /// Records that could not be decoded; absent if there are none.
    pub quarantine: Option<RecordBatch>,
}

impl Decoded {
    /// True if a row has members that no column takes.
    pub(crate) fn has_undeclared(&self) -> bool {
        let extra = self.rows.as_ref().and_then(|rows| rows.column_by_name(EXTRA));
        extra.is_some_and(|extra| extra.null_count() < extra.len())
    }
}

/// Decodes the messages of one partition under one version of its topic's schema, chunk by chunk.
pub(crate) struct PartitionDecoder {
    table: Arc<TopicTable>,
    source: Source,
    decoder: Box<dyn Decoder>,
}

/// Decodes one format. A decoder lives as long as the schema version of its partition. It may keep state between
/// chunks, if that state changes no row.
trait Decoder: Send {
    /// Gives each record of `messages`, in order, to `sink`: accepted as a row, or refused with a reason. No payload
    /// makes it fail.
    fn decode(&mut self, messages: &[Message], sink: &mut RowSink<'_>);
}

impl TopicTable {
    /// The table of `topic` in its current version.
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
    pub fn decode(&self, source: Source, messages: &[Message]) -> Decoded {
        let mut sink = RowSink::new(self, source, messages.len());
        self.decoder().decode(messages, &mut sink);
        sink.finish()
    }

    /// As [`Self::decode`], in parts of bounded memory that `take` gets in order.
    pub(crate) fn decode_in_parts(&self, source: Source, messages: &[Message], take: &mut dyn FnMut(Decoded)) {
        self.decode_with(self.decoder().as_mut(), source, messages, take);
    }

    /// A decoder of the topic's format.
    fn decoder(&self) -> Box<dyn Decoder> {
        match self.options.format {
            Format::Raw => Box::new(RawDecoder),
            Format::Json => Box::new(JsonDecoder::new(self)),
            Format::Text => Box::new(TextDecoder),
        }
    }

    fn decode_with(
        &self,
        decoder: &mut dyn Decoder,
        source: Source,
        messages: &[Message],
        take: &mut dyn FnMut(Decoded),
    ) {
        let mut sink = RowSink::new(self, source, messages.len()).in_parts(take);
        decoder.decode(messages, &mut sink);
        let last = sink.finish();
        if last.rows.is_some() || last.quarantine.is_some() {
            take(last);
        }
    }
}

impl Source {
    /// The owned partition in its current incarnation.
    pub(crate) fn of(held: &Ownership) -> Self {
        Self { partition_id: held.partition.partition_id, incarnation: held.incarnation }
    }
}

impl PartitionDecoder {
    /// A decoder for messages of `source`, a partition of the topic of `table`.
    pub(crate) fn new(table: Arc<TopicTable>, source: Source) -> Self {
        Self { decoder: table.decoder(), table, source }
    }

    /// The topic's table, in the version of the decoded rows.
    pub(crate) fn table(&self) -> &TopicTable {
        &self.table
    }

    /// Decodes `messages`, in order, as [`TopicTable::decode`] does, in parts of bounded memory that `take` gets in
    /// order.
    pub(crate) fn decode(&mut self, messages: &[Message], take: &mut dyn FnMut(Decoded)) {
        self.table.decode_with(self.decoder.as_mut(), self.source, messages, take);
    }

    /// Quarantines `messages` undecoded, one whole record each.
    pub(crate) fn quarantine_whole(&self, messages: &[Message], reason: &str) -> Decoded {
        let mut sink = RowSink::new(&self.table, self.source, 0);
        for message in messages {
            sink.refuse_whole(message, reason);
        }
        sink.finish()
    }
}

//! Records on standard output.
//!
//! Owns: the form of the output, and noting offsets without records. Does not own: the text of a value
//! (`consumer::format`).

use anyhow::Context;
use arrow_array::RecordBatch;
use common::TopicPartition;
use consumer::Skipped;
use consumer::format::{self, Bytes};
use lake::schema::VALUE;

use crate::output;

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Objects on lines.
    Json,
    /// Comma-separated values.
    Csv,
    /// Payloads on lines.
    Raw,
}

/// Where records go.
#[derive(Debug)]
pub(super) struct Sink {
    form: Form,
    bytes: Bytes,
    has_header: bool,
    is_closed: bool,
}

impl Sink {
    pub(super) fn new(form: Form, bytes: Bytes) -> Self {
        Self { form, bytes, has_header: form == Form::Csv, is_closed: false }
    }

    /// True if nobody reads the output any more.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Prints records of a partition; returns after they are written.
    pub(super) fn print(&mut self, of: &TopicPartition, batches: &[RecordBatch]) -> anyhow::Result<()> {
        let mut text = Vec::new();
        for rows in batches {
            match self.form {
                Form::Json => format::write_json(&mut text, rows, self.bytes)?,
                Form::Csv => format::write_csv(&mut text, rows, std::mem::take(&mut self.has_header), self.bytes)?,
                Form::Raw => {
                    let is_typed =
                        rows.column_by_name(VALUE).is_none() || rows.column_by_name(lake::schema::EXTRA).is_some();
                    let column = format::payload_column(rows.schema_ref(), is_typed).with_context(|| {
                        format!(
                            "topic {} keeps no payloads: its records are columns, which --format json and csv print; \
                             `siltstone topic create --keep-payload` makes a topic that keeps them",
                            of.topic
                        )
                    })?;
                    format::write_payloads(&mut text, rows, column)?;
                }
            }
        }
        self.is_closed = !output::print_stream(&text, self.form == Form::Json)?;
        Ok(())
    }
}

/// Notes offsets that have no records.
pub(super) fn note_skipped(of: &TopicPartition, skipped: &[Skipped]) {
    for part in skipped {
        let (base, end) = (part.range.base(), part.range.end());
        output::note(&format!("{of}: offsets {base}-{end} are {}: {}", part.kind, part.reason));
    }
}

//! Records on standard output.
//!
//! Owns: the form of the output, that a CSV has one header, and noting offsets without records. Does not own: the text of a value
//! (`consumer::format`).

use anyhow::{Context, ensure};
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
    /// Several topics are read: each JSON object names its own.
    has_topics: bool,
    /// The columns of the CSV that was begun.
    header: Option<Vec<String>>,
    is_closed: bool,
}

impl Sink {
    pub(super) fn new(form: Form, bytes: Bytes, has_topics: bool) -> Self {
        Self { form, bytes, has_topics, header: None, is_closed: false }
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
                Form::Json if self.has_topics => {
                    format::write_json(&mut text, &format::naming_topic(rows, &of.topic)?, self.bytes)?;
                }
                Form::Json => format::write_json(&mut text, rows, self.bytes)?,
                Form::Csv => {
                    let names = rows.schema_ref().fields().iter().map(|field| field.name().clone());
                    let is_first = self.is_first(of, names.collect())?;
                    format::write_csv(&mut text, rows, is_first, self.bytes)?;
                }
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

    /// True if the header is still to be written. Its columns are those of all later rows.
    fn is_first(&mut self, of: &TopicPartition, names: Vec<String>) -> anyhow::Result<bool> {
        let Some(begun) = &self.header else {
            self.header = Some(names);
            return Ok(true);
        };
        ensure!(
            *begun == names,
            "the columns of topic {} changed: the header that was printed has {}, the next records have {}; these records are \
             not printed, and the command ends. Run it again for a header that fits: with --group it goes on here, else \
             --from says where",
            of.topic,
            begun.join(", "),
            names.join(", ")
        );
        Ok(false)
    }
}

/// Notes offsets that have no records.
pub(super) fn note_skipped(of: &TopicPartition, skipped: &[Skipped]) {
    for part in skipped {
        let (base, end) = (part.range.base(), part.range.end());
        output::note(&format!("{of}: offsets {base}-{end} are {}: {}", part.kind, part.reason));
    }
}

#[cfg(test)]
mod tests {
    use common::TopicName;

    use super::*;

    #[test]
    fn a_csv_has_one_header_and_no_row_of_other_columns() {
        let mut sink = Sink::new(Form::Csv, Bytes::Text, false);
        let of = TopicPartition::new(TopicName::new("orders").expect("valid"), 0);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert!(sink.is_first(&of, names(&["a", "b"])).expect("the first"));
        assert!(!sink.is_first(&of, names(&["a", "b"])).expect("the same"));
        for other in [&["a"][..], &["b", "a"], &["a", "c", "b"]] {
            let error = sink.is_first(&of, names(other)).expect_err("other columns").to_string();
            for part in ["columns of topic orders changed", "has a, b,", "--group", "--from"] {
                assert!(error.contains(part), "{error}");
            }
        }
    }
}

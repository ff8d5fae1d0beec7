//! Records that could not be decoded, kept whole with the reason.
//!
//! Owns: the columns of quarantine, and the length of a reason.
//! Does not own: refusing records (each format's decoder), their numbers (`sink`).

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_schema::SchemaRef;
use common::Message;

use super::Source;
use super::system::SystemColumns;

/// Longest reason, in bytes: parsers quote the input, which may be large and is kept in the next column anyway.
const REASON_BYTES_MAX: usize = 500;

/// Collects quarantined records.
pub(super) struct Quarantine {
    system: SystemColumns,
    reasons: StringBuilder,
    payloads: BinaryBuilder,
}

impl Quarantine {
    pub(super) fn new(source: Source) -> Self {
        let system = SystemColumns::with_capacity(source, 0);
        let (reasons, payloads) = (StringBuilder::with_capacity(0, 0), BinaryBuilder::with_capacity(0, 0));
        Self { system, reasons, payloads }
    }

    /// Keeps `payload`, record number `row` of `message`.
    pub(super) fn push(&mut self, message: &Message, row: u32, payload: &[u8], reason: &str) {
        self.system.push(message, row);
        self.reasons.append_value(shorten(reason));
        self.payloads.append_value(payload);
    }

    /// Number of records.
    pub(super) fn len(&self) -> usize {
        self.system.len()
    }

    pub(super) fn finish(mut self, schema: &SchemaRef) -> Option<RecordBatch> {
        if self.len() == 0 {
            return None;
        }
        let mut columns = self.system.finish().to_vec();
        columns.push(Arc::new(self.reasons.finish()));
        columns.push(Arc::new(self.payloads.finish()));
        Some(RecordBatch::try_new(Arc::clone(schema), columns).expect("columns are built for this schema"))
    }
}

fn shorten(reason: &str) -> &str {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

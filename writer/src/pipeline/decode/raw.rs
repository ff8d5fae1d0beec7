//! Format `raw`: every message is one row, its payload the column `value`.
//!
//! Owns: the column `value`. Does not own: system columns (`system`).

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::builder::BinaryBuilder;
use arrow_schema::SchemaRef;
use common::Message;

use super::system::SystemColumns;

pub(super) fn decode(schema: &SchemaRef, partition_id: u32, messages: &[Message]) -> Option<RecordBatch> {
    if messages.is_empty() {
        return None;
    }
    let mut system = SystemColumns::with_capacity(partition_id, messages.len());
    let bytes = messages.iter().map(|message| message.payload.len()).sum();
    let mut values = BinaryBuilder::with_capacity(messages.len(), bytes);
    for message in messages {
        system.push(message, 0);
        values.append_value(&message.payload);
    }
    let mut columns = system.finish();
    columns.push(Arc::new(values.finish()));
    Some(RecordBatch::try_new(Arc::clone(schema), columns).expect("columns are built for this schema"))
}

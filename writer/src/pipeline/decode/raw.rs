//! Format `raw`: every message is one row, its payload the column `value`.
//!
//! Owns: that rule. Does not own: the column (`lake::schema`), packed records (`unpack`).

use common::Message;

use super::Decoder;
use super::sink::RowSink;
use super::unpack::each_record;

/// Position of the column `value` behind the system columns.
const VALUE: usize = 0;

/// Decodes format `raw`; it keeps nothing between chunks.
pub(super) struct RawDecoder;

impl Decoder for RawDecoder {
    fn decode(&mut self, messages: &[Message], sink: &mut RowSink<'_>) {
        sink.reserve_bytes(VALUE, messages.iter().map(|message| message.payload.len()).sum());
        each_record(messages, sink, |records| {
            let payload = records.payload();
            records.row(payload, |row| row.columns[VALUE].push_bytes(payload).map_err(|refusal| refusal.to_string()));
        });
    }
}

//! Format `text`: every line of a payload is one row, the column `value`.
//!
//! Owns: the framing of lines, and refusing a line that is not UTF-8. Does not own: the column (`lake::schema`).
//!
//! Framing: a line ends at LF or CRLF, which are no part of it. A last line without either ends with the payload; a
//! carriage return there belongs to the line, like any other that no line feed follows. An empty payload is one empty
//! line, since every message becomes at least one record.

use common::Message;
use common::topic::ColumnType;

use super::Decoder;
use super::foreign::kind_of;
use super::sink::{Row, RowSink};
use super::unpack::each_message;

/// Position of the column `value` behind the system columns.
const VALUE: usize = 0;

/// Decodes format `text`; it keeps nothing between chunks.
pub(super) struct TextDecoder;

impl Decoder for TextDecoder {
    fn decode(&mut self, messages: &[Message], sink: &mut RowSink<'_>) {
        sink.reserve_bytes(VALUE, messages.iter().map(|message| message.payload.len()).sum());
        each_message(messages, sink, |records| {
            let payload = records.payload();
            for line in lines(payload) {
                records.row(line, |row| write(line, row).map_err(|reason| explained(reason, line, payload)));
            }
        });
    }
}

/// The lines of `payload` without their ends, at least one.
fn lines(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ended = payload.split_inclusive(|byte| *byte == b'\n').map(without_end);
    ended.chain(payload.is_empty().then_some(payload))
}

fn without_end(line: &[u8]) -> &[u8] {
    match line.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => line,
    }
}

fn write(line: &[u8], row: &mut Row<'_>) -> Result<(), String> {
    let text = std::str::from_utf8(line).map_err(|error| format!("not UTF-8: {error}"))?;
    row.columns[VALUE].push_text(&ColumnType::String, text).map_err(|refusal| refusal.to_string())
}

/// The reason, with what the payload is instead of text, as far as its first bytes tell.
fn explained(reason: String, line: &[u8], payload: &[u8]) -> String {
    match kind_of(payload).filter(|_| std::str::from_utf8(line).is_err()) {
        Some(kind) => format!("{reason}; the payload is {kind}"),
        None => reason,
    }
}

#[cfg(test)]
mod tests;

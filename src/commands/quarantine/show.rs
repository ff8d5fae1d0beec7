//! `quarantine show`: records whole.
//!
//! Owns: showing arbitrary bytes, as text or else in base64. Does not own: reading records (`Selection`).

use std::ops::ControlFlow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use catalog::{MetadataStore, Replay, SegmentInfo};
use common::config::Settings;
use serde_json::{Value, json};
use writer::quarantine::QuarantinedRecord;

use super::Selection;
use crate::output;
use crate::units::{count_text, time_text};

/// Bytes of a payload that are shown to people; JSON has them all.
const SHOWN_BYTES_MAX: usize = 2_000;

/// Show records whole, with the reason
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone quarantine show orders --limit 5")]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Show at most this many records
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
}

/// Prints the first records, with `json` one JSON object per line.
pub(super) async fn run(
    args: Args,
    settings: &Settings,
    catalog: &dyn MetadataStore,
    json: bool,
) -> anyhow::Result<()> {
    let mut shown = 0;
    let show = |_: &SegmentInfo, record: &QuarantinedRecord, replay: Option<&Replay>| {
        if shown == args.limit {
            output::note(&format!("the first {} records; --limit shows more", count_text(shown)));
            return Ok(ControlFlow::Break(()));
        }
        output::print(&if json { format!("{}\n", object(record, replay)) } else { text(record, replay) })?;
        shown += 1;
        Ok(ControlFlow::Continue(()))
    };
    args.selection.for_each(settings, catalog, show).await?;
    if shown == 0 {
        output::note("no such records in quarantine");
    }
    Ok(())
}

fn object(record: &QuarantinedRecord, replay: Option<&Replay>) -> Value {
    let origin = &record.origin;
    let mut object = json!({
        "topic": origin.partition.topic, "partition_id": origin.partition.partition_id,
        "incarnation": origin.incarnation, "offset": origin.offset, "row": origin.row,
        "timestamp_us": record.timestamp_us, "subject": record.subject, "headers": record.headers,
        "reason": record.reason,
        "replayed_to": replay.map(|replay| json!({
            "partition_id": replay.new_partition_id, "offset": replay.new_offset, "at": replay.replayed_at,
        })),
    });
    let mut bytes = |name: &str, bytes: Option<&[u8]>| match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => object[name] = Value::Null,
        Some((Ok(text), _)) => object[name] = Value::from(text),
        Some((Err(_), bytes)) => object[format!("{name}_base64")] = Value::from(STANDARD.encode(bytes)),
    };
    bytes("key", record.key.as_deref());
    bytes("payload", Some(&record.payload));
    object
}

fn text(record: &QuarantinedRecord, replay: Option<&Replay>) -> String {
    let origin = &record.origin;
    let mut lines = vec![format!(
        "{} offset {} row {}, {}, subject {}",
        origin.partition,
        origin.offset,
        origin.row,
        time_text(record.timestamp_us.div_euclid(1000)),
        record.subject
    )];
    lines.push(format!("  reason   {}", record.reason));
    if let Some(key) = &record.key {
        lines.push(format!("  key      {}", bytes_shown(key)));
    }
    lines.extend(record.headers.iter().map(|(name, value)| format!("  header   {name}: {value}")));
    if let Some(replay) = replay {
        let (partition, offset) = (replay.new_partition_id, replay.new_offset);
        lines.push(format!("  replayed {} to partition {partition} offset {offset}", time_text(replay.replayed_at)));
    }
    lines.push(format!("  payload  {}", bytes_shown(&record.payload)));
    lines.join("\n") + "\n"
}

/// Text as it is, if nothing in it can disturb a terminal; anything else in base64; both cut.
fn bytes_shown(bytes: &[u8]) -> String {
    let is_shown = |character: char| !character.is_control() || matches!(character, '\n' | '\t');
    let (shown, is_cut) = match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(is_shown) => {
            let mut end = text.len().min(SHOWN_BYTES_MAX);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            (text[..end].to_owned(), end < text.len())
        }
        _ => {
            let end = bytes.len().min(SHOWN_BYTES_MAX);
            (format!("base64 {}", STANDARD.encode(&bytes[..end])), end < bytes.len())
        }
    };
    if is_cut { format!("{shown}… ({} bytes)", count_text(bytes.len() as u64)) } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_what_they_are_and_cut() {
        assert_eq!(bytes_shown("{\"n\": \"é\"}".as_bytes()), "{\"n\": \"é\"}");
        assert_eq!(bytes_shown(b"\xff\x00"), "base64 /wA=");
        assert_eq!(bytes_shown(b"\x1b[2J"), "base64 G1sySg==", "no escape sequence reaches a terminal");
        let long = bytes_shown("é".repeat(3_000).as_bytes());
        assert!(long.ends_with("é… (6,000 bytes)") && long.chars().count() < 1_100, "{long}");
    }
}

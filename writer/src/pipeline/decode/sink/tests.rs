//! Rows and refusals, independent of a format: numbers, unfinished rows, and messages without any record.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use bytes::Bytes;
use common::Incarnation;
use common::topic::ColumnType;
use lake::schema::{OFFSET, PAYLOAD, REASON, ROW};

use super::*;
use crate::pipeline::decode::PartitionDecoder;

const COLUMNS: &str =
    r#"{"format":"json","columns":[{"name":"n","type":"int64","nullable":false},{"name":"s","type":"string"}]}"#;

fn table() -> Arc<TopicTable> {
    TopicTable::with_options(serde_json::from_str(COLUMNS).expect("valid"), 1)
}

fn source() -> Source {
    Source { partition_id: 3, incarnation: Incarnation(1) }
}

fn message(offset: u64, payload: &'static str) -> Message {
    Message {
        offset,
        timestamp_us: 0,
        key: None,
        headers: Vec::new(),
        subject: Arc::from("t.0"),
        payload: Bytes::from(payload),
        is_awaited: false,
    }
}

/// Offset and number of each row.
fn places(batch: &RecordBatch) -> Vec<(i64, i32)> {
    let offsets = batch.column_by_name(OFFSET).expect("there").as_primitive::<Int64Type>();
    let rows = batch.column_by_name(ROW).expect("there").as_primitive::<Int32Type>();
    offsets.values().iter().copied().zip(rows.values().iter().copied()).collect()
}

fn number(row: &mut Row<'_>, value: i64) -> Result<(), String> {
    row.columns[0].push_integer(&ColumnType::Int64, value).map_err(|refusal| refusal.to_string())
}

fn text(row: &mut Row<'_>, value: &str) -> Result<(), String> {
    row.columns[1].push_text(&ColumnType::String, value).map_err(|refusal| refusal.to_string())
}

#[test]
fn rows_and_refusals_of_a_message_share_one_count() {
    let mut sink = RowSink::new(&table(), Source::default(), 2);
    sink.message(&message(5, "first"), |records| {
        records.row(b"a", |row| number(row, 1));
        records.refuse(b"b", "unwanted");
        records.row(b"c", |row| number(row, 3));
    });
    sink.message(&message(7, "second"), |records| records.row(b"d", |row| number(row, 4)));
    let decoded = sink.finish();
    assert_eq!(places(&decoded.rows.expect("rows")), [(5, 0), (5, 2), (7, 0)]);
    assert_eq!(places(&decoded.quarantine.expect("one")), [(5, 1)]);
}

#[test]
fn half_a_row_is_taken_back_and_an_absent_value_is_null_or_a_refusal() {
    let mut sink = RowSink::new(&table(), Source::default(), 0);
    sink.message(&message(0, ""), |records| {
        records.row(b"half", |row| number(row, 1).and_then(|()| text(row, "lost")).and(Err("broken".to_owned())));
        records.row(b"absent", |row| text(row, "lost too"));
        let tried = records.try_row(|row| number(row, 2).and(Err("not in this way".to_owned())));
        assert_eq!(tried, Err("not in this way".to_owned()), "it is neither kept nor refused yet");
        records.row(b"good", |row| number(row, 3));
    });
    let decoded = sink.finish();
    let rows = decoded.rows.expect("one");
    assert_eq!(places(&rows), [(0, 2)]);
    assert_eq!(rows.column_by_name("n").expect("there").as_primitive::<Int64Type>().value(0), 3);
    assert!(rows.column_by_name("s").expect("there").is_null(0));
    let quarantine = decoded.quarantine.expect("two");
    let reasons = quarantine.column_by_name(REASON).expect("there").as_string::<i32>();
    assert_eq!([reasons.value(0), reasons.value(1)], ["broken", "column \"n\" is missing and takes no null"]);
    let payloads = quarantine.column_by_name(PAYLOAD).expect("there").as_binary::<i32>();
    assert_eq!([payloads.value(0), payloads.value(1)], [&b"half"[..], b"absent"]);
}

#[test]
#[should_panic(expected = "a message becomes at least one record")]
fn a_message_of_which_nothing_is_kept_is_a_defect() {
    RowSink::new(&table(), Source::default(), 0).message(&message(0, "lost"), |_| {});
}

#[test]
fn condemned_messages_are_kept_whole_and_undecoded() {
    let decoder = PartitionDecoder::new(table(), source());
    let decoded = decoder.quarantine_whole(&[message(1, "{\"n\":1}\n{\"n\":2}"), message(2, "")], "it killed twice");
    assert!(decoded.rows.is_none());
    let quarantine = decoded.quarantine.expect("both");
    assert_eq!(places(&quarantine), [(1, 0), (2, 0)]);
    let payloads = quarantine.column_by_name(PAYLOAD).expect("there").as_binary::<i32>();
    assert_eq!([payloads.value(0), payloads.value(1)], [&b"{\"n\":1}\n{\"n\":2}"[..], b""]);
}

#[test]
fn a_decoder_keeps_nothing_between_chunks_that_changes_a_row() {
    let chunks = [
        [message(0, "{\"n\":1,\"s\":\"a\"}"), message(1, "{\"s\":\"b\",\"n\":2}")],
        [message(2, "{\"x\":0,\"n\":3}"), message(3, "{\"n\":\"4\"}")],
        [message(4, "{\"s\":\"c\",\"x\":1,\"n\":5}"), message(5, "{\"n\":6}{\"s\":\"d\",\"n\":7}")],
    ];
    let mut decoder = PartitionDecoder::new(table(), source());
    for chunk in chunks {
        let (mut reused, fresh) = (Vec::new(), table().decode(source(), &chunk));
        decoder.decode(&chunk, &mut |part| reused.push((part.rows, part.quarantine)));
        assert_eq!(reused, [(fresh.rows, fresh.quarantine)]);
    }
}

/// The parts of the messages, and the greatest memory of one of them.
fn parts_of(messages: &[Message]) -> (Vec<Decoded>, usize) {
    let mut parts = Vec::new();
    PartitionDecoder::new(table(), source()).decode(messages, &mut |part| parts.push(part));
    let memory = |part: &Decoded| {
        [&part.rows, &part.quarantine].into_iter().flatten().map(RecordBatch::get_array_memory_size).sum()
    };
    let most = parts.iter().map(memory).max().unwrap_or_default();
    (parts, most)
}

#[test]
fn the_records_of_a_large_message_come_in_parts_of_bounded_memory() {
    const RECORDS: usize = 100_000;
    const REFUSED: i32 = 90_000;
    let mut lines = vec!["{\"n\":1}"; RECORDS];
    lines[REFUSED as usize] = "{\"n\":\"x\"}";
    // Each row repeats the key.
    let large = Message { key: Some(vec![b'k'; 1024].into()), payload: lines.join("\n").into(), ..message(7, "") };
    let (parts, most) = parts_of(&[message(6, "{\"n\":0}"), large, message(8, "{\"n\":2}")]);
    assert!(parts.len() >= RECORDS * 1024 / PART_BYTES_MAX && most < 3 * PART_BYTES_MAX, "{}, {most}", parts.len());
    let rows: Vec<_> = parts.iter().filter_map(|part| part.rows.as_ref()).flat_map(places).collect();
    let due = (0..RECORDS as i32).filter(|row| *row != REFUSED).map(|row| (7, row));
    assert_eq!(rows, [(6, 0)].into_iter().chain(due).chain([(8, 0)]).collect::<Vec<_>>());
    let refused: Vec<_> = parts.iter().filter_map(|part| part.quarantine.as_ref()).flat_map(places).collect();
    assert_eq!(refused, [(7, REFUSED)]);
}

#[test]
fn refusals_and_large_payloads_end_a_part_as_well() {
    let refused = Message { payload: "[]\n".repeat(300_000).into(), ..message(3, "") };
    let (parts, most) = parts_of(&[refused]);
    assert!(parts.len() > 1 && most < 3 * PART_BYTES_MAX, "{}, {most}", parts.len());
    let rows: Vec<_> = parts.iter().filter_map(|part| part.quarantine.as_ref()).flat_map(places).collect();
    assert_eq!(rows, (0..300_000).map(|row| (3, row)).collect::<Vec<_>>());
    let text = format!("{{\"n\":1,\"s\":\"{}\"}}", "x".repeat(PART_BYTES_MAX / 2));
    let messages = [0, 1, 2, 3].map(|offset| Message { payload: text.clone().into(), ..message(offset, "") });
    let (parts, _) = parts_of(&messages);
    let rows: Vec<_> = parts.iter().map(|part| part.rows.as_ref().map_or(0, RecordBatch::num_rows)).collect();
    assert_eq!(rows, [2, 2]);
}

//! Lines and line ends, bytes that are not UTF-8, counts that add up.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use bytes::Bytes;
use lake::schema::{OFFSET, PAYLOAD, REASON, ROW, VALUE};
use proptest::prelude::*;

use super::*;
use crate::pipeline::decode::{Decoded, Source, TopicTable};

/// One record: offset, row, and its text or its bytes with the reason.
type Record = (i64, i32, Result<String, (Vec<u8>, String)>);

/// All records of `payloads`, of the table and of quarantine, by offset and row.
fn run(payloads: &[&[u8]]) -> Vec<Record> {
    let message = |(offset, payload): (usize, &&[u8])| Message {
        offset: offset as u64,
        timestamp_us: 0,
        key: None,
        headers: Vec::new(),
        subject: Arc::from("t.0"),
        payload: Bytes::copy_from_slice(payload),
        is_awaited: false,
    };
    let messages: Vec<Message> = payloads.iter().enumerate().map(message).collect();
    let options = serde_json::from_str(r#"{"format":"text"}"#).expect("valid");
    let Decoded { rows, quarantine } = TopicTable::with_options(options, 1).decode(Source::default(), &messages);
    let mut records = Vec::new();
    if let Some(batch) = rows {
        let values = batch.column_by_name(VALUE).expect("there").as_string::<i32>();
        records.extend(
            places(&batch)
                .zip(values)
                .map(|((offset, row), value)| (offset, row, Ok(value.expect("never null").to_owned()))),
        );
    }
    if let Some(batch) = quarantine {
        let payloads = batch.column_by_name(PAYLOAD).expect("there").as_binary::<i32>();
        let reasons = batch.column_by_name(REASON).expect("there").as_string::<i32>();
        let refused = payloads
            .iter()
            .zip(reasons)
            .map(|(payload, reason)| (payload.expect("never null").to_vec(), reason.expect("never null").to_owned()));
        records.extend(places(&batch).zip(refused).map(|((offset, row), refused)| (offset, row, Err(refused))));
    }
    records.sort_unstable();
    records
}

fn places(batch: &RecordBatch) -> impl Iterator<Item = (i64, i32)> {
    let offsets = batch.column_by_name(OFFSET).expect("there").as_primitive::<Int64Type>().values().to_vec();
    let rows = batch.column_by_name(ROW).expect("there").as_primitive::<Int32Type>().values().to_vec();
    offsets.into_iter().zip(rows)
}

/// The lines of one payload, all of them text.
fn texts(payload: &str) -> Vec<String> {
    let record = |(index, (offset, row, text)): (usize, Record)| {
        assert_eq!((offset, row), (0, index as i32), "rows count from 0");
        text.expect("UTF-8")
    };
    run(&[payload.as_bytes()]).into_iter().enumerate().map(record).collect()
}

#[test]
fn a_line_ends_at_lf_or_crlf_or_with_the_payload() {
    for payload in ["a\nb", "a\nb\n", "a\r\nb", "a\r\nb\r\n", "a\nb\r\n"] {
        assert_eq!(texts(payload), ["a", "b"], "{payload:?}");
    }
    assert_eq!(texts("one"), ["one"]);
    assert_eq!(texts(" a \t"), [" a \t"], "blanks are kept");
    assert_eq!(
        texts("ä\u{2028}b\u{85}c\u{b}d\u{c}"),
        ["ä\u{2028}b\u{85}c\u{b}d\u{c}"],
        "no other character ends a line"
    );
}

#[test]
fn empty_lines_are_rows_and_the_last_line_end_begins_none() {
    assert_eq!(texts("a\n\nb"), ["a", "", "b"]);
    assert_eq!(texts("a\n\n"), ["a", ""]);
    assert_eq!(texts("\n\r\n"), ["", ""]);
    for payload in ["", "\n", "\r\n"] {
        assert_eq!(texts(payload), [""], "{payload:?}");
    }
}

#[test]
fn a_carriage_return_without_line_feed_belongs_to_the_line() {
    assert_eq!(texts("a\rb\nc\r"), ["a\rb", "c\r"]);
    assert_eq!(texts("a\r\r\nb"), ["a\r", "b"]);
}

#[test]
fn a_line_that_is_no_text_is_refused_alone() {
    let records = run(&[b"good\nb\xffd\r\nfine\n", b"\xe4", b"next"]);
    let not_text = |valid: usize| format!("not UTF-8: invalid utf-8 sequence of 1 bytes from index {valid}");
    let incomplete = "not UTF-8: incomplete utf-8 byte sequence from index 0".to_owned();
    assert_eq!(
        records,
        [
            (0, 0, Ok("good".to_owned())),
            (0, 1, Err((b"b\xffd".to_vec(), not_text(1)))),
            (0, 2, Ok("fine".to_owned())),
            (1, 0, Err((b"\xe4".to_vec(), incomplete))),
            (2, 0, Ok("next".to_owned())),
        ]
    );
}

#[test]
fn a_line_of_a_compressed_payload_names_the_compression() {
    for (payload, kind) in [
        (&b"\x1f\x8b\x08\xff"[..], "compressed with gzip"),
        (b"\x28\xb5\x2f\xfd\x04", "compressed with zstd"),
        (b"\x04\x22\x4d\x18\xe4", "compressed with lz4"),
    ] {
        let records = run(&[payload]);
        let Err((_, reason)) = &records[0].2 else { panic!("{records:?}") };
        assert!(reason.starts_with("not UTF-8: ") && reason.ends_with(&format!("; the payload is {kind}")), "{reason}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_cut_into_lines_of_which_each_is_kept(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..10)
    ) {
        check_every_line_is_kept(&payloads);
    }

    #[test]
    fn almost_text_is_cut_into_lines_of_which_each_is_kept(
        payloads in prop::collection::vec(prop::collection::vec(prop::sample::select(&b"ab\r\n\n\n\xc3\xa4\xff"[..]), 0..30), 1..10)
    ) {
        check_every_line_is_kept(&payloads);
    }
}

/// Compares the records with the lines, which this function cuts independently, byte by byte.
fn check_every_line_is_kept(payloads: &[Vec<u8>]) {
    let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
    let mut records = run(&slices).into_iter();
    for (offset, payload) in payloads.iter().enumerate() {
        for (row, expected) in cut(payload).into_iter().enumerate() {
            let (found_offset, found_row, found) = records.next().expect("no line is missing");
            assert_eq!((found_offset, found_row), (offset as i64, row as i32));
            match String::from_utf8(expected) {
                Ok(text) => assert_eq!(found, Ok(text)),
                Err(error) => assert_eq!(found.expect_err("no text").0, error.into_bytes()),
            }
        }
    }
    assert_eq!(records.next(), None, "no line is added");
}

fn cut(payload: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = vec![Vec::new()];
    for (index, byte) in payload.iter().enumerate() {
        let line = lines.last_mut().expect("never empty");
        if *byte != b'\n' {
            line.push(*byte);
            continue;
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if index + 1 < payload.len() {
            lines.push(Vec::new());
        }
    }
    lines
}

//! Packed records become the rows that they become alone, and nothing that is packed wrongly gets into the table.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use common::packing::{HEADER, Pack};
use common::topic::TopicOptions;
use lake::schema::{HEADERS, OFFSET, PAYLOAD, REASON, ROW, VALUE};
use proptest::prelude::*;

use super::*;
use crate::pipeline::decode::{Decoded, Source, TopicTable};

const JSON: &str = r#"{"format":"json","columns":[{"name":"n","type":"int64","nullable":false}]}"#;
const FORMATS: [&str; 3] = [JSON, r#"{"format":"text"}"#, r#"{"format":"raw"}"#];

type Record = (Option<Vec<u8>>, Vec<u8>);

fn decode(options: &str, messages: &[Message]) -> Decoded {
    let options: TopicOptions = serde_json::from_str(options).expect("valid");
    TopicTable::with_options(options, 1).decode(Source::default(), messages)
}

fn packed(records: &[Record]) -> Message {
    packed_as(true, records)
}

fn packed_as(may_compress: bool, records: &[Record]) -> Message {
    let mut pack = Pack::default();
    records.iter().for_each(|(key, payload)| pack.push(key.as_deref(), payload));
    let outgoing = pack.finish(may_compress);
    Message { headers: outgoing.headers, ..alone(7, &(None, outgoing.payload.to_vec())) }
}

fn alone(offset: u64, record: &Record) -> Message {
    let (key, payload) = record.clone();
    Message { offset, headers: Vec::new(), key: key.map(Bytes::from), ..message(("", ""), payload) }
}

/// A batch without the places of its rows, and these places.
fn placed(batch: Option<RecordBatch>) -> (Option<RecordBatch>, Vec<(i64, i32)>) {
    let Some(mut batch) = batch else { return (None, Vec::new()) };
    let mut take = |name: &str| {
        let index = batch.schema().index_of(name).expect("there");
        batch.remove_column(index)
    };
    let (offsets, rows) = (take(OFFSET), take(ROW));
    let (offsets, rows) = (offsets.as_primitive::<Int64Type>(), rows.as_primitive::<Int32Type>());
    let places = offsets.values().iter().copied().zip(rows.values().iter().copied()).collect();
    (Some(batch), places)
}

fn check_equal(options: &str, records: &[Record]) {
    let messages: Vec<_> = (0..).zip(records).map(|(offset, record)| alone(offset, record)).collect();
    let (expected, found) = (decode(options, &messages), decode(options, &[packed(records)]));
    let (rows, mut places) = placed(found.rows);
    let (refused, refused_places) = placed(found.quarantine);
    assert_eq!(rows, placed(expected.rows).0, "the rows are those of the records alone");
    assert_eq!(refused, placed(expected.quarantine).0, "the refusals are those of the records alone");
    places.extend(refused_places);
    places.sort_unstable();
    let count = i32::try_from(places.len()).expect("few");
    assert_eq!(places, (0..count).map(|row| (7, row)).collect::<Vec<_>>(), "each row has its own number");
}

/// The only refusal: its payload, reason and number of headers.
fn refusal(options: &str, message: Message) -> (Vec<u8>, String, usize) {
    let decoded = decode(options, &[message]);
    assert!(decoded.rows.is_none(), "nothing gets into the table");
    let quarantine = decoded.quarantine.expect("it is kept");
    assert_eq!(quarantine.num_rows(), 1);
    let column = |name: &str| quarantine.column_by_name(name).expect("there").clone();
    let headers = column(HEADERS).as_map().value(0).column(0).as_string::<i32>().len();
    (
        column(PAYLOAD).as_binary::<i32>().value(0).to_vec(),
        column(REASON).as_string::<i32>().value(0).to_owned(),
        headers,
    )
}

#[test]
fn a_bad_record_of_a_pack_is_refused_alone_with_its_place() {
    let records = ["{\"n\":1}", "{\"n\":\"x\"}", "", "{\"n\":4}"].map(|payload| (None, payload.into()));
    let decoded = decode(JSON, &[packed(&records)]);
    assert_eq!(placed(decoded.rows).1, [(7, 0), (7, 3)]);
    let quarantine = decoded.quarantine.expect("two");
    let payloads = quarantine.column_by_name(PAYLOAD).expect("there").as_binary::<i32>();
    assert_eq!([payloads.value(0), payloads.value(1)], [&b"{\"n\":\"x\"}"[..], b""]);
    assert_eq!(placed(Some(quarantine)).1, [(7, 1), (7, 2)]);
}

#[test]
fn a_message_that_cannot_be_opened_is_kept_whole_with_its_header_and_the_reason() {
    for options in FORMATS {
        let whole = packed_as(false, &[(None, b"{\"n\":1}".to_vec()), (None, b"{\"n\":2}".to_vec())]);
        let payload = whole.payload.clone();
        let other = vec![(HEADER.to_owned(), "frames/2".to_owned())];
        let (kept, reason, headers) = refusal(options, Message { headers: other, ..whole.clone() });
        assert_eq!((kept, headers), (payload.to_vec(), 1));
        assert_eq!(
            reason,
            "the message is packed as \"frames/2\", which this version cannot open; it opens \"frames/1\""
        );
        let cut = payload.slice(..payload.len() - 1);
        let (kept, reason, _) = refusal(options, Message { payload: cut.clone(), ..whole });
        assert_eq!(kept, cut.to_vec());
        assert_eq!(reason, "the packed records have 29 bytes, and the header says 30");
    }
}

#[test]
fn headers_beside_that_of_the_pack_are_those_of_each_record() {
    let mut message = packed(&[(Some(b"k".to_vec()), b"a".to_vec()), (None, b"b".to_vec())]);
    message.headers.push(("x".to_owned(), "1".to_owned()));
    message.key = Some("of all".into());
    let rows = decode(FORMATS[2], &[message]).rows.expect("two");
    let headers = rows.column_by_name(HEADERS).expect("there").as_map().clone();
    for row in [0, 1] {
        let names = headers.value(row).column(0).as_string::<i32>().clone();
        assert_eq!((names.len(), names.value(0)), (1, "x"));
    }
    let keys = rows.column_by_name(lake::schema::KEY).expect("there").as_binary::<i32>();
    assert_eq!([keys.value(0), keys.value(1)], [&b"k"[..], b"of all"]);
}

#[test]
fn a_packed_record_is_neither_opened_nor_unpacked_again() {
    let inner = packed(&[(None, b"a".to_vec()), (None, b"b".to_vec())]);
    let rows = decode(FORMATS[2], &[packed(&[(None, inner.payload.to_vec())])]).rows.expect("one");
    assert_eq!(rows.column_by_name(VALUE).expect("there").as_binary::<i32>().value(0), &inner.payload[..]);
    let mut zipped = packed(&[(None, gzip(&vec![b' '; 1_000_000]))]);
    zipped.headers.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
    let (_, reason, _) = refusal(JSON, zipped);
    assert!(reason.contains("compressed with gzip"), "{reason}");
}

proptest! {
    #[test]
    fn any_records_become_the_same_rows_packed_and_alone(
        records in prop::collection::vec(
            (
                prop::option::of(prop::collection::vec(any::<u8>(), 0..4)),
                prop_oneof![
                    4 => (0..1000_i64).prop_map(|n| format!("{{\"n\":{n}}}").into_bytes()),
                    1 => "(\\{\"n\": ?\"?[0-9]{0,2}\"?\\}?[ \n]{0,2}){0,3}".prop_map(String::into_bytes),
                    1 => prop::collection::vec(any::<u8>(), 0..30),
                ],
            ),
            1..30,
        ),
    ) {
        FORMATS.iter().for_each(|options| check_equal(options, &records));
    }
}

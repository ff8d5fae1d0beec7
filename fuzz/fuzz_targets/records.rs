//! Records in the writer: any payload of any format becomes rows or quarantine, packed as alone.
//!
//! Owns: that every message leaves a record, that no place is there twice, and that packing changes no count.
//! Does not own: the values of rows (tests of the crate `writer`), the form of a packed message (target `packed`).
//!
//! The input is a byte that chooses topic and headers, and payloads between bytes 0xff.
#![no_main]

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use common::Message;
use common::packing::Pack;
use lake::schema::{OFFSET, ROW};
use libfuzzer_sys::fuzz_target;
use writer::decode::{Source, TopicTable};

const TOPICS: [&str; 4] = [
    r#"{"format":"raw"}"#,
    r#"{"format":"text"}"#,
    r#"{"format":"json","columns":[{"name":"a","type":"int64","nullable":false},{"name":"s","type":"string"},
        {"name":"d","type":{"decimal":{"precision":20,"scale":4}}},{"name":"t","type":"timestamp"},{"name":"day","type":"date"},
        {"name":"l","type":{"list":{"list":"int32"}}},{"name":"j","type":"json"},{"name":"b","type":"binary"},
        {"name":"f","type":"float64"},{"name":"o","type":{"struct":[{"name":"x","type":"bool","nullable":false}]}}]}"#,
    r#"{"format":"json","columns":[{"name":"a","type":"int32"},{"name":"m","type":"timestamp_ms"},{"name":"b","type":"binary"},
        {"name":"d","type":{"decimal":{"precision":38,"scale":10}}}],
        "reading":{"quoted_numbers":true,"empty_as_null":true,"time_formats":["%d.%m.%Y %H:%M:%S%.f"],"time_zone":"+01:00",
        "truncate_times":true,"base64":"any","decimals_in_base64":true}}"#,
];

static TABLES: LazyLock<Vec<Arc<TopicTable>>> = LazyLock::new(|| {
    let table = |options: &&str| TopicTable::with_options(serde_json::from_str(options).expect("valid"), 1);
    TOPICS.iter().map(table).collect()
});

fn places(batch: Option<&RecordBatch>, found: &mut BTreeSet<(i64, i32)>) -> usize {
    let Some(batch) = batch else { return 0 };
    let offsets = batch.column_by_name(OFFSET).expect("there").as_primitive::<Int64Type>().values();
    let rows = batch.column_by_name(ROW).expect("there").as_primitive::<Int32Type>().values();
    for place in offsets.iter().copied().zip(rows.iter().copied()) {
        assert!(found.insert(place), "a place is there twice");
    }
    batch.num_rows()
}

/// Rows and refusals of messages, of which each leaves at least one.
fn counts(table: &TopicTable, messages: &[Message]) -> (usize, usize) {
    let decoded = table.decode(Source::default(), messages);
    let mut found = BTreeSet::new();
    let counts = (places(decoded.rows.as_ref(), &mut found), places(decoded.quarantine.as_ref(), &mut found));
    let offsets: BTreeSet<i64> = found.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets.len(), messages.len(), "each message leaves a record");
    counts
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else { return };
    let table = &TABLES[usize::from(*choice) % TOPICS.len()];
    let has_encoding = choice & 0x40 != 0;
    let headers = match has_encoding {
        true => vec![("Content-Encoding".to_owned(), "gzip".to_owned())],
        false => Vec::new(),
    };
    let message = |(offset, payload): (u64, &[u8])| Message {
        offset,
        timestamp_us: 1,
        key: (choice & 0x80 != 0).then(|| payload.to_vec().into()),
        headers: headers.clone(),
        subject: Arc::from("t.0"),
        payload: payload.to_vec().into(),
        is_awaited: false,
    };
    let messages: Vec<Message> = (0..).zip(rest.split(|byte| *byte == 0xff)).map(message).collect();
    let alone = counts(table, &messages);
    if has_encoding {
        return;
    }
    let mut pack = Pack::default();
    messages.iter().for_each(|message| pack.push(message.key.as_deref(), &message.payload));
    let pack = pack.finish(true);
    let packed = Message { headers: pack.headers, payload: pack.payload, key: None, ..messages[0].clone() };
    assert_eq!(counts(table, &[packed]), alone, "packed records become the rows that they become alone");
});

//! Every kind of payload becomes rows or quarantine, with counts that add up.

mod doubles;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use common::Message;
use proptest::prelude::*;

use super::*;
use crate::pipeline::decode::Source;

mod readable;

fn table(columns: &str) -> Arc<TopicTable> {
    let text = format!(r#"{{"format":"json","columns":{columns}}}"#);
    TopicTable::with_options(serde_json::from_str(&text).expect("valid"), 1)
}

fn messages(payloads: &[&[u8]]) -> Vec<Message> {
    let message = |(offset, payload): (usize, &&[u8])| Message {
        offset: offset as u64,
        timestamp_us: 1_000 + offset as i64,
        key: None,
        headers: Vec::new(),
        subject: Arc::from("t.0"),
        payload: Bytes::copy_from_slice(payload),
        is_awaited: false,
    };
    payloads.iter().enumerate().map(message).collect()
}

const COLUMNS: &str = r#"[{"name":"a","type":"int64"},{"name":"s","type":"string"}]"#;

/// (offset, row, value of `a`) of all rows, and (offset, row, payload, reason) of all in quarantine.
type Outcome = (Vec<(i64, i32, Option<i64>)>, Vec<(i64, i32, String, String)>);

fn run(columns: &str, payloads: &[&[u8]]) -> Outcome {
    let decoded = table(columns).decode(Source::default(), &messages(payloads));
    let rows = decoded.rows.map_or_else(Vec::new, |batch| {
        let a = batch.column_by_name("a").expect("declared").as_primitive::<Int64Type>().clone();
        positions(&batch).into_iter().enumerate().map(|(i, (o, r))| (o, r, a.is_valid(i).then(|| a.value(i)))).collect()
    });
    let quarantined = decoded.quarantine.map_or_else(Vec::new, |batch| {
        let payloads = batch.column_by_name("payload").expect("there").as_binary::<i32>().clone();
        let reasons = batch.column_by_name("reason").expect("there").as_string::<i32>().clone();
        let text = |i: usize| String::from_utf8_lossy(payloads.value(i)).into_owned();
        let all = positions(&batch).into_iter().enumerate();
        all.map(|(i, (o, r))| (o, r, text(i), reasons.value(i).to_owned())).collect()
    });
    (rows, quarantined)
}

fn positions(batch: &RecordBatch) -> Vec<(i64, i32)> {
    let offsets = batch.column_by_name("_offset").expect("there").as_primitive::<Int64Type>();
    let rows = batch.column_by_name("_row").expect("there").as_primitive::<Int32Type>();
    offsets.values().iter().copied().zip(rows.values().iter().copied()).collect()
}

#[test]
fn one_bad_record_never_takes_its_neighbours() {
    let (rows, quarantined) = run(COLUMNS, &[b"{\"a\":1}\n{\"a\":1.5}\nnonsense\n{\"a\":3}\n", b"{\"a\":4}"]);
    assert_eq!(rows, [(0, 0, Some(1)), (0, 3, Some(3)), (1, 0, Some(4))]);
    let kept: Vec<_> = quarantined.iter().map(|(o, r, payload, _)| (*o, *r, payload.as_str())).collect();
    assert_eq!(kept, [(0, 1, "{\"a\":1.5}"), (0, 2, "nonsense")]);
    assert!(quarantined[0].3.contains("column \"a\" (int64)"), "{}", quarantined[0].3);
}

#[test]
fn values_that_would_be_altered_are_refused() {
    let refused: [&[u8]; 17] = [
        br#"{"a":1.5}"#,
        br#"{"a":"1"}"#,
        br#"{"a":true}"#,
        br#"{"a":9223372036854775808}"#,
        br#"{"a":01}"#,
        br#"{"a":[1]}"#,
        br#"{"a":1,"a":2}"#,
        br#"{"s":5}"#,
        br#"{"a":1 "s":"x"}"#,
        br#"{,,"a":1,,}"#,
        br#"{"a":1,"zz":1-2-3}"#,
        br#"{"a":1"#,
        b"",
        b"  \n ",
        b"1",
        b"null",
        b"{\"s\":\"\xff\"}",
    ];
    for payload in refused {
        let (rows, quarantined) = run(COLUMNS, &[payload]);
        assert_eq!((rows.len(), quarantined.len()), (0, 1), "{}", String::from_utf8_lossy(payload));
    }
    let (rows, _) = run(COLUMNS, &[b"{\"a\":1", b"\",\"s\":\"stolen\"}"]);
    assert_eq!(rows.len(), 0, "two messages are never glued into one row");
}

#[test]
fn many_objects_in_one_message_are_many_rows() {
    let expected = [(0, 0, Some(1)), (0, 1, Some(2))];
    for payload in
        [&b"{\"a\":1}\n{\"a\":2}"[..], b"{\"a\":1}{\"a\":2}", b"{\"a\":1}\r\n\r\n{\"a\":2}\n", b"{\"a\":1} {\"a\":2}"]
    {
        assert_eq!(run(COLUMNS, &[payload]), (expected.to_vec(), vec![]));
    }
}

#[test]
fn an_array_is_as_many_records_as_it_has_elements() {
    let expected = [(0, 0, Some(1)), (0, 1, Some(2))];
    for payload in [
        &b"[{\"a\":1},{\"a\":2}]"[..],
        b" [ {\"a\":1} , {\"a\":2} ] ",
        b"[\n  {\"a\":1},\n  {\"a\":2}\n]\n",
        b"[{\n\"a\":1},\n{\"a\":2}]",
        b"[{\"a\":1}]\n[{\"a\":2}]\n",
        b"[{\"a\":1}]{\"a\":2}",
        b"{\"a\":1}\n[{\"a\":2}]",
    ] {
        assert_eq!(run(COLUMNS, &[payload]), (expected.to_vec(), vec![]), "{}", String::from_utf8_lossy(payload));
    }
}

#[test]
fn an_element_that_is_no_good_record_is_refused_alone() {
    let (rows, quarantined) = run(COLUMNS, &[b"[{\"a\":1},{\"a\":\"x\"},7,[{\"a\":2}],null,{\"a\":3}]", b"{\"a\":4}"]);
    assert_eq!(rows, [(0, 0, Some(1)), (0, 5, Some(3)), (1, 0, Some(4))]);
    let kept: Vec<_> = quarantined.iter().map(|(o, r, payload, _)| (*o, *r, payload.as_str())).collect();
    assert_eq!(kept, [(0, 1, "{\"a\":\"x\"}"), (0, 2, "7"), (0, 3, "[{\"a\":2}]"), (0, 4, "null")]);
    assert!(quarantined[2].3.contains("an array inside of an array"), "{}", quarantined[2].3);
}

#[test]
fn an_array_that_is_empty_or_no_whole_json_is_one_refused_record() {
    for payload in [
        "[]",
        " [ ] ",
        "[{\"a\":1},",
        "[{\"a\":1}",
        "[\n{\"a\":1},\n{\"a\":2}\n",
        "[{\"a\":1},]",
        "[{\"a\":1} {\"a\":2}]",
    ] {
        let (rows, quarantined) = run(COLUMNS, &[payload.as_bytes()]);
        assert_eq!((rows.len(), quarantined.len()), (0, 1), "{payload}");
        assert_eq!(quarantined[0].2, payload.trim(), "it is kept whole");
    }
    let (rows, quarantined) = run(COLUMNS, &[b"[{\"a\":1}]\n[{\"a\":2},\n[{\"a\":3}]"]);
    assert_eq!((rows, quarantined.len()), (vec![(0, 0, Some(1)), (0, 2, Some(3))], 1), "a cut line goes alone");
}

#[test]
fn a_byte_order_mark_is_skipped_where_a_payload_begins() {
    let mark = "\u{feff}";
    let payloads = [
        format!("{mark}{{\"a\":1}}"),
        format!("{mark}\n{{\"a\":2}}\n{{\"a\":3}}"),
        format!("{{\"a\":4}}\n{mark}{{\"a\":5}}"),
    ];
    let slices: Vec<&[u8]> = payloads.iter().map(String::as_bytes).collect();
    let (rows, quarantined) = run(COLUMNS, &slices);
    assert_eq!(rows, [(0, 0, Some(1)), (1, 0, Some(2)), (1, 1, Some(3)), (2, 0, Some(4))]);
    assert_eq!(quarantined.len(), 1);
    let (_, empty) = run(COLUMNS, &[mark.as_bytes()]);
    assert!(empty[0].3.contains("the message is empty"), "{}", empty[0].3);
}

#[test]
fn a_column_reads_the_member_that_it_names() {
    let columns = r#"[{"name":"a","type":"int64","from":"_id"},{"name":"_id","type":"string","from":null},
        {"name":"o","type":{"struct":[{"name":"x","type":"int64","from":"y"}]}}]"#;
    let decoded =
        table(columns).decode(Source::default(), &messages(&[br#"{"_id":1,"a":2,"o":{"y":3}}"#, br#"{"o":{"x":3}}"#]));
    let batch = decoded.rows.expect("a row");
    let column = |name: &str| batch.column_by_name(name).expect("declared").clone();
    assert_eq!(column("a").as_primitive::<Int64Type>().value(0), 1);
    assert!(column("_id").is_null(0));
    assert_eq!(column("o").as_struct().column(0).as_primitive::<Int64Type>().value(0), 3);
    assert_eq!(column("_extra").as_string::<i32>().value(0), r#"{"a":2}"#);
    assert!(decoded.quarantine.is_some(), "the name of a column is not that of its member");
}

#[test]
fn pretty_printed_json_is_one_record() {
    assert_eq!(run(COLUMNS, &[b"{\n  \"a\": 1,\n  \"s\": \"x\"\n}\n"]).0, [(0, 0, Some(1))]);
    let (rows, quarantined) = run(COLUMNS, &[b"{\n \"items\": [\n {\"a\": 1}\n], oops\n}"]);
    assert_eq!((rows.len(), quarantined.len()), (0, 1), "its inner lines are not taken for records");
    let (rows, quarantined) = run(COLUMNS, &[b"{\"a\":1,\n{\"a\":2}\n{\"a\":3}"]);
    assert_eq!(rows, [(0, 1, Some(2)), (0, 2, Some(3))], "a cut line does not take the others with it");
    assert_eq!(quarantined.len(), 1);
}

#[test]
fn undeclared_members_are_kept_as_json() {
    let payload = br#"{"x":{"deep":[1,2.50,"\u00e9"]},"a":1,"quo\"te":null,"x":2}"#;
    let decoded = table(COLUMNS).decode(Source::default(), &messages(&[payload, br#"{"a":2}"#]));
    let batch = decoded.rows.expect("two rows");
    let extra = batch.column_by_name("_extra").expect("there").as_string::<i32>();
    assert_eq!(extra.value(0), r#"{"x":{"deep":[1,2.50,"\u00e9"]},"quo\"te":null,"x":2}"#);
    assert!(extra.is_null(1));
}

#[test]
fn nested_and_special_types_are_taken_strictly() {
    let columns = r#"[{"name":"a","type":"int64"},{"name":"d","type":{"decimal":{"precision":10,"scale":2}}},
        {"name":"t","type":"timestamp_ms"},{"name":"l","type":{"list":"int32"}},{"name":"day","type":"date"},{"name":"j","type":"json"},
        {"name":"b","type":"binary"},{"name":"f","type":"float64"},{"name":"o","type":{"struct":[{"name":"x","type":"bool","nullable":false},{"name":"y","type":"string"}]}}]"#;
    let good = br#"{"d":1.20,"t":1700000000000,"l":[1,null,3],"day":"2026-01-31","j":{"k":[ 1 ]},"b":"AAE=","f":1,"o":{"x":true}}"#;
    let batch = table(columns).decode(Source::default(), &messages(&[good, b"{}"])).rows.expect("both are rows");
    let column = |name: &str| batch.column_by_name(name).expect("declared").clone();
    assert_eq!(column("d").as_primitive::<arrow_array::types::Decimal128Type>().value(0), 120);
    assert_eq!(column("l").as_list::<i32>().value(0).len(), 3);
    assert_eq!(column("j").as_string::<i32>().value(0), r#"{"k":[ 1 ]}"#);
    assert_eq!(column("b").as_binary::<i32>().value(0), [0, 1]);
    assert!(column("o").as_struct().column(0).as_boolean().value(0));
    assert!(["d", "t", "l", "day", "j", "b", "f", "o"].iter().all(|name| column(name).is_null(1)));
    for bad in [
        r#"{"d":1.239}"#,
        r#"{"d":true}"#,
        r#"{"t":1.5}"#,
        r#"{"l":[1,"2"]}"#,
        r#"{"l":[1,2"#,
        r#"{"day":"31.1."}"#,
        r#"{"b":"*"}"#,
        r#"{"f":9007199254740993}"#,
        r#"{"f":1e999}"#,
        r#"{"o":{}}"#,
        r#"{"o":{"x":true,"z":1}}"#,
        r#"{"o":{"x":true,"x":true}}"#,
        r#"{"o":{"x":null}}"#,
    ] {
        let (rows, quarantined) = run(columns, &[bad.as_bytes(), good, bad.as_bytes()]);
        assert_eq!((rows.len(), quarantined.len()), (1, 2), "{bad}");
    }
}

#[test]
fn a_required_column_refuses_absence_and_null() {
    let columns = r#"[{"name":"a","type":"int64","nullable":false}]"#;
    let (rows, quarantined) = run(columns, &[b"{}", b"{\"a\":null}", b"{\"a\":1}"]);
    assert_eq!(rows, [(2, 0, Some(1))]);
    assert!(quarantined[0].3.contains("\"a\" is missing"), "{}", quarantined[0].3);
    assert_eq!(quarantined.len(), 2);
}

#[test]
fn deep_nesting_and_wide_objects_do_no_harm() {
    let deep = format!("{{\"a\":1,\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let columns = r#"[{"name":"a","type":"int64"},{"name":"l","type":{"list":{"list":"int64"}}}]"#;
    let too_deep = format!("{{\"l\":{}}}", "[".repeat(100_000));
    let wide = format!("{{{}\"a\":2}}", (0..100_000).map(|i| format!("\"m{i}\":0,")).collect::<String>());
    let (rows, quarantined) = run(columns, &[deep.as_bytes(), too_deep.as_bytes(), wide.as_bytes()]);
    assert_eq!((rows.len(), quarantined.len()), (1, 2));
    assert!(quarantined[0].3.contains("undeclared members: JSON is nested deeper than 100 levels"), "{quarantined:?}");
}

#[test]
fn a_million_members_and_a_million_records_in_one_message_are_one_row_and_a_million() {
    let wide = format!("{{{}\"a\":1}}", (0..1_000_000).map(|i| format!("\"m{i}\":0,")).collect::<String>());
    let many = "{\"a\":2}\n".repeat(1_000_000);
    let (rows, quarantined) = run(COLUMNS, &[wide.as_bytes(), many.as_bytes()]);
    assert_eq!((rows.len(), quarantined.len()), (1_000_001, 0));
    assert_eq!((rows[0], rows[1_000_000]), ((0, 0, Some(1)), (1, 999_999, Some(2))));
}

#[test]
fn numbers_and_times_out_of_range_are_refused_and_not_a_number_is_none() {
    let columns = r#"[{"name":"a","type":"int64"},{"name":"f","type":"float64"},{"name":"t","type":"timestamp_us"},
        {"name":"s","type":"timestamp_ms"},{"name":"d","type":"date"}]"#;
    for bad in [
        r#"{"f":NaN}"#,
        r#"{"f":Infinity}"#,
        r#"{"f":-1e400}"#,
        r#"{"a":-9223372036854775809}"#,
        r#"{"t":9223372036854775808}"#,
        r#"{"t":"+999999-01-01T00:00:00Z"}"#,
        r#"{"t":"2026-02-30T00:00:00Z"}"#,
        r#"{"s":9223372036854775807999}"#,
        r#"{"d":"2026-13-01"}"#,
        r#"{"d":"99999-01-01"}"#,
        r#"{"a":1,"a":1}"#,
        r#"{"f":1,"f":null}"#,
    ] {
        let (rows, quarantined) = run(columns, &[bad.as_bytes(), b"{\"a\":7}"]);
        assert_eq!((rows.len(), quarantined.len()), (1, 1), "{bad}");
        assert_eq!(quarantined[0].2, bad, "it is kept whole");
    }
    let extremes = br#"{"a":-9223372036854775808,"f":1.7976931348623157e308,"t":-62135596800000000,"d":"0001-01-01"}"#;
    assert_eq!(run(columns, &[extremes]).0, [(0, 0, Some(i64::MIN))]);
}

proptest! {
    #[test]
    fn any_bytes_become_rows_or_quarantine(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20)) {
        check_all_accounted(&payloads);
    }

    #[test]
    fn almost_json_becomes_rows_or_quarantine(payloads in prop::collection::vec("[{}\\[\\]\",:a-c0-9.eE\\\\ \n-]{0,60}", 1..20)) {
        check_all_accounted(&payloads.into_iter().map(String::into_bytes).collect::<Vec<_>>());
    }

    #[test]
    fn good_lines_survive_among_bad_ones(lines in prop::collection::vec((any::<i64>(), 0..4_u8), 1..30)) {
        let text: Vec<String> = lines.iter().map(|(value, kind)| match kind {
            0 => format!("{{\"a\":{value}}}"),
            1 => format!("{{\"a\":{value}.5}}"),
            2 => format!("{{\"a\":{value}}} trailing"),
            _ => "{\"a\":".to_owned(),
        }).collect();
        let (rows, _) = run(COLUMNS, &[text.join("\n").as_bytes()]);
        let expected: Vec<Option<i64>> = lines.iter().filter(|(_, kind)| matches!(kind, 0 | 2)).map(|(value, _)| Some(*value)).collect();
        let whole_is_one_text = lines[0].1 == 3 && lines.get(1).is_none();
        if !whole_is_one_text {
            prop_assert_eq!(rows.into_iter().map(|(_, _, a)| a).collect::<Vec<_>>(), expected);
        }
    }
}

fn check_all_accounted(payloads: &[Vec<u8>]) {
    let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
    let (rows, quarantined) = run(COLUMNS, &slices);
    let mut seen: Vec<(i64, i32)> = rows.iter().map(|(o, r, _)| (*o, *r)).collect();
    seen.extend(quarantined.iter().map(|(o, r, _, _)| (*o, *r)));
    seen.sort_unstable();
    let mut deduplicated = seen.clone();
    deduplicated.dedup();
    assert_eq!(seen, deduplicated, "no (offset, row) twice");
    for offset in 0..payloads.len() as i64 {
        let of_message: Vec<i32> = seen.iter().filter(|(o, _)| *o == offset).map(|(_, row)| *row).collect();
        assert!(!of_message.is_empty(), "message {offset} vanished");
        assert_eq!(of_message, (0..of_message.len() as i32).collect::<Vec<_>>(), "rows count from 0 without holes");
    }
}

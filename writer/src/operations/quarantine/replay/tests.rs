//! The messages of replayed records, and the decision to replay them.

use common::packing::{self, Pack};
use common::topic::TopicOptions;
use common::{Incarnation, TopicName};

use super::*;

fn record(payload: &'static str) -> QuarantinedRecord {
    let partition = TopicPartition::new(TopicName::new("a/b").expect("valid"), 3);
    QuarantinedRecord {
        origin: Origin { partition, incarnation: Incarnation(1), offset: 42, row: 2 },
        timestamp_us: 7,
        key: Some("k".into()),
        headers: [("x", "1"), ("Nats-Msg-Id", "first"), ("siltstone-replay-of", "0/0/1/0"), ("x", "2")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        subject: "s".to_owned(),
        reason: "bad".to_owned(),
        payload: payload.into(),
    }
}

#[test]
fn a_replayed_record_says_where_it_came_from_and_keeps_the_rest() {
    let message = outgoing(&record("{}"), None);
    let expected = [("x", "1"), ("x", "2"), (REPLAY_OF, "1/3/42/2")];
    assert_eq!(message.headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!((message.key, &message.payload[..]), (Some("k".into()), &b"{}"[..]));
    assert_eq!(message.message_id.as_deref(), Some("siltstone-replay:a%2Fb:1/3/42/2"));
}

#[test]
fn wanted_again_it_is_another_message_but_the_same_each_time() {
    let record = record("{}");
    let Origin { partition, incarnation, offset, row } = record.origin.clone();
    let (new_partition_id, new_offset, replayed_at) = (3, 99, 1);
    let earlier = Replay { partition, incarnation, offset, row, new_partition_id, new_offset, replayed_at };
    let id = |earlier: Option<&Replay>| outgoing(&record, earlier).message_id;
    assert_ne!(id(Some(&earlier)), id(None));
    assert_eq!(id(Some(&earlier)), id(Some(&Replay { replayed_at: 2, ..earlier.clone() })));
}

#[test]
fn a_record_is_tried_against_the_columns_as_they_are_now() {
    let options = |columns: &str| -> TopicOptions {
        serde_json::from_str(&format!(r#"{{"format":"json","columns":{columns}}}"#)).expect("valid")
    };
    let strict = TopicTable::with_options(options(r#"[{"name":"n","type":"int64"}]"#), 1);
    let mended = TopicTable::with_options(options(r#"[{"name":"n","type":"string"}]"#), 2);
    let wrong = record(r#"{"n":"one"}"#);
    assert!(refusal(&strict, &wrong).expect("still wrong").contains('n'));
    assert_eq!(refusal(&mended, &wrong), None);
    assert!(refusal(&mended, &record("not json")).is_some());
    let deadly = QuarantinedRecord { reason: format!("{CONDEMNED}the writer died"), ..record(r#"{"n":"one"}"#) };
    assert!(refusal(&mended, &deadly).expect("not tried").contains("killed the writer"));
}

#[test]
fn a_message_that_was_set_aside_whole_and_packed_is_replayed_packed() {
    let mut pack = Pack::default();
    ["{\"n\":1}", "{\"n\":2}"].iter().for_each(|payload| pack.push(None, payload.as_bytes()));
    let outgoing_pack = pack.finish(true);
    let held = QuarantinedRecord { headers: outgoing_pack.headers, payload: outgoing_pack.payload, ..record("") };
    let options = r#"{"format":"json","columns":[{"name":"n","type":"int64"}]}"#;
    let table = TopicTable::with_options(serde_json::from_str(options).expect("valid"), 1);
    assert_eq!(refusal(&table, &held), None, "it is opened before it is judged");
    let OutgoingMessage { headers, payload, .. } = outgoing(&held, None);
    assert_eq!(headers[1], (REPLAY_OF.to_owned(), "1/3/42/2".to_owned()));
    let message =
        Message { offset: 50, timestamp_us: 0, key: None, headers, subject: "t.0".into(), payload, is_awaited: false };
    assert_eq!(packing::open(&message).expect("packed").expect("whole").records(), 2);
    let decoded = table.decode(Source::default(), &[message]);
    assert_eq!((decoded.rows.expect("two").num_rows(), decoded.quarantine.is_some()), (2, false));
}

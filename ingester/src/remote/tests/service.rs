//! What the service does with whole records and with the age of a request.

use common::OutgoingMessage;
use serde_json::Value;
use support::http;

use super::fleet::{Fleet, Running};
use crate::frames;

/// Posts a body of whole records, and returns status and answer.
async fn post(agent: &Running, query: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Value) {
    let url = format!("{}/v1/topics/orders/records{query}", agent.url());
    let headers = [&[("Content-Type", frames::CONTENT_TYPE)][..], headers].concat();
    let answer = http::post(&url, &headers, body).await.expect("an answer");
    (answer.status, serde_json::from_slice(&answer.body).expect("JSON"))
}

#[tokio::test]
async fn an_attempt_is_made_only_as_long_as_the_queue_knows_the_ids() {
    let fleet = Fleet::new(1).await;
    let agent = fleet.start().await;
    let body = frames::encode([OutgoingMessage::new("a").with_message_id("1")].iter());
    let (status, answer) = post(&agent, "?partition=0&age_ms=108000", &[], &body).await;
    assert_eq!((status, &answer["records"][0]["error"]["code"]), (503, &"unconfirmed".into()));
    let text = answer["records"][0]["error"]["message"].as_str().expect("text");
    assert!(text.contains("so long ago that the queue may have forgotten"), "{text}");
    assert!(fleet.stored(0).await.is_empty(), "nothing was tried");
    let (status, _) = post(&agent, "?partition=0&age_ms=100000", &[], &body).await;
    assert_eq!((status, fleet.stored(0).await.len()), (200, 1), "two minutes less a tenth");
}

#[tokio::test]
async fn headers_of_the_request_come_behind_those_of_a_record() {
    let fleet = Fleet::new(1).await;
    let agent = fleet.start().await;
    let mut record = OutgoingMessage::new("a");
    record.headers = vec![("own".to_owned(), "1".to_owned())];
    let headers = [("Siltstone-Header-Source", "shop")];
    let (status, _) = post(&agent, "", &headers, &frames::encode([record].iter())).await;
    assert_eq!(status, 200);
    let expected = [("own", "1"), ("source", "shop")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(fleet.stored(0).await[0].headers, expected);
}

#[tokio::test]
async fn whole_records_with_keys_of_the_request_or_in_a_broken_body_are_refused() {
    let fleet = Fleet::new(1).await;
    let agent = fleet.start().await;
    let body = frames::encode([OutgoingMessage::new("a")].iter());
    let given: [(&str, &[(&str, &str)]); 4] =
        [("?key=a", &[]), ("?key_field=a", &[]), ("?timestamp=5", &[]), ("", &[("Idempotency-Key", "a")])];
    for (query, headers) in given {
        let (status, answer) = post(&agent, query, headers, &body).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &"invalid_request".into()), "{query}");
        let text = answer["error"]["message"].as_str().expect("text");
        assert!(text.contains("keys, ids and times of their own") && text.contains("age_ms"), "{text}");
    }
    let mut packed = OutgoingMessage::new("a");
    packed.headers = vec![("siltstone-packed".to_owned(), "frames/1".to_owned())];
    let (status, answer) = post(&agent, "", &[], &frames::encode([packed].iter())).await;
    assert_eq!((status, &answer["records"][0]["error"]["code"]), (422, &"invalid_record".into()));
    let broken = [&body[..], b"\x08"].concat();
    let (status, answer) = post(&agent, "", &[], &broken).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &"invalid_body".into()));
    assert!(answer["error"]["message"].as_str().expect("text").contains("flags 0x8 are unknown"), "{answer}");
    assert_eq!(answer["records"][0]["error"]["code"], "not_sent");
    assert!(fleet.stored(0).await.is_empty());
}

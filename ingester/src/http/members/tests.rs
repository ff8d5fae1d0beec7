//! Groups over HTTP: members that come, commit and go, and the offsets that an operator sets.

use std::collections::BTreeSet;

use catalog::{NewToken, TokenSecret, TopicConfig};
use common::TopicName;
use common::topic::{Format, TopicOptions};
use serde_json::{Value, json};
use support::http;

use crate::http::ApiOptions;
use crate::http::tests::{Setup, answered, refused};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Status and body of a request below `/v1/groups`.
async fn send(setup: &Setup, method: &str, path: &str, body: Value) -> http::Response {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let url = format!("{}/v1/groups{path}", setup.url);
    http::request(method, &url, &[JSON], &body).await.expect("an answer")
}

async fn well(setup: &Setup, method: &str, path: &str, body: Value) -> Value {
    let (status, body) = answered(&send(setup, method, path, body).await);
    assert_eq!(status, 200, "{body}");
    body
}

/// A new member of the group `g`: its path, and the partitions that it holds.
async fn join(setup: &Setup, member: Value) -> (String, Vec<Value>) {
    let body = well(setup, "POST", "/g/members", json!({ "member": member, "topics": ["orders"], "name": "m" })).await;
    let partitions = body["partitions"].as_array().expect("a list").clone();
    (body["member"].as_str().expect("an id").to_owned(), partitions)
}

fn offset(held: &Value, offset: u64) -> Value {
    let (partition_id, generation) = (&held["partition_id"], &held["generation"]);
    json!({ "topic": "orders", "partition_id": partition_id, "generation": generation, "incarnation": 0, "offset": offset })
}

fn claim(held: &Value) -> Value {
    json!({ "topic": "orders", "partition_id": held["partition_id"], "generation": held["generation"] })
}

#[tokio::test]
async fn members_share_commit_and_hand_over() {
    let setup = Setup::new().await;
    let (first, held) = join(&setup, Value::Null).await;
    assert_eq!(held.iter().map(|of| of["partition_id"].clone()).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(held.iter().all(|of| of["committed"].is_null() && of["is_leaving"] == false), "{held:?}");
    let of_first = format!("/g/members/{first}/offsets");
    let committed =
        well(&setup, "POST", &of_first, json!({ "offsets": [offset(&held[0], 5), offset(&held[1], 7)] })).await;
    assert_eq!(committed, json!({ "committed": 2, "released": 0 }));
    let (second, none) = join(&setup, Value::Null).await;
    assert_eq!(none, Vec::<Value>::new(), "the first one holds all");
    let (_, held) = join(&setup, json!(first)).await;
    let leaving: Vec<&Value> = held.iter().filter(|of| of["is_leaving"] == true).collect();
    assert_eq!((held.len(), leaving.len()), (3, 1), "{held:?}");
    let given = leaving[0].clone();
    well(&setup, "POST", &of_first, json!({ "offsets": [offset(&given, 9)], "release": [claim(&given)] })).await;
    let (_, taken) = join(&setup, json!(second)).await;
    assert_eq!(taken.len(), 1);
    assert_eq!(
        (&taken[0]["partition_id"], &taken[0]["committed"]),
        (&given["partition_id"], &json!({ "incarnation": 0, "offset": 9 }))
    );
    let late = send(&setup, "POST", &of_first, json!({ "offsets": [offset(&given, 12)] })).await;
    assert_eq!(refused(&late), (409, "conflict".to_owned()));
    assert!(late.text().contains(&format!("orders/{}", given["partition_id"])), "{}", late.text());
    let later = json!({ "offsets": [offset(&held[0], 8), offset(&given, 12)] });
    assert_eq!(refused(&send(&setup, "POST", &of_first, later).await).0, 409, "all or none");
    well(&setup, "DELETE", &format!("/g/members/{first}"), Value::Null).await;
    well(&setup, "DELETE", &format!("/g/members/{first}"), Value::Null).await;
    let (_, all) = join(&setup, json!(second)).await;
    assert_eq!(all.len(), 3, "the rest was free at once");
    let described = well(&setup, "GET", "/g", Value::Null).await;
    let offsets: Vec<_> =
        described["partitions"].as_array().expect("a list").iter().map(|of| of["committed_offset"].clone()).collect();
    assert_eq!(offsets.iter().filter(|of| of.as_u64() == Some(12) || of.as_u64() == Some(8)).count(), 0, "{described}");
    let gone = send(&setup, "POST", &of_first, json!({ "offsets": [offset(&held[0], 8)] })).await;
    assert_eq!(refused(&gone), (409, "conflict".to_owned()), "a member that left commits nothing");
}

/// A token for these grants, and the header that presents it.
fn token(name: &str, grants: &[&str]) -> (NewToken, String) {
    let secret = TokenSecret::generate();
    let grants = grants.iter().map(|grant| grant.parse().expect("a grant")).collect();
    let new =
        NewToken { id: secret.id().to_owned(), name: name.to_owned(), hash: secret.hash(), grants, expires_at: None };
    (new, format!("Bearer {}", secret.expose()))
}

#[tokio::test]
async fn a_member_shows_only_partitions_that_the_caller_may_read() {
    let (both, of_both) = token("both", &["read:orders", "read:other"]);
    let (one, of_one) = token("one", &["read:orders"]);
    let setup = Setup::with_tokens(16 << 20, ApiOptions::default(), vec![both, one]).await;
    let other = TopicConfig {
        name: TopicName::new("other").expect("valid"),
        partition_count: 1,
        retention_ms: None,
        config: TopicOptions { format: Format::Raw, ..TopicOptions::default() },
    };
    catalog::create_topic(setup.queue.as_ref(), setup.catalog.as_ref(), other).await.expect("new topic");
    let join = async |header: &str, body: Value| {
        let (url, headers) = (format!("{}/v1/groups/g/members", setup.url), [JSON, ("Authorization", header)]);
        answered(&http::post(&url, &headers, body.to_string().as_bytes()).await.expect("an answer"))
    };
    let topics = |answer: &Value| {
        let held = answer["partitions"].as_array().expect("a list").iter();
        held.map(|of| of["topic"].as_str().expect("text").to_owned()).collect::<BTreeSet<String>>()
    };
    let (status, joined) = join(&of_both, json!({ "topics": ["orders", "other"] })).await;
    assert_eq!((status, topics(&joined)), (200, BTreeSet::from(["orders".to_owned(), "other".to_owned()])), "{joined}");
    let again = json!({ "member": joined["member"], "topics": ["orders"] });
    assert_eq!(join(&of_one, again.clone()).await.0, 403, "it reads a topic that the caller may not read");
    let (status, leaving) = join(&of_both, again.clone()).await;
    assert_eq!((status, topics(&leaving).len()), (200, 2), "the other topic is to be given up: {leaving}");
    let (status, shown) = join(&of_one, again).await;
    assert_eq!((status, topics(&shown)), (200, BTreeSet::from(["orders".to_owned()])), "{shown}");
}

#[tokio::test]
async fn offsets_are_set_while_nobody_reads() {
    let setup = Setup::new().await;
    let (member, held) = join(&setup, Value::Null).await;
    let path = format!("/g/members/{member}");
    well(&setup, "POST", &format!("{path}/offsets"), json!({ "offsets": [offset(&held[1], 5)] })).await;
    let to_begin = json!({ "topic": "orders", "partition_id": 1, "offset": "begin" });
    let planned = json!({ "topic": "orders", "partition_id": 1, "offset": "begin", "dry_run": true });
    let change = json!([{ "topic": "orders", "partition_id": 1, "before": { "incarnation": 0, "offset": 5 },
                          "after": { "incarnation": 0, "offset": 0 } }]);
    for body in [&planned, &to_begin] {
        let alive = send(&setup, "POST", "/g/offsets", body.clone()).await;
        assert_eq!(refused(&alive), (409, "conflict".to_owned()));
        assert!(alive.text().contains("is being read by m"), "{}", alive.text());
    }
    assert_eq!(refused(&send(&setup, "DELETE", "/g", Value::Null).await).0, 409);
    well(&setup, "DELETE", &path, Value::Null).await;
    assert_eq!(well(&setup, "POST", "/g/offsets", planned).await["partitions"], change);
    assert_eq!(well(&setup, "POST", "/g/offsets", to_begin).await["partitions"], change);
    let above = send(&setup, "POST", "/g/offsets", json!({ "topic": "orders", "offset": 5 })).await;
    assert_eq!(refused(&above), (416, "out_of_range".to_owned()));
    let listed = well(&setup, "GET", "", Value::Null).await;
    assert_eq!((&listed["groups"][0]["group_id"], &listed["groups"][0]["topics"]), (&json!("g"), &json!(["orders"])));
    assert_eq!(well(&setup, "DELETE", "/g", Value::Null).await, json!({ "deleted": "g" }));
    assert_eq!(refused(&send(&setup, "DELETE", "/g", Value::Null).await), (404, "not_found".to_owned()));
    assert_eq!(refused(&send(&setup, "GET", "/g", Value::Null).await), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn mistakes_are_named_with_what_is_allowed() {
    let setup = Setup::new().await;
    let id = "0197a000-0000-7000-8000-000000000001";
    let held = json!({ "partition_id": 0, "generation": 1 });
    let huge = json!({ "partition_id": 0, "generation": 1_u64 << 63 });
    let cases = [
        ("POST", "/g/members".to_owned(), json!({ "topics": [] }), 400, "at least one topic"),
        ("POST", "/g/members".to_owned(), json!({ "topics": ["absent"] }), 404, "absent"),
        ("POST", "/g/members".to_owned(), json!({ "topics": ["orders"], "lease_ms": 5 }), 400, "1000 to 3600000"),
        ("POST", "/g/members".to_owned(), json!({ "topics": ["orders"], "lease": 5 }), 400, "unknown field `lease`"),
        ("POST", "/g/members".to_owned(), json!({ "topics": ["orders"], "member": "x" }), 400, "UUID"),
        ("POST", "/g%00/members".to_owned(), json!({ "topics": ["orders"] }), 400, "without NUL"),
        ("POST", format!("/{}/members", "g".repeat(257)), json!({ "topics": ["orders"] }), 400, "1 to 256 bytes"),
        ("DELETE", "/g/members/x".to_owned(), Value::Null, 400, "the id that joining answered with"),
        ("DELETE", format!("/g/members/{id}"), Value::Null, 404, "group not found: g"),
        ("POST", format!("/g/members/{id}/offsets"), json!({ "offsets": [] }), 400, "nothing to commit"),
        ("POST", format!("/g/members/{id}/offsets"), json!({ "offsets": [offset(&held, 1)] }), 409, "join it first"),
        (
            "POST",
            format!("/g/members/{id}/offsets"),
            json!({ "release": [claim(&huge)] }),
            400,
            "that joining answered with",
        ),
        ("POST", "/g/offsets".to_owned(), json!({ "topic": "orders" }), 400, "offset or time is missing"),
        ("POST", "/g/offsets".to_owned(), json!({ "topic": "absent", "offset": 0 }), 404, "absent"),
        (
            "POST",
            "/g/offsets".to_owned(),
            json!({ "topic": "orders", "offset": 0, "partition_id": 3 }),
            400,
            "partitions 0 to 2",
        ),
        ("GET", "/absent".to_owned(), Value::Null, 404, "group not found: absent"),
        ("GET", "?limit=1".to_owned(), Value::Null, 400, "limit"),
    ];
    for (method, path, body, status, part) in cases {
        let answer = send(&setup, method, &path, body.clone()).await;
        assert_eq!(refused(&answer).0, status, "{method} {path} {body}: {}", answer.text());
        assert!(answer.text().contains(part), "{method} {path} {body}: {}", answer.text());
    }
    assert_eq!(well(&setup, "GET", "", Value::Null).await, json!({ "groups": [] }), "none of them made a group");
}

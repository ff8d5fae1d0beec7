//! Topics that the first request creates: off by default, by the rules of a file, one topic for many first requests.

use std::path::Path;

use futures::future::join_all;
use serde_json::json;
use support::nats::NatsServer;
use tokio::time::{Instant, sleep};

use super::{JSON, Server, count, patient};
use crate::binary::{DEADLINE, POLL, Siltstone};

const RULES: &str = r#"[{"topics":"logs-*","partition_count":3,"config":{"columns":[{"name":"n","type":"int64"}]}},
                       {"topics":"clicks","config":{"format":"raw"}}]"#;

/// The same with the rules in a file.
fn with_rules(siltstone: Siltstone, rules: &str) -> Siltstone {
    let file = siltstone.path().join("rules.json");
    std::fs::write(&file, rules).expect("written");
    siltstone.with("AUTO_CREATE", file.to_str().expect("UTF-8"))
}

#[tokio::test]
async fn the_first_request_for_a_name_of_the_rules_creates_its_topic() {
    let siltstone = with_rules(patient(), RULES);
    let server = Server::start(&siltstone).await;
    let post = async |topic: &str, body: &str| {
        let path = format!("/v1/topics/{topic}/records?acks=committed");
        server.request("POST", &path, &[JSON], body.as_bytes()).await
    };
    let (status, sent) = post("logs-web", r#"[{"n":1},{"n":2}]"#).await;
    assert_eq!(status, 200, "{sent}");
    assert_eq!(count(&siltstone, "SELECT sum(n) AS c FROM \"logs-web\"").await, 3);
    let described = server.request("GET", "/v1/topics/logs-web", &[], b"").await.1;
    assert_eq!(
        (&described["topic"]["partition_count"], &described["topic"]["config"]["format"]),
        (&json!(3), &json!("json"))
    );
    assert_eq!(post("clicks", "{}").await.0, 200);
    let (status, refused) = post("orders", r#"{"n":1}"#).await;
    assert_eq!((status, &refused["error"]["code"]), (404, &json!("topic_not_found")), "{refused}");
    let text = refused["error"]["message"].as_str().expect("text");
    assert!(text.contains("orders") && text.contains("AUTO_CREATE allows logs-*, clicks"), "{text}");
    let (status, refused) = post("logs-WEB", r#"{"n":1}"#).await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("conflict")), "another case of a topic: {refused}");
    assert_eq!(server.request("GET", "/v1/topics/logs-other", &[], b"").await.0, 404, "a look creates nothing");
    for (query, body, status) in [
        ("", "nonsense", 400),
        ("?partition=7", "{}", 400),
        ("", "[1]", 422),
        ("?atomic=true", "[{},1]", 422),
        ("", "[]", 200),
    ] {
        let refused =
            server.request("POST", &format!("/v1/topics/logs-none/records{query}"), &[JSON], body.as_bytes()).await;
        assert_eq!(refused.0, status, "{}", refused.1);
    }
    assert_eq!(
        server.request("GET", "/v1/topics/logs-none", &[], b"").await.0,
        404,
        "a refused request creates nothing"
    );
    let publish = ["publish", "logs-cli", "--url", &server.url, "--acks", "committed"];
    siltstone.run_with_input(&publish, b"{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n").await.ok().says(&["published 3 messages"]);
    assert_eq!(count(&siltstone, "SELECT count(DISTINCT _partition_id) AS c FROM \"logs-cli\"").await, 3, "by turns");
    let none = siltstone.run_with_input(&["publish", "orders", "--url", &server.url], b"{}\n").await;
    none.fails(1, &["topic orders does not exist; create it first"]);
    let deleted = server.request("DELETE", "/v1/topics/clicks", &[], b"").await;
    assert_eq!((deleted.0, post("clicks", "{}").await.0), (200, 200), "the next request creates it again");
    assert_eq!(siltstone.run(&["topic", "list", "--json"]).await.ok().json().as_array().map(Vec::len), Some(3));
    server.stop().await;
}

#[tokio::test]
async fn first_requests_of_two_servers_at_once_end_in_one_topic() {
    let nats = NatsServer::start().await.expect("a NATS server");
    let siltstone = with_rules(patient(), RULES).with("QUEUE_TYPE", "nats").with("NATS_URL", &nats.url());
    let servers = [Server::start(&siltstone).await, Server::start(&siltstone).await];
    let post = async |number: usize| {
        let body = format!("{{\"n\":{number}}}");
        let answer = servers[number % 2]
            .request("POST", "/v1/topics/logs-app/records?acks=committed", &[JSON], body.as_bytes())
            .await;
        assert_eq!(answer.0, 200, "{}", answer.1);
    };
    join_all((0..40).map(post)).await;
    let listed = siltstone.run(&["topic", "list", "--json"]).await.ok().json();
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]["partition_count"]), (Some(1), &json!(3)), "{listed}");
    for server in servers {
        server.stop().await;
    }
    assert_eq!(count(&siltstone, "SELECT count(DISTINCT n) AS c FROM \"logs-app\"").await, 40);
    assert_eq!(count(&siltstone, "SELECT count(*) AS c FROM \"logs-app\"").await, 40);
}

#[tokio::test]
async fn rules_that_cannot_be_read_end_the_start_and_are_named() {
    for (rules, part) in [
        ("{", "allowed is an array"),
        (r#"[{"topics":"a","retention_ms":0}]"#, "retention_ms 0 would keep nothing"),
        (r#"[{"topics":"a","config":{"format":"csv"}}]"#, "): config: unknown variant `csv`"),
    ] {
        let siltstone = with_rules(patient(), rules);
        siltstone.run(&["up"]).await.fails(2, &["AUTO_CREATE=", "rules.json: ", part]);
    }
    let absent = patient().with("AUTO_CREATE", "/nowhere/rules.json").run(&["up"]).await;
    absent.fails(2, &["AUTO_CREATE=/nowhere/rules.json", "cannot be read"]);
    assert!(!Path::new("/nowhere").exists());
}

const SUBJECT_RULES: &str = r#"[{"stream":"LOGS","subjects":"logs.*","name":"logs-{1}",
    "config":{"columns":[{"name":"n","type":"int64"}]}}]"#;

/// Waits until the table holds so many different numbers, and asserts that none is there twice.
async fn until_rows(siltstone: &Siltstone, topic: &str, rows: u64) {
    let end = Instant::now() + DEADLINE;
    let count = format!("SELECT count(DISTINCT n) AS c FROM \"{topic}\"");
    loop {
        let found = siltstone.run(&["query", "--json", &count]).await;
        if found.code == 0 && found.json()["c"] == rows {
            break;
        }
        assert!(Instant::now() < end, "{topic}: {found:?}");
        sleep(POLL).await;
    }
    assert_eq!(super::count(siltstone, &format!("SELECT count(*) AS c FROM \"{topic}\"")).await, rows);
}

#[tokio::test]
async fn a_first_message_to_a_subject_of_the_rules_creates_its_topic_and_nothing_is_lost() {
    let nats = NatsServer::start().await.expect("a NATS server");
    let context = async_nats::jetstream::new(async_nats::connect(nats.url()).await.expect("connected"));
    let subjects = vec!["logs.>".to_owned()];
    let config = async_nats::jetstream::stream::Config { name: "LOGS".to_owned(), subjects, ..Default::default() };
    context.create_stream(config).await.expect("made");
    let publish = async |subject: &'static str, numbers: std::ops::Range<u32>| {
        for n in numbers {
            let stored = context.publish(subject, format!("{{\"n\":{n}}}").into()).await.expect("sent");
            stored.await.expect("stored");
        }
    };
    // Before any writer runs, as well as later.
    publish("logs.web", 0..5).await;
    let siltstone = with_rules(patient().with("FLUSH_INTERVAL_SECS", "1"), SUBJECT_RULES);
    let siltstone = siltstone.with("QUEUE_TYPE", "nats").with("NATS_URL", &nats.url());
    let servers = [Server::start(&siltstone).await, Server::start(&siltstone).await];
    until_rows(&siltstone, "logs-web", 5).await;
    publish("logs.app", 0..3).await;
    publish("logs.web", 5..7).await;
    publish("logs.WEB", 0..2).await;
    publish("logs.a.b", 0..2).await;
    until_rows(&siltstone, "logs-app", 3).await;
    until_rows(&siltstone, "logs-web", 7).await;
    // A topic of a subject takes records over HTTP as well, under its subject.
    let path = "/v1/topics/logs-web/records?acks=committed";
    let (status, sent) = servers[0].request("POST", path, &[JSON], br#"{"n":7}"#).await;
    assert_eq!(status, 200, "{sent}");
    until_rows(&siltstone, "logs-web", 8).await;
    let listed = siltstone.run(&["topic", "list", "--json"]).await.ok().json();
    let names: Vec<_> = listed.as_array().expect("a list").iter().map(|topic| topic["name"].clone()).collect();
    assert_eq!(names, [json!("logs-app"), json!("logs-web")], "no other subject gives a topic");
    let told = servers.iter().map(|server| server.log_text()).collect::<String>();
    assert!(told.contains("no topic for subject logs.WEB of stream LOGS") && told.contains("another case"), "{told}");
    for server in servers {
        server.stop().await;
    }
    siltstone.run(&["audit", "--deep"]).await.ok();
}

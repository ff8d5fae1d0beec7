//! Topics and publishing on a real NATS server.

use std::io::{BufRead, BufReader};

use serde_json::json;
use support::nats::{NatsOptions, NatsServer};

use crate::binary::{Siltstone, exit_code};

async fn on_nats() -> (NatsServer, Siltstone) {
    let server = NatsServer::start().await.expect("a NATS server");
    let siltstone = Siltstone::new().with("QUEUE_TYPE", "nats").with("NATS_URL", &server.url());
    (server, siltstone)
}

#[tokio::test]
async fn published_lines_show_up_as_lag() {
    let (_server, siltstone) = on_nats().await;
    siltstone.run(&["topic", "create", "orders", "--partitions", "2", "--column", "id:int64"]).await.ok();
    let lines: String = (0..25).map(|id| format!("{{\"id\":{id},\"customer\":\"c{}\"}}\n", id % 7)).collect();
    std::fs::write(siltstone.path().join("orders.ndjson"), &lines).expect("written");

    let publish = ["publish", "orders", "orders.ndjson", "--key-field", "customer", "--batch", "4"];
    siltstone.run(&publish).await.ok().says(&["published 25 messages to orders", "PARTITION"]);
    let publish = ["publish", "orders", "--partition", "1", "--json"];
    let published = siltstone.run_with_input(&publish, lines.as_bytes()).await.ok().json();
    assert_eq!(published["published"]["messages"], 25);
    let range = &published["published"]["partitions"]["1"];
    let span = range["last_offset"].as_u64().expect("a number") - range["first_offset"].as_u64().expect("a number");
    assert_eq!((span, &range["messages"]), (24, &json!(25)));

    let described = siltstone.run(&["topic", "describe", "orders", "--json"]).await.ok().json();
    let lags = described["partitions"].as_array().expect("a list").iter().map(|p| p["lag"].as_u64().expect("known"));
    assert_eq!(lags.sum::<u64>(), 50);
    siltstone.run(&["topic", "describe", "orders"]).await.ok().says(&["LAG", "active"]);
    siltstone.run(&["topic", "delete", "orders", "--yes"]).await.ok();
    siltstone.run(&["topic", "create", "orders"]).await.ok().says(&["1 partition"]);
}

#[tokio::test]
async fn a_topic_named_as_another_in_another_case_is_refused_before_the_queue_makes_it() {
    let (server, siltstone) = on_nats().await;
    siltstone.run(&["topic", "create", "Orders"]).await.ok();
    let refused = siltstone.run(&["topic", "create", "orders"]).await;
    let refused = refused.fails(1, &["topic orders cannot be created: topic Orders has the same name in another case"]);
    assert!(!refused.err.contains("repeat"), "{refused:#?}");
    let context = async_nats::jetstream::new(async_nats::connect(server.url()).await.expect("connected"));
    context.get_stream("Orders-0").await.expect("the first topic's stream");
    context.get_stream("orders-0").await.expect_err("the second has none");
}

#[tokio::test]
async fn a_bad_line_stops_publishing_and_is_named() {
    let (_server, siltstone) = on_nats().await;
    siltstone.run(&["topic", "create", "t"]).await.ok();
    std::fs::write(siltstone.path().join("bad.ndjson"), "{}\n{}\nnot json\n{}\n").expect("written");
    let failed = siltstone.run(&["publish", "t", "bad.ndjson"]).await;
    failed.fails(1, &["bad.ndjson:3", "not JSON", "stopped after 2 messages"]);
    siltstone.run(&["publish", "t", "bad.ndjson", "--no-check"]).await.ok().says(&["published 4 messages"]);
}

#[tokio::test]
async fn a_partition_that_refuses_is_counted_and_the_places_of_the_others_are_shown() {
    let (_server, siltstone) = on_nats().await;
    siltstone.run(&["topic", "create", "t", "--partitions", "2"]).await.ok();
    let line = |bytes: usize| format!("{{\"v\":\"{}\"}}\n", "x".repeat(bytes));
    // Without keys the partitions take turns, and the server accepts at most one MiB.
    let lines = [line(10), line(2 << 20)].concat().repeat(2);
    let failed = siltstone.run_with_input(&["publish", "t"], lines.as_bytes()).await;
    let failed = failed.fails(1, &["not sent; the first of them is (standard input):2: partition 1:", "limit"]);
    // The third line is on its way by then, or not yet.
    let published = if failed.err.contains("error: 2 messages are published, 2 were not sent") { 2 } else { 1 };
    for part in [
        format!("error: {published} messages are published, {} were not sent", 4 - published),
        format!("published {published} messages to t\nPARTITION  MESSAGES"),
    ] {
        assert!(failed.err.contains(&part), "{part} is not in {failed:#?}");
    }
    let described = siltstone.run(&["topic", "describe", "t", "--json"]).await.ok().json();
    let lag = |partition: usize| described["partitions"][partition]["lag"].as_u64();
    assert_eq!((lag(0), lag(1)), (Some(published), Some(0)), "the counts are true");
}

#[tokio::test]
async fn a_command_that_is_repeated_under_its_resume_id_stores_nothing_twice() {
    let (_server, siltstone) = on_nats().await;
    siltstone.run(&["topic", "create", "t", "--partitions", "3"]).await.ok();
    let lines: Vec<String> = (0..50).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    std::fs::write(siltstone.path().join("t.ndjson"), lines.concat()).expect("written");
    let publish = ["publish", "t", "t.ndjson", "--resume-id", "import-1"];
    // The first run ends at its third line.
    let first = lines[..2].concat() + "broken\n";
    let ended = siltstone.run_with_input(&["publish", "t", "--resume-id", "import-1"], first.as_bytes()).await;
    ended.fails(1, &["(standard input):3", "stopped after 2 messages"]);
    siltstone
        .run(&publish)
        .await
        .ok()
        .says(&["published 50 messages to t; 2 were stored before and are not stored again"]);
    siltstone.run(&publish).await.ok().says(&["published 50 messages to t; 50 were stored before"]);
    let later = [&publish[..], &["--from-line", "49"][..]].concat();
    siltstone.run(&later).await.ok().says(&["published 2 messages to t; 2 were stored before"]);
    let beyond = [&publish[..], &["--from-line", "52"][..]].concat();
    siltstone.run(&beyond).await.fails(1, &["t.ndjson has 50 lines, so there is no line 52 to begin with"]);
    let raw = [&publish[..], &["--from-line", "2", "--format", "raw"][..]].concat();
    siltstone.run(&raw).await.fails(2, &["--from-line needs an input of lines"]);
    let described = siltstone.run(&["topic", "describe", "t", "--json"]).await.ok().json();
    let lags = described["partitions"].as_array().expect("a list").iter().map(|p| p["lag"].as_u64().expect("known"));
    assert_eq!(lags.sum::<u64>(), 50);
}

#[tokio::test]
async fn a_publisher_that_waits_for_commits_says_when_none_comes_and_ends_when_a_writer_has_come() {
    let (_server, siltstone) = on_nats().await;
    siltstone.run(&["topic", "create", "t", "--column", "n:int64"]).await.ok();
    std::fs::write(siltstone.path().join("t.ndjson"), "{\"n\":1}\n{\"n\":\"x\"}\n{\"n\":3}\n").expect("written");
    let mut publish = siltstone.command(&["publish", "t", "t.ndjson", "--acks", "committed", "--json"]);
    let mut publish = publish.spawn().expect("starts");
    let (mut errors, mut noted) = (BufReader::new(publish.stderr.take().expect("piped")), String::new());
    let noted = tokio::task::spawn_blocking(move || errors.read_line(&mut noted).map(|_| noted)).await.expect("joined");
    let expected = "3 messages wait for their commit, and none came for 5 s: does a writer run on this catalog?\n";
    assert_eq!(noted.expect("text"), expected);
    let mut writer = siltstone.command(&["up"]).spawn().expect("starts");
    assert_eq!(exit_code(&mut publish).await, Some(0));
    let said = std::io::read_to_string(publish.stdout.take().expect("piped")).expect("text");
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&said["published"]["messages"], &said["published"]["quarantined"]), (&json!(3), &json!(1)));
    siltstone.run(&["query", "SELECT count(*) AS n FROM t"]).await.ok().says(&["2"]);
    writer.kill().expect("it runs");
    writer.wait().expect("killed");
}

#[tokio::test]
async fn publishing_to_nothing_says_what_is_missing() {
    let (_server, siltstone) = on_nats().await;
    siltstone.run(&["publish", "absent"]).await.fails(1, &["no catalog at"]);
    siltstone.run(&["topic", "create", "t"]).await.ok();
    siltstone.run(&["publish", "absent"]).await.fails(1, &["topic absent does not exist"]);
    siltstone.run(&["publish", "t"]).await.ok().says(&["published 0 messages"]);
    let absent = siltstone.run_with_input(&["publish", "absent"], b"{}\n").await;
    absent.fails(1, &["topic absent does not exist"]);
    siltstone.run(&["publish", "t", "absent.ndjson"]).await.fails(2, &["absent.ndjson", "No such file"]);
    let beyond = siltstone.run_with_input(&["publish", "t", "--partition", "1"], b"{}\n").await;
    beyond.fails(2, &["--partition 1: topic t has partitions 0 to 0"]);
    let large = format!("{{\"v\":\"{}\"}}\n", "x".repeat(1_200_000));
    let large = siltstone.run_with_input(&["publish", "t"], large.as_bytes()).await;
    large.fails(
        1,
        &["0 messages are published, 1 were not sent", "(standard input):1: partition 0: a message of 1200", "limit"],
    );
}

#[tokio::test]
async fn an_unreachable_server_is_a_failure_that_names_it_and_describe_still_answers() {
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "create", "t"]).await.ok();
    let siltstone = siltstone.with("QUEUE_TYPE", "nats").with("NATS_URL", "nats://127.0.0.1:1");
    siltstone.run(&["publish", "t"]).await.fails(1, &["127.0.0.1:1"]);
    siltstone.run(&["topic", "create", "u"]).await.fails(1, &["127.0.0.1:1"]);
    siltstone.run(&["topic", "list"]).await.ok().says(&["t"]);
    siltstone.run(&["topic", "describe", "t"]).await.ok().says(&["not reachable", "127.0.0.1:1"]);
}

/// The partition whose stream stored the message, once the server knows the subject.
async fn stored_in(jetstream: &async_nats::jetstream::Context, subject: &str) -> Option<u32> {
    let sent = jetstream.publish(subject.to_owned(), "{}".into()).await.expect("sent");
    let stream = sent.await.ok()?.stream;
    Some(stream.strip_prefix("orders-").expect("a stream of the topic").parse().expect("a partition"))
}

#[tokio::test]
async fn what_topic_create_and_describe_say_about_subjects_is_true() {
    let (mut server, siltstone) = on_nats().await;
    let create = ["topic", "create", "orders", "--partitions", "3", "--partitioner", "nats"];
    let created = siltstone.run(&create).await.ok();
    created.says(&["publish to   orders.N or orders.N.> for partition N, 0 to 2; orders alone is partition 0 only"]);
    created.says(&["spread keys  orders.by-key.KEY, with this line"]);
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("a page");
    assert!(readme.contains(&created.out), "the README shows something else than {}", created.out);
    let described = siltstone.run(&["topic", "describe", "orders"]).await.ok();
    let line = created.out.lines().map(str::trim).find(|line| line.starts_with("mappings: ")).expect("printed");
    described.says(&["publish to   orders.N", "spread keys  orders.by-key.KEY", line]);

    let client = async_nats::connect(server.url()).await.expect("connects");
    let jetstream = async_nats::jetstream::new(client);
    let described = siltstone.run(&["topic", "describe", "orders", "--json"]).await.ok().json();
    for partition in described["partitions"].as_array().expect("a list") {
        for subject in partition["subjects"].as_array().expect("a list") {
            let subject = subject.as_str().expect("text").replace('>', "x");
            let stored = stored_in(&jetstream, &subject).await.map(u64::from);
            assert_eq!(stored, partition["partition_id"].as_u64(), "{subject}");
        }
    }

    assert_eq!(stored_in(&jetstream, "orders.by-key.a").await, None, "nothing listens there without the mapping");
    server.reload(&NatsOptions { lines: vec![line.to_owned()], ..NatsOptions::default() }).expect("a new file");
    while stored_in(&jetstream, "orders.by-key.a").await.is_none() {
        tokio::time::sleep(crate::binary::POLL).await;
    }
    // The same key by `siltstone publish` and by the mapping: one partition.
    for key in ["a", "b", "c", "d"] {
        let message = format!("{{\"k\":\"{key}\"}}\n");
        let publish = ["publish", "orders", "--key-field", "k", "--json"];
        let published = siltstone.run_with_input(&publish, message.as_bytes()).await.ok().json();
        let by_siltstone = published["published"]["partitions"].as_object().expect("an object").keys().next().cloned();
        let by_mapping = stored_in(&jetstream, &format!("orders.by-key.{key}")).await;
        assert_eq!(by_siltstone, by_mapping.map(|partition| partition.to_string()), "{key}");
    }
}

#[tokio::test]
async fn the_writers_first_lines_say_where_its_topics_take_messages_from() {
    let (server, siltstone) = on_nats().await;
    siltstone.run(&["topic", "create", "orders"]).await.ok();
    siltstone.run(&["topic", "create", "events", "--partitions", "2"]).await.ok();
    let up = siltstone.with("NATS_URL", &server.url());
    let started = up.run_with_input(&["up", "--stdin", "orders"], b"{}\n").await.ok();
    for words in ["orders (or orders.0, orders.0.>)", "events.N or events.N.> for partition N, 0 to 1"] {
        assert!(started.err.contains(words), "{words}: {}", started.err);
    }
    let only = up.with("TOPICS", "orders").run_with_input(&["up", "--stdin", "orders"], b"").await.ok();
    assert!(!only.err.contains("events.N"), "the other topic is not this writer's: {}", only.err);
}

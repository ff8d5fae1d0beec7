//! Lines of standard input, committed by the same process.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use tokio::time::{Instant, sleep};

use crate::binary::{DEADLINE, POLL, Siltstone, exit_code};

#[tokio::test]
async fn standard_input_is_settled_and_the_process_ends() {
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "create", "events", "--column", "id:int64!"]).await.ok();
    let lines: String = (0..100).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    let first = siltstone.run_with_input(&["up", "--stdin", "events"], lines.as_bytes()).await.ok();
    first.says(&["published 100 messages", "committed 100 records and 0 quarantined"]);
    let second = siltstone.run_with_input(&["up", "--stdin", "events", "--json"], b"{\"id\":\"x\"}\n{}\n").await.ok();
    assert_eq!(second.json()["committed"]["quarantined"], 2, "offsets go on where the last process ended");
    let described = siltstone.run(&["topic", "describe", "events", "--json"]).await.ok().json();
    assert_eq!(described["partitions"][0]["high_watermark"], 102);
    siltstone.run(&["query", "SELECT count(*) AS n FROM events"]).await.ok().says(&["100"]);
}

#[tokio::test]
async fn what_came_before_a_bad_line_of_standard_input_is_committed() {
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "create", "events", "--column", "id:int64!"]).await.ok();
    let fed = siltstone.run_with_input(&["up", "--stdin", "events"], b"{\"id\":1}\nbad\n").await;
    fed.fails(1, &["(standard input):2", "stopped after 1 message"]);
    siltstone.run(&["query", "SELECT count(*) AS n FROM events"]).await.ok().says(&["1"]);
}

#[tokio::test]
async fn a_topic_that_is_absent_or_left_out_is_refused() {
    let siltstone = Siltstone::new();
    siltstone.run_with_input(&["up", "--stdin", "absent"], b"{}\n").await.fails(1, &["topic absent does not exist"]);
    siltstone.run(&["up", "--stdin", "absent"]).await.fails(1, &["topic absent does not exist"]);
    let siltstone = siltstone.with("TOPICS", "a,b");
    siltstone.run_with_input(&["up", "--stdin", "c"], b"{}\n").await.fails(2, &["TOPICS=a,b", "leaves c out"]);
}

#[tokio::test]
async fn a_topic_on_nats_is_fed_and_settled_in_one_process() {
    let server = support::nats::NatsServer::start().await.expect("a NATS server");
    let siltstone = Siltstone::new().with("QUEUE_TYPE", "nats").with("NATS_URL", &server.url());
    siltstone.run(&["topic", "create", "events", "--column", "id:int64!", "--partitions", "2"]).await.ok();
    let lines: String = (0..500).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    for total in [500, 1000] {
        let fed = siltstone.run_with_input(&["up", "--stdin", "events", "--key-field", "id"], lines.as_bytes()).await;
        fed.ok().says(&["published 500 messages", "committed 500 records"]);
        let query = ["query", "SELECT count(*) AS n, count(DISTINCT id) AS ids FROM events", "--json"];
        let counted = siltstone.run(&query).await.ok().json();
        assert_eq!(counted, serde_json::json!({"n": total, "ids": 500}));
    }
    let described = siltstone.run(&["topic", "describe", "events", "--json"]).await.ok().json();
    assert!(described["partitions"].as_array().expect("a list").iter().all(|partition| partition["lag"] == 0));
}

#[tokio::test]
async fn a_signal_ends_it_while_standard_input_stays_open() {
    let siltstone = Siltstone::new().with("FLUSH_INTERVAL_SECS", "1");
    siltstone.run(&["topic", "create", "events", "--column", "id:int64!"]).await.ok();
    let mut child = siltstone.command(&["up", "--stdin", "events"]).stdin(Stdio::piped()).spawn().expect("starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(b"{\"id\":1}\n{\"id\":2}\n").expect("written");
    let end = Instant::now() + DEADLINE;
    while siltstone.run(&["query", "SELECT count(*) AS n FROM events", "--json"]).await.ok().json()["n"] != 2 {
        assert!(Instant::now() < end, "the lines were not committed");
        sleep(POLL).await;
    }
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    assert_eq!(exit_code(&mut child).await, Some(1), "it ended before its input did");
    drop(stdin);
}

#[tokio::test]
async fn lines_for_a_text_topic_are_published_as_text() {
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "create", "logs", "--format", "text"]).await.ok();
    let fed = siltstone.run_with_input(&["up", "--stdin", "logs"], b"not json\r\n\n{\"id\":1}\n").await.ok();
    fed.says(&["published 3 messages", "committed 3 records and 0 quarantined"]);
    let query =
        ["query", "SELECT count(*) AS n, min(length(value)) AS shortest FROM logs WHERE value NOT LIKE '{%'", "--json"];
    let counted = siltstone.run(&query).await.ok().json();
    assert_eq!(counted, serde_json::json!({"n": 2, "shortest": 0}));
    let lines =
        siltstone.run(&["query", "SELECT value FROM logs WHERE value = 'not json'", "--json"]).await.ok().json();
    assert_eq!(lines, serde_json::json!({"value": "not json"}), "the carriage return is part of the line end");
    let bad = siltstone.run_with_input(&["up", "--stdin", "logs"], b"good\nb\xffd\n").await;
    bad.fails(1, &["(standard input):2", "not UTF-8", "stopped after 1 message"]);
    let keyed = siltstone.run_with_input(&["up", "--stdin", "logs", "--key-field", "id"], b"no member\n").await;
    keyed.fails(1, &["not JSON, which --key-field needs"]);
}

#[tokio::test]
async fn a_byte_order_mark_is_no_part_of_a_line_and_other_data_is_named() {
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "create", "events", "--column", "id:int64!"]).await.ok();
    let publish = ["up", "--stdin", "events", "--key-field", "id"];
    let marked = "\u{feff}{\"id\":123456789012}\n";
    siltstone.run_with_input(&publish, marked.as_bytes()).await.ok().says(&["committed 1 records and 0 quarantined"]);
    let rows = siltstone.run(&["query", "SELECT id, CAST(_key AS VARCHAR) AS k FROM events", "--json"]).await.ok();
    assert_eq!(rows.json(), serde_json::json!({"id": 123_456_789_012_i64, "k": "123456789012"}));
    for (input, part) in [
        (&b"\x1f\x8b\x08\0\0\0\0\0"[..], "it looks like gzip data; make lines of JSON of it first (gzip -dc"),
        (b"\xff\xfe{\0}\0", "it looks like UTF-16 text; make lines of JSON of it first (iconv"),
        (
            b"[\n  {\"id\":1}\n]\n",
            "the array does not end in this line, and each line must be a whole object; jq -c '.[]'",
        ),
        (b"{\n  \"id\":1\n}\n", "the object does not end in this line, and each line must be a whole object; jq -c ."),
        (b"[{\"id\":1}]\n", "jq -c '.[]' makes lines of an array"),
    ] {
        let refused = siltstone.run_with_input(&publish[..3], input).await.fails(1, &["(standard input):1", part]);
        assert_eq!(refused.err.contains("--no-check"), part.ends_with("of an array"), "{refused:?}");
    }
}

#[tokio::test]
async fn lines_that_are_awaited_are_committed_long_before_the_timer_and_quarantine_is_counted() {
    let siltstone = Siltstone::new().with("FLUSH_INTERVAL_SECS", "3600");
    siltstone.run(&["topic", "create", "events", "--column", "id:int64!"]).await.ok();
    let lines = b"{\"id\":1}\n{\"id\":\"x\"}\n{\"id\":3}\n";
    let mut child = siltstone.command(&["up", "--stdin", "events", "--acks", "committed"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(lines).expect("written");
    let end = Instant::now() + DEADLINE;
    while siltstone.run(&["query", "SELECT count(*) AS n FROM events", "--json"]).await.ok().json()["n"] != 2 {
        assert!(Instant::now() < end, "the lines were not committed while standard input stays open");
        sleep(POLL).await;
    }
    drop(stdin);
    assert_eq!(exit_code(&mut child).await, Some(0));
    let mut said = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut said).expect("text");
    assert!(said.contains("published 3 messages to events; 1 are in quarantine\n"), "{said}");
    assert!(said.contains("committed 2 records and 1 quarantined"), "{said}");
}

#[tokio::test]
async fn a_resume_id_needs_a_queue_that_outlives_its_process() {
    let siltstone = Siltstone::new();
    let refused = siltstone.run_with_input(&["up", "--stdin", "events", "--resume-id", "a"], b"{}\n").await;
    refused.fails(2, &["--resume-id needs QUEUE_TYPE=nats", "forgets"]);
    let refused = siltstone.run_with_input(&["up", "--stdin", "events", "--resume-id", "a b"], b"{}\n").await;
    refused.fails(2, &["'a b' for '--resume-id <NAME>'", "1 to 100 letters, digits"]);
    let refused = siltstone.run(&["up", "--acks", "committed"]).await;
    refused.fails(2, &["--stdin <TOPIC>"]);
    let refused = siltstone.run_with_input(&["publish", "events", "--acks", "all"], b"{}\n").await;
    refused.fails(2, &["acks \"all\" is unknown; allowed are queued and committed"]);
}

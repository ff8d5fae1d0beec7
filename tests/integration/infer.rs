//! Topics whose columns come from a sample.

use bytes::Bytes;
use serde_json::json;
use support::nats::NatsServer;

use crate::binary::Siltstone;

const SAMPLE: &str = r#"{"id":1,"amount":9.5,"placed":"2026-01-31T12:00:00Z","tags":["a"],"note":"x"}
{"id":2,"amount":10,"placed":"2026-02-01T12:00:00Z","tags":[],"note":7,"_offset":3}
{"id":3,"amount":11.25,"placed":"2026-02-02T12:00:00Z","tags":null,"Id":4}
"#;

fn with_sample(text: &str) -> Siltstone {
    let siltstone = Siltstone::new();
    std::fs::write(siltstone.path().join("orders.ndjson"), text).expect("written");
    siltstone
}

#[tokio::test]
async fn a_sample_proposes_columns_with_reasons_and_creates_nothing() {
    let siltstone = with_sample(SAMPLE);
    let call = ["topic", "create", "orders", "--partitions", "2", "--infer", "orders.ndjson"];
    let shown = siltstone.run(&call).await.ok();
    shown.says(&[
        "3 records of orders.ndjson",
        "not int64: 9.5 (line 1), 1 of 3 fit",
        "not int64: \"x\" (line 1), 1 of 2 fit; not float64: \"x\" (line 1), 1 of 2 fit",
        "66.6 %",
        "source_offset = _offset",
        "Id_2 = Id",
        "nothing was created",
        "siltstone topic create orders --partitions 2 --column 'id:int64!' --column 'amount:float64!'",
        "--column 'tags:list(string)' --column note:json --column source_offset:int64=_offset --column Id_2:int64=Id",
    ]);
    siltstone.run(&["topic", "list"]).await.fails(1, &["no catalog at"]);

    let answer = siltstone.run(&[&call[..], &["--json"]].concat()).await.ok().json();
    assert_eq!((&answer["created"], &answer["records"]), (&json!(null), &json!(3)));
    let tags = &answer["columns"][3];
    assert_eq!(
        (&tags["column"], &tags["present"], &tags["nulls"]),
        (&json!("tags:list(string)"), &json!(3), &json!(1))
    );
    let narrower = json!({"type": "int64", "fits": 1, "values": 3, "value": "9.5", "place": "line 1"});
    assert_eq!(answer["columns"][1]["narrower"], json!([narrower]));
}

#[tokio::test]
async fn the_readmes_sample_is_shown_as_the_tool_shows_it() {
    let siltstone = with_sample("{\"id\":1,\"amount\":9.5}\n{\"id\":2,\"amount\":10}\n");
    let shown = siltstone.run(&["topic", "create", "orders", "--infer", "orders.ndjson"]).await.ok();
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("a page");
    assert!(readme.contains(&shown.out), "the README shows something else than {}", shown.out);
}

#[tokio::test]
async fn every_record_of_the_sample_is_a_row_of_the_topic_that_it_created() {
    let siltstone = with_sample(SAMPLE);
    let created = siltstone.run(&["topic", "create", "orders", "--infer", "orders.ndjson", "--yes"]).await.ok();
    created.says(&["created topic orders"]);
    let fed = siltstone.run_with_input(&["up", "--stdin", "orders"], SAMPLE.as_bytes()).await.ok();
    fed.says(&["committed 3 records and 0 quarantined"]);
    let rows = siltstone.run(&["query", "SELECT sum(id) AS n, max(Id_2) AS m FROM orders", "--json"]).await.ok();
    assert_eq!(rows.json(), json!({"n": 6, "m": 4}));

    // The command that it prints makes the same topic.
    let shown = siltstone.run(&["topic", "create", "again", "--infer", "orders.ndjson"]).await.ok();
    let command = shown.out.lines().last().expect("a command").to_owned();
    let words: Vec<String> = command.split(" --column ").map(|word| word.trim_matches('\'').to_owned()).collect();
    let mut call: Vec<&str> = words[0].split(' ').skip(1).collect();
    words[1..].iter().for_each(|column| call.extend(["--column", column]));
    siltstone.run(&call).await.ok();
    let columns = async |name: &str| {
        siltstone.run(&["topic", "describe", name, "--json"]).await.ok().json()["topic"]["config"]["columns"].clone()
    };
    assert_eq!(columns("again").await, columns("orders").await);
}

#[tokio::test]
async fn an_array_over_several_lines_and_standard_input_are_samples_too() {
    let siltstone = Siltstone::new();
    let array = b"[\n  {\"a\": 1},\n  {\"a\": 2.5}\n]\n";
    let shown = siltstone.run_with_input(&["topic", "create", "t", "--infer", "-"], array).await.ok();
    shown.says(&["2 records of (standard input)", "--column 'a:float64!'", "1 of 2 fit"]);
    let pretty = b"{\n  \"a\": {\n    \"b\": \"2026-01-31\"\n  }\n}\n";
    let shown = siltstone.run_with_input(&["topic", "create", "t", "--infer", "-"], pretty).await.ok();
    shown.says(&["1 record of (standard input)", "--column 'a:struct(b:date)!'"]);
}

#[tokio::test]
async fn a_name_that_the_notation_cannot_hold_is_written_as_a_schema() {
    let siltstone = with_sample(r#"{"a:json=b":1,"it's":2}"#);
    let shown = siltstone.run(&["topic", "create", "t", "--infer", "orders.ndjson"]).await.ok();
    shown.says(&["--schema '[{\"name\":\"a:json=b\",\"type\":\"int64\",\"nullable\":false}", r"it'\''s"]);
}

#[tokio::test]
async fn mistakes_name_the_line_and_the_reason() {
    for (sample, part) in [
        ("{\"a\":1}\n{\"a\":}\n", "orders.ndjson: line 2, column 6: expected value"),
        ("{\"a\":1}\n7\n", "orders.ndjson: line 2: invalid type: integer `7`, expected a JSON object"),
        ("{\"a\":1}\n{\"a\":\"\\ud83d\"}\n", "line 2: undeclared members: the escape \\ud83d is half a character"),
        ("", "no record, from which columns could be inferred"),
        ("{}\n{}\n", "no record has a member that could be a column"),
        ("{\"a\":1,\"a\":2}", "\"a\": it occurs twice in one record (line 1)"),
    ] {
        let siltstone = with_sample(sample);
        siltstone.run(&["topic", "create", "t", "--infer", "orders.ndjson", "--yes"]).await.fails(2, &[part]);
        siltstone.run(&["topic", "list"]).await.fails(1, &["no catalog at"]);
    }
    let siltstone = with_sample(&format!("{{\"a\":\"{}\"}}", "x".repeat(16 << 20)));
    let infer = async |more: &[&str]| siltstone.run(&[&["topic", "create", "t", "--infer"], more].concat()).await;
    infer(&["orders.ndjson"]).await.fails(2, &["longer than 16 MiB", "head -n 10000"]);
    infer(&["absent.ndjson"]).await.fails(2, &["--infer absent.ndjson: No such file"]);
    infer(&["10"]).await.fails(2, &["--stream names the stream", "./10"]);
    infer(&["0"]).await.fails(2, &["1..=1000000"]);
    infer(&["10", "--stream", "S"]).await.fails(2, &["QUEUE_TYPE=memory", "QUEUE_TYPE=nats"]);
    infer(&["orders.ndjson", "--format", "raw"]).await.fails(2, &["format raw does not have"]);
    infer(&["orders.ndjson", "--column", "a:json"]).await.fails(2, &["cannot be used with"]);
}

#[tokio::test]
async fn the_first_messages_of_a_stream_are_a_sample_and_its_bad_ones_are_said() {
    let server = NatsServer::start().await.expect("a NATS server");
    let client = async_nats::connect(server.url()).await.expect("connects");
    let jetstream = async_nats::jetstream::new(client);
    let stream = async_nats::jetstream::stream::Config {
        name: "EVENTS".to_owned(),
        subjects: vec!["shop.>".to_owned()],
        ..Default::default()
    };
    jetstream.create_stream(stream).await.expect("created");
    let siltstone = Siltstone::new().with("QUEUE_TYPE", "nats").with("NATS_URL", &server.url());
    let call = ["topic", "create", "events", "--stream", "EVENTS", "--infer", "3"];
    siltstone.run(&call).await.fails(2, &["EVENTS: no message"]);
    for payload in ["{\"n\":1}", "nonsense", "[{\"n\":2},{\"n\":3}]", "{\"n\":\"four\"}"] {
        let sent = jetstream.publish("shop.order", Bytes::from(payload)).await.expect("sent");
        sent.await.expect("stored");
    }
    let shown = siltstone.run(&call).await.ok();
    shown.says(&["3 records of EVENTS", "would go to quarantine: offset 2: ", "--stream EVENTS --column 'n:int64!'"]);
    let all = ["topic", "create", "events", "--stream", "EVENTS", "--infer", "100", "--yes"];
    siltstone.run(&all).await.ok().says(&["not int64: \"four\" (offset 4), 3 of 4 fit", "created topic events"]);
    let from = ["topic", "create", "later", "--stream", "EVENTS", "--from", "3", "--infer", "100"];
    siltstone.run(&from).await.ok().says(&["3 records of EVENTS", "--from 3"]);
}

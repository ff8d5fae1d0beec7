//! Names and values of others never command a terminal or forge a line of a log.

use common::text::is_unsafe;

use crate::binary::{Answer, Siltstone};

const EVIL: &str = "a\u{1b}[2J\u{7}\rb\u{202e}c\u{9b}m";

#[track_caller]
fn assert_harmless(answer: &Answer) {
    for text in [&answer.out, &answer.err] {
        assert!(!text.chars().any(|c| is_unsafe(c) && c != '\n' && c != '\t'), "{answer:#?}");
    }
}

#[tokio::test]
async fn values_of_records_are_escaped_for_people_and_equal_for_programs() {
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "create", "t", "--column", "s:string", "--column", "a\u{202e}b:string"]).await.ok();
    let line = serde_json::json!({ "s": EVIL, "a\u{202e}b": "x", "other": EVIL }).to_string();
    let input = format!("{line}\n{{\"s\":\"\\ud83d{}\"}}\n", "\u{202e}");
    siltstone.run_with_input(&["up", "--stdin", "t", "--no-check"], input.as_bytes()).await.ok();
    let columns = siltstone.run(&["topic", "describe", "t"]).await.ok();
    columns.says(&["a\\u{202e}b"]);
    assert_harmless(&columns);
    let table = siltstone.run(&["query", "SELECT * FROM t"]).await.ok();
    assert_harmless(&table);
    let json = siltstone.run(&["query", "SELECT s FROM t", "--json"]).await.ok();
    assert_harmless(&json);
    assert_eq!(json.json()["s"], EVIL);
    for command in [&["quarantine", "list", "t"][..], &["quarantine", "list", "t", "--json"], &["topic", "list"]] {
        assert_harmless(&siltstone.run(command).await.ok());
    }
}

#[tokio::test]
async fn errors_quote_arguments_and_settings_without_their_commands() {
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "create", "t", "--column", "s:string"]).await.ok();
    for command in [
        vec!["query".to_owned(), format!("SELECT \"{EVIL}\" FROM t")],
        vec!["query".to_owned(), format!("SELECT * FROM \"{EVIL}\"")],
        vec!["topic".to_owned(), "create".to_owned(), "u".to_owned(), "--schema".to_owned(), format!("/{EVIL}")],
        vec!["topic".to_owned(), "create".to_owned(), EVIL.to_owned()],
        vec![EVIL.to_owned()],
    ] {
        let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        let answer = siltstone.run(&arguments).await;
        assert!(answer.code != 0 && !answer.err.is_empty(), "{answer:#?}");
        assert_harmless(&answer);
    }
    for name in ["NATS_USER", "QUEUE_TYPE", "STORAGE_PATH", "NATS_URL", "LOG_LEVEL"] {
        let answer = Siltstone::new().with(name, EVIL).run(&["topic", "list"]).await;
        assert!(answer.code != 0 && !answer.err.is_empty(), "{answer:#?}");
        assert_harmless(&answer);
    }
}

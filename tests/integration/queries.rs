//! `siltstone query` as its users run it: its output as text and as JSON, its exit codes, its temporary files.

use std::io::Read;
use std::process::{Command, Stdio};

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::binary::{DEADLINE, POLL, Siltstone, exit_code};

async fn with_records(columns: &[&str], records: &str) -> Siltstone {
    let siltstone = Siltstone::new();
    let mut create = vec!["topic", "create", "t"];
    for column in columns {
        create.extend(["--column", *column]);
    }
    siltstone.run(&create).await.ok();
    siltstone.run_with_input(&["up", "--stdin", "t"], records.as_bytes()).await.ok();
    siltstone
}

#[tokio::test]
async fn a_query_finds_names_adds_up_and_loses_no_column() {
    let records =
        "{\"userId\":9000000000000000000,\"city\":\"Oslo\"}\n{\"userId\":9000000000000000000}\n{\"userId\":1}\n";
    let siltstone = with_records(&["userId:int64", "f:float64"], records).await;
    let sum = ["query", "--json", "SELECT sum(userid) AS s FROM T"];
    assert_eq!(siltstone.run(&sum).await.ok().out.trim(), r#"{"s":18000000000000000001}"#);
    let city = ["query", "--json", "SELECT userId, f, f FROM t WHERE _extra->>'city' = 'Oslo'"];
    let row = json!({"userId": 9_000_000_000_000_000_000_u64, "f": null, "f_1": null});
    assert_eq!(siltstone.run(&city).await.ok().json(), row);
    siltstone.run(&["query", "SELECT _offset, * FROM t"]).await.ok().says(&["| _offset |", "| _offset_1 |"]);
    siltstone.run(&["query", "SELECT userid + userid FROM t"]).await.fails(1, &["does not fit", "decimal(38,0)"]);
    siltstone.run(&["query", "SELECT user_id FROM t"]).await.fails(2, &["no column user_id", "\"userId\""]);
    siltstone.run(&["query", "SELECT \"userid\" FROM t"]).await.fails(2, &["no column userid", "\"userId\""]);
    siltstone.run(&["query", "SELECT * FROM u"]).await.fails(2, &["no table \"u\"", "\"t\""]);
}

#[tokio::test]
async fn a_query_goes_on_in_temporary_files_and_leaves_none() {
    let records: String =
        (0..12_000).map(|n| format!("{{\"n\":{n},\"s\":\"{:05}{}\"}}\n", 12_000 - n, "x".repeat(2000))).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let siltstone = with_records(&["n:int64", "s:string"], &records).await;
    let siltstone = siltstone
        .with("MEMORY_BUDGET_BYTES", "16777216")
        .with("TMPDIR", folder.path().to_str().expect("a path of text"));
    let sorted = siltstone.run(&["query", "--json", "SELECT n, s FROM t ORDER BY s LIMIT 11000 OFFSET 900"]).await.ok();
    let first = sorted.out.lines().next().expect("rows");
    assert!(first.starts_with("{\"n\":11099,"), "{first}");
    assert_eq!(sorted.out.lines().count(), 11_000);
    siltstone
        .run(&["query", "SELECT count(x) FROM (SELECT array_agg(s) AS x FROM t GROUP BY n % 1)"])
        .await
        .fails(1, &["MEMORY_BUDGET_BYTES=16777216"]);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}

#[tokio::test]
async fn an_interrupted_query_leaves_no_temporary_files() {
    let records: String = (0..12_000).map(|n| format!("{{\"n\":{n},\"s\":\"{}\"}}\n", "x".repeat(2000))).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let siltstone = with_records(&["n:int64", "s:string"], &records).await;
    let siltstone = siltstone
        .with("MEMORY_BUDGET_BYTES", "16777216")
        .with("TMPDIR", folder.path().to_str().expect("a path of text"));
    // It sorts twelve thousand times as many rows as there are: it does not end by itself in the time of a test.
    let sql = "SELECT max(r) FROM (SELECT row_number() OVER (ORDER BY a.s || b.s) AS r FROM t a, t b)";
    let mut child = siltstone.command(&["query", sql]).stderr(Stdio::piped()).spawn().expect("starts");
    let deadline = Instant::now() + DEADLINE;
    let holds_files = || std::fs::read_dir(folder.path()).expect("the folder").count() > 0;
    while !holds_files() {
        assert!(Instant::now() < deadline, "no temporary file");
        sleep(POLL).await;
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
    let code = exit_code(&mut child).await;
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("read");
    assert_eq!(code, Some(1), "{said}");
    assert!(!holds_files());
}

#[tokio::test]
async fn a_signal_ends_a_query_that_is_still_planned() {
    let siltstone = with_records(&["n:int64"], "{\"n\":1}\n").await;
    // DataFusion plans this for minutes.
    let condition: Vec<String> = (0..6_000).map(|n| format!("n <> {}", n + 2)).collect();
    let sql = format!("SELECT count(*) FROM t WHERE {}", condition.join(" AND "));
    let mut child = siltstone.command(&["query", &sql]).stderr(Stdio::piped()).spawn().expect("starts");
    let deadline = Instant::now() + DEADLINE;
    // A second of processor time is far behind the start.
    while processor_ticks(child.id()) < 100 {
        assert!(Instant::now() < deadline, "it waits for something");
        sleep(POLL).await;
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill").success());
    assert_eq!(exit_code(&mut child).await, Some(1));
}

/// Processor time of a process in its own code, in hundredths of a second.
fn processor_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields = stat.rsplit(')').next().expect("fields behind the name");
    fields.split_whitespace().nth(11).expect("the field utime").parse().expect("a number")
}

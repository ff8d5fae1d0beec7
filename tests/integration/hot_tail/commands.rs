//! The hot tail by commands: `query` from another process, and `tail`.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command};

use support::nats::NatsServer;

use crate::binary::{Siltstone, exit_code};

async fn on_nats() -> (NatsServer, Siltstone) {
    let server = NatsServer::start().await.expect("a NATS server");
    let siltstone = Siltstone::new().with("QUEUE_TYPE", "nats").with("NATS_URL", &server.url());
    (server, siltstone.with("HOT_TAIL", "auto"))
}

#[tokio::test]
async fn a_query_sees_what_nobody_has_committed_or_says_that_it_does_not() {
    let (mut server, siltstone) = on_nats().await;
    siltstone.run(&["topic", "create", "orders", "--partitions", "2", "--column", "id:int64"]).await.ok();
    let lines: String = (0..25).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    siltstone.run_with_input(&["publish", "orders"], lines.as_bytes()).await.ok();
    let count = ["query", "SELECT count(*) AS n FROM orders", "--json"];
    siltstone.run(&count).await.ok().says(&["{\"n\":25}"]);
    let off = siltstone.run(&[&count[..], &["--hot-tail", "off"]].concat()).await.ok();
    assert!(off.out.contains("{\"n\":0}") && !off.err.contains("committed rows only"), "{off:#?}");

    server.kill().await.expect("killed");
    let without = siltstone.run(&count).await.ok();
    assert!(without.out.contains("{\"n\":0}"), "{without:#?}");
    assert!(without.err.contains("topic orders: committed rows only, without the hot tail: "), "{without:#?}");
    let on = [&count[..], &["--hot-tail", "on"]].concat();
    siltstone.run(&on).await.fails(1, &["topic orders has no hot tail here", "--hot-tail off shows committed rows"]);
}

#[tokio::test]
async fn a_queue_of_another_process_has_no_tail_and_says_so() {
    let siltstone = Siltstone::new().with("HOT_TAIL", "auto");
    siltstone.run(&["topic", "create", "t", "--column", "n:int64"]).await.ok();
    siltstone.settle("t", &["{\"n\":1}"]).await;
    let count = ["query", "SELECT count(*) AS n FROM t", "--json"];
    let answer = siltstone.run(&count).await.ok();
    assert!(answer.out.contains("{\"n\":1}") && answer.err.contains("QUEUE_TYPE=memory"), "{answer:#?}");
    siltstone.run(&["query", "SELECT 1", "--hot-tail", "perhaps"]).await.fails(2, &["auto, on and off"]);
}

/// The next line of a running command.
fn line(output: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    output.read_line(&mut line).expect("readable");
    line
}

/// Interrupts a command, as Ctrl-C does.
fn interrupt(child: &Child) {
    let done = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(done.success());
}

fn follow(siltstone: &Siltstone, arguments: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut child = siltstone.command(&[&["tail"], arguments].concat()).spawn().expect("starts");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    (child, output)
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_followed_as_they_are_published_until_a_signal() {
    let (_server, siltstone) = on_nats().await;
    siltstone.run(&["topic", "create", "orders", "--column", "id:int64!"]).await.ok();
    siltstone.run_with_input(&["publish", "orders"], b"{\"id\":1}\n").await.ok();
    let (mut child, mut output) = follow(&siltstone, &["orders", "--from", "begin"]);
    let first = line(&mut output);
    assert!(first.starts_with("0/1  2") && first.ends_with("  -  {\"id\":1,\"_extra\":null}\n"), "{first:?}");
    siltstone.run_with_input(&["publish", "orders", "--no-check"], b"{\"id\":2}\n{\"id\":\"x\"}\n").await.ok();
    let second = line(&mut output);
    assert!(second.starts_with("0/2  ") && second.contains("{\"id\":2,"), "{second:?}");
    let refused = line(&mut output);
    assert!(
        refused.starts_with("0/3  ") && refused.contains("quarantined (") && refused.contains("{\"id\":\"x\"}"),
        "{refused:?}"
    );
    interrupt(&child);
    assert_eq!(exit_code(&mut child).await, Some(0));

    let (mut child, mut output) = follow(&siltstone, &["orders", "--from", "2", "--json"]);
    let json = |line: String| serde_json::from_str::<serde_json::Value>(&line).expect("JSON");
    assert_eq!(json(line(&mut output))["id"], 2);
    assert_eq!(json(line(&mut output))["quarantined"]["payload"], "7b226964223a2278227d");
    siltstone.run(&["topic", "delete", "orders", "--yes"]).await.ok();
    assert_eq!(exit_code(&mut child).await, Some(1), "the topic is gone");
    siltstone.run(&["tail", "orders"]).await.fails(1, &["orders"]);
}

#[tokio::test]
async fn an_offset_beyond_the_end_is_refused_and_not_waited_for() {
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "create", "t", "--column", "n:int64"]).await.ok();
    siltstone.settle("t", &["{\"n\":1}"]).await;
    siltstone.run(&["tail", "t", "--from", "5000"]).await.fails(1, &["offset 5000 of partition t/0 is above its end"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_records_are_followed_where_the_queue_is_in_another_process() {
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "create", "t", "--column", "n:int64"]).await.ok();
    siltstone.settle("t", &["{\"n\":1}"]).await;
    let (mut child, mut output) = follow(&siltstone, &["t", "--from", "begin", "--partition", "0"]);
    assert!(line(&mut output).contains("{\"n\":1,"));
    siltstone.settle("t", &["{\"n\":2}"]).await;
    assert!(line(&mut output).contains("{\"n\":2,"));
    interrupt(&child);
    assert_eq!(exit_code(&mut child).await, Some(0));
    siltstone.run(&["tail", "t", "--partition", "1"]).await.fails(2, &["topic t has partitions 0 to 0"]);
    siltstone.run(&["tail", "t", "--from", "soon"]).await.fails(2, &["neither begin, end nor an offset"]);
}

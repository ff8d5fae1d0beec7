//! Lines of standard input, settled in the same process.

use crate::binary::Siltstone;

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

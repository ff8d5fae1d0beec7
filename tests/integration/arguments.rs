//! Help, usage errors, completions.

use crate::binary::Siltstone;

const COMMANDS: &[&[&str]] = &[
    &["demo"],
    &["up"],
    &["topic"],
    &["topic", "create"],
    &["topic", "list"],
    &["topic", "describe"],
    &["topic", "delete"],
    &["publish"],
    &["query"],
    &["segments"],
    &["duckdb-sql"],
    &["config"],
    &["bench"],
    &["completions"],
];

#[tokio::test]
async fn every_command_has_help_and_the_top_names_them_all() {
    let siltstone = Siltstone::new();
    let top = siltstone.run(&["--help"]).await.ok();
    top.says(&["Exit codes", "siltstone demo"]);
    for command in COMMANDS {
        top.says(&[command[0]]);
        siltstone.run(&[command, &["--help"][..]].concat()).await.ok().says(&["Usage: siltstone", "--json"]);
    }
}

#[tokio::test]
async fn wrong_arguments_are_usage_errors() {
    let siltstone = Siltstone::new();
    siltstone.run(&[]).await.fails(2, &["Usage"]);
    siltstone.run(&["no-such-command"]).await.fails(2, &["no-such-command"]);
    siltstone.run(&["topic", "create", "t", "--partitions", "0"]).await.fails(2, &["1..=100000"]);
    siltstone.run(&["topic", "create", "t", "--column", "a:varchar"]).await.fails(2, &["varchar", "int64"]);
    siltstone.run(&["topic", "create", ""]).await.fails(2, &["it is empty"]);
    siltstone.run(&["demo", "--records", "0"]).await.fails(2, &["--records"]);
}

#[tokio::test]
async fn completions_are_written_for_every_shell() {
    let siltstone = Siltstone::new().with("FLUSH_INTERVAL_SECS", "not even read");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        siltstone.run(&["completions", shell]).await.ok().says(&["siltstone", "duckdb-sql"]);
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_error() {
    let siltstone = Siltstone::new();
    let mut child = siltstone.command(&["config", "--explain"]).spawn().expect("starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && err.is_empty(), "{} {err}", output.status);
}

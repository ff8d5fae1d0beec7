//! Help, usage errors, completions.

use crate::binary::Siltstone;

/// Every command, with its group.
const COMMANDS: &[&[&str]] = &[
    &["demo"],
    &["up"],
    &["serve"],
    &["topic"],
    &["topic", "create"],
    &["topic", "list"],
    &["topic", "describe"],
    &["topic", "update"],
    &["topic", "resume"],
    &["topic", "delete"],
    &["token"],
    &["token", "create"],
    &["token", "list"],
    &["token", "revoke"],
    &["publish"],
    &["consume"],
    &["groups"],
    &["groups", "list"],
    &["groups", "describe"],
    &["groups", "reset"],
    &["groups", "delete"],
    &["query"],
    &["tail"],
    &["segments"],
    &["retention"],
    &["quarantine"],
    &["quarantine", "list"],
    &["quarantine", "show"],
    &["quarantine", "replay"],
    &["gaps"],
    &["agents"],
    &["audit"],
    &["compact"],
    &["doctor"],
    &["duckdb-sql"],
    &["publish-tables"],
    &["migrate"],
    &["config"],
    &["bench"],
    &["completions"],
];

/// The names below `Commands:` of a help text.
fn listed(help: &str) -> Vec<&str> {
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect()
}

#[tokio::test]
async fn every_command_has_help_with_an_example_and_its_group_lists_it() {
    let siltstone = Siltstone::new();
    let top = siltstone.run(&["--help"]).await.ok();
    top.says(&["Exit codes", "siltstone demo"]);
    let alone = |length: usize| COMMANDS.iter().filter(move |path| path.len() == length);
    assert_eq!(listed(&top.out), alone(1).map(|path| path[0]).collect::<Vec<_>>());
    for command in COMMANDS {
        let help = siltstone.run(&[command, &["--help"][..]].concat()).await.ok();
        help.says(&["Usage: siltstone", "--json", "Example: siltstone"]);
        let below = alone(2).filter(|path| path.len() > command.len() && path.starts_with(command));
        assert_eq!(listed(&help.out), below.map(|path| path[1]).collect::<Vec<_>>(), "{command:?}");
    }
}

#[tokio::test]
async fn the_long_help_is_shown_and_the_short_one_points_to_it() {
    let siltstone = Siltstone::new();
    for (command, words) in [("audit", "ranges chain"), ("doctor", "Canary objects"), ("gaps", "never silent")] {
        siltstone.run(&[command, "--help"]).await.ok().says(&[words]);
        let short = siltstone.run(&[command, "-h"]).await.ok();
        short.says(&["see more with '--help'", "Example: siltstone"]);
        assert!(!short.out.contains(words), "{}", short.out);
    }
    siltstone.run(&["quarantine", "replay", "--help"]).await.ok().says(&["Siltstone-Replay-Of"]);
}

#[tokio::test]
async fn a_command_that_does_not_exist_brings_a_suggestion() {
    let siltstone = Siltstone::new();
    for (given, suggested) in [
        (&["tpic"][..], "'topic'"),
        (&["create", "orders"], "'topic create'"),
        (&["replay", "orders"], "'quarantine replay'"),
        (&["topic", "replay"], "'quarantine replay'"),
        (&["topic", "crate"], "'create'"),
        (&["sql", "SELECT 1"], "'query'"),
        (&["run"], "'up'"),
    ] {
        siltstone.run(given).await.fails(2, &["unrecognized subcommand", "tip:", suggested]);
    }
    siltstone.run(&["topic", "create", "t", "--partition", "2"]).await.fails(2, &["'--partitions'"]);
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
    siltstone.run(&["quarantine", "show", "t", "--limit", "0"]).await.fails(2, &["--limit"]);
    siltstone.run(&["consume", "--topic", "a", "--topic", "b", "--format", "csv"]).await.fails(2, &["one --topic"]);
    siltstone.run(&["topic", "create", "t"]).await.ok();
    siltstone.run(&["segments", "t", "--partition", "99"]).await.fails(2, &["topic t has partitions 0 to 0"]);
}

#[tokio::test]
async fn nothing_is_written_into_a_catalog_that_ends_with_the_command() {
    let siltstone = Siltstone::new().with("CATALOG_URL", "sqlite::memory:");
    for command in
        [&["topic", "create", "t"][..], &["topic", "delete", "t"], &["token", "create", "x", "--allow", "read:t"]]
    {
        siltstone.run(command).await.fails(2, &["CATALOG_URL=sqlite::memory:", "sqlite:<path>"]);
    }
}

#[tokio::test]
async fn completions_are_written_for_every_shell() {
    let siltstone = Siltstone::new().with("FLUSH_INTERVAL_SECS", "not even read");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = siltstone.run(&["completions", shell]).await.ok();
        for command in COMMANDS {
            script.says(command);
        }
        script.says(&["key-field", "duplicate-window", "dry-run"]);
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

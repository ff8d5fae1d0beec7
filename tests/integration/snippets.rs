//! The snippets of `docs/reading.md` for other people's tools, run as they stand, and the file of views that follows the catalog.

#[expect(dead_code, reason = "its main is for the command line")]
#[path = "../../examples/own_context.rs"]
mod own_context;

use std::path::Path;
use std::process::{Command, Stdio};

use support::process::run_well;
use tokio::time::{Instant, sleep};

use crate::binary::{DEADLINE, POLL, Siltstone, exit_code};

/// Behind a snippet: Python ends at once. While it clears up, a thread of PyArrow's that read Python's own bytes may abort it, after
/// the right answer (apache/arrow issue 34314).
const END: &str = "\nimport os, sys\nsys.stdout.flush()\nos._exit(0)\n";

fn snippets(language: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reading.md");
    let text = std::fs::read_to_string(path).expect("the document");
    let opening = format!("```{language}\n");
    let blocks = text.split(opening.as_str()).skip(1);
    blocks.map(|block| block.split("```").next().expect("a block has an end").to_owned()).collect()
}

async fn with_orders() -> Siltstone {
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "create", "orders", "--column", "id:int64", "--column", "amount:float64"]).await.ok();
    for first in [0, 50] {
        let lines: String =
            (first..first + 50).map(|n| format!("{{\"id\":{n},\"amount\":{}}}\n", n as f64 / 4.0)).collect();
        siltstone.run_with_input(&["up", "--stdin", "orders", "--no-check"], lines.as_bytes()).await.ok();
    }
    siltstone
}

#[tokio::test]
async fn the_snippets_for_python_read_every_record_once() {
    let siltstone = with_orders().await;
    let blocks = snippets("python");
    let tools = ["duckdb", "polars", "pyarrow", "pandas"];
    assert_eq!(blocks.len(), tools.len());
    let binary = Path::new(env!("CARGO_BIN_EXE_siltstone"));
    let path =
        format!("{}:{}", binary.parent().expect("a directory").display(), std::env::var("PATH").expect("a path"));
    for (block, tool) in blocks.iter().zip(tools) {
        assert!(block.contains(&format!("import {tool}")), "{block}");
        let mut command = Command::new(support::tools::python().expect("Python"));
        command.arg("-c").arg(format!("{block}{END}")).current_dir(siltstone.path());
        command.env("PATH", &path).env("STORAGE_PATH", siltstone.data());
        let printed = run_well(tool, command, b"", DEADLINE).await.expect("the snippet works");
        assert_eq!(printed.trim(), "[(100, 1237.5)]", "{tool}");
    }
}

#[tokio::test]
async fn two_lines_register_a_lake_in_a_programs_own_context() {
    let [block] = snippets("rust").try_into().expect("one snippet");
    let example = include_str!("../../examples/own_context.rs").replace("    ", "");
    assert!(example.contains(&block), "{block}");
    let siltstone = with_orders().await;
    let settings = siltstone::Settings { storage_path: siltstone.data(), ..siltstone::Settings::default() };
    let sql = "SELECT sum(o.amount) AS amount FROM lake.public.orders o JOIN wanted w ON w.id = o.id";
    let table = own_context::run(settings, sql).await.expect("it answers");
    assert!(table.contains("| 2.0    |"), "{table}");
}

#[tokio::test]
async fn a_watched_file_of_views_follows_the_segments() {
    let siltstone = with_orders().await;
    let file = siltstone.path().join("lake.sql");
    let path = file.to_str().expect("a path of text");
    siltstone.run(&["duckdb-sql", "--watch", path, "--json"]).await.fails(2, &["--json"]);
    siltstone.run(&["duckdb-sql", "--watch", "/nowhere/lake.sql"]).await.fails(1, &["--watch /nowhere/lake.sql"]);
    let mut watching =
        siltstone.command(&["duckdb-sql", "--watch", path]).stderr(Stdio::null()).spawn().expect("starts");
    let counted = async |expected: &str| {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Ok(views) = std::fs::read_to_string(&file) {
                let rows = support::duckdb::query(&format!("{views}SELECT count(*) FROM orders")).await.expect("whole");
                if rows == [[expected]] {
                    return;
                }
            }
            assert!(Instant::now() < end, "not {expected}");
            sleep(POLL).await;
        }
    };
    counted("100").await;
    siltstone.run_with_input(&["up", "--stdin", "orders", "--no-check"], b"{\"id\":100,\"amount\":1}\n").await.ok();
    counted("101").await;
    assert!(Command::new("kill").args(["-TERM", &watching.id().to_string()]).status().expect("kill").success());
    assert_eq!(exit_code(&mut watching).await, Some(0));
    let names = std::fs::read_dir(siltstone.path()).expect("a directory").filter_map(Result::ok);
    assert!(!names.into_iter().any(|entry| entry.file_name().to_string_lossy().ends_with(".part")));
}

//! The demo, which is the README's first command.

use crate::binary::Siltstone;

#[tokio::test]
async fn the_demo_counts_what_it_published_and_quarantines_what_is_wrong() {
    let siltstone = Siltstone::new();
    let demo = siltstone.run(&["demo", "--records", "2000"]).await.ok();
    demo.says(&["2,000 orders published = 1,997 rows + 3 in quarantine", "GROUP BY status", "delivered", "AUTUMN"]);
    demo.says(&["a dozen", "STORAGE_PATH=", "duckdb-sql"]);
    let again = siltstone.run(&["demo", "--records", "500", "--json"]).await.ok().json();
    assert_eq!((again["rows"].as_u64(), again["quarantined"].as_u64()), (Some(497), Some(3)));
    let runs = std::fs::read_dir(siltstone.path().join("data/demo")).expect("the demo's directory").count();
    assert_eq!(runs, 2, "each run has a directory of its own");
}

#[tokio::test]
async fn the_next_commands_that_the_demo_names_work() {
    let siltstone = Siltstone::new();
    let demo = siltstone.run(&["demo", "--records", "300", "--json"]).await.ok().json();
    let directory = demo["directory"].as_str().expect("a path");
    let siltstone = siltstone.with("STORAGE_PATH", directory);
    siltstone.run(&["query", "SELECT count(*) AS n FROM orders"]).await.ok().says(&["297"]);
    siltstone.run(&["segments", "orders"]).await.ok().says(&[".parquet"]);
    siltstone.run(&["duckdb-sql", "--views", "orders"]).await.ok().says(&["CREATE"]);
    siltstone.run(&["topic", "describe", "orders"]).await.ok().says(&["297 rows and 3 quarantined"]);
}

#[tokio::test]
async fn a_discarded_demo_leaves_nothing() {
    let siltstone = Siltstone::new();
    let demo = siltstone.run(&["demo", "--records", "5", "--discard", "--dir", "here"]).await.ok();
    demo.says(&["5 rows + 0"]);
    assert!(!demo.out.contains("Look at the files") && !demo.out.contains("STORAGE_PATH="), "{}", demo.out);
    assert_eq!(std::fs::read_dir(siltstone.path().join("here")).expect("the parent stays").count(), 0);
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let siltstone = Siltstone::new();
    std::fs::write(siltstone.path().join("file"), "").expect("written");
    siltstone.run(&["demo", "--dir", "file"]).await.fails(1, &["--dir file"]);
}

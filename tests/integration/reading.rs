//! Commands that read, run by those who may do nothing else.

use serde_json::Value;
use support::read_only::ReadOnlyView;

use crate::binary::Siltstone;

/// Every command that reads, with a part of its answer.
const READING: [(&[&str], &str); 10] = [
    (&["query", "SELECT count(*) AS rows FROM t"], "| 2"),
    (&["duckdb-sql", "--views"], "CREATE"),
    (&["duckdb-sql"], "ATTACH"),
    (&["segments"], ".parquet"),
    (&["gaps"], ""),
    (&["audit"], "audit: clean"),
    (&["topic", "list"], "t"),
    (&["topic", "describe", "t"], "2 rows and 1 quarantined"),
    (&["quarantine", "list", "t"], "column \"n\""),
    (&["quarantine", "show", "t"], "payload"),
];

const LINES: &[u8] = b"{\"n\":1}\n{\"n\":2}\n{\"n\":\"three\"}\n";

async fn filled(siltstone: &Siltstone) {
    siltstone.run(&["topic", "create", "t", "--column", "n:int64!"]).await.ok();
    siltstone.run_with_input(&["up", "--stdin", "t"], LINES).await.ok();
}

async fn all_read(siltstone: &Siltstone) {
    for (arguments, part) in READING {
        let answer = siltstone.run(arguments).await.ok();
        answer.says(&[part]);
        assert!(!answer.err.contains("WARN") && !answer.err.contains("warnings"), "{answer:?}");
    }
}

fn catalog_finding(report: &Value, check: &str) -> Value {
    let findings = report["findings"].as_array().expect("a list");
    let is_it = |finding: &&Value| finding["area"] == "catalog" && finding["check"] == check;
    findings.iter().find(is_it).unwrap_or_else(|| panic!("no {check} in {report:#}")).clone()
}

#[tokio::test]
async fn a_lake_on_a_read_only_mount_is_read() {
    let lake = Siltstone::new();
    filled(&lake).await;
    let view = ReadOnlyView::of(&lake.data()).expect("mounted");
    let reader = Siltstone::new().with("STORAGE_PATH", view.path().to_str().expect("text"));
    all_read(&reader).await;
    let created = reader.run(&["topic", "create", "u"]).await;
    created.fails(1, &["cannot use", "catalog.db"]);
    let report: Value = serde_json::from_str(&reader.run(&["doctor", "--json"]).await.out).expect("JSON");
    assert_eq!(catalog_finding(&report, "settings")["verdict"], "ok", "{report:#}");
}

#[tokio::test]
async fn a_role_with_select_alone_reads_a_lake() {
    let lake = Siltstone::new();
    let url = support::postgres::fresh_database().await.expect("a database");
    filled(&lake.clone().with("CATALOG_URL", &url)).await;
    let role = format!("analyst_{}", support::unique_name());
    let grants = format!(
        "create role {role} login; grant usage on schema public to {role};
         grant select on all tables in schema public to {role}"
    );
    support::postgres::execute(&url, &grants).await.expect("granted");
    let reader = lake.with("CATALOG_URL", &url.replace("postgres@", &format!("{role}@")));
    reader.run(&["duckdb-sql"]).await.fails(1, &["may not read the schema", "GRANT lake_reader TO"]);
    reader.run(&["audit"]).await.ok().says(&["audit: clean"]);
    support::postgres::execute(&url, &format!("grant lake_reader to {role}")).await.expect("granted");
    all_read(&reader).await;
    let report = reader.run(&["doctor", "--json"]).await.ok().json();
    let found = catalog_finding(&report, "role");
    assert!(found["found"] == "this login may only read" && found["reduces"] == true, "{found}");
    let refused = reader.run(&["topic", "create", "u"]).await;
    refused.fails(1, &["permission denied", "a writer the right to change them"]);
    support::postgres::execute(&url, &format!("drop owned by {role}; drop role {role}")).await.expect("dropped");
}

#[tokio::test]
async fn a_mistyped_place_stays_without_a_catalog() {
    let siltstone = Siltstone::new();
    let place = siltstone.path().join("dta");
    let reader = siltstone.with("STORAGE_PATH", place.to_str().expect("text"));
    for (arguments, _) in READING {
        reader.run(arguments).await.fails(1, &["no catalog at", "dta/catalog.db"]);
    }
    assert!(!place.join("catalog.db").exists());
    // The doctor looks at a place before there is anything in it.
    let report: Value = serde_json::from_str(&reader.run(&["doctor", "--json"]).await.out).expect("JSON");
    let found = catalog_finding(&report, "connection");
    assert!(found["verdict"] == "warn" && found["advice"].as_str().is_some_and(|text| text.contains("topic create")));
}

#[tokio::test]
async fn no_command_on_postgres_writes_what_does_not_concern_its_user() {
    let url = support::postgres::fresh_database().await.expect("a database");
    let siltstone = Siltstone::new().with("CATALOG_URL", &url);
    let created = siltstone.run(&["topic", "create", "t"]).await.ok();
    let listed = siltstone.run(&["topic", "list"]).await.ok();
    assert_eq!((created.err.as_str(), listed.err.as_str()), ("", ""));
}

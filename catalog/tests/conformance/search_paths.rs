//! Search paths by which the tables of a catalog in PostgreSQL would be made in two places.
//!
//! Owns: that nothing is made then, and the way out. Does not own: other refusals of a database (`databases`).

use catalog::{connect, connect_to_read};
use common::ErrorKind;
use support::postgres::{execute, fresh_database};

async fn refusal(url: &str) -> String {
    let error = connect(url).await.expect_err("it would come apart");
    assert_eq!(error.kind(), ErrorKind::Fatal, "{error}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_named_as_the_schema_of_the_views_makes_no_half_catalog() {
    let url = fresh_database().await.expect("a PostgreSQL server");
    let home = support::unique_name();
    let role = format!("{home}_lake");
    let prepared = format!(
        "create role {role} login superuser; create schema {home}; alter role {role} set search_path = \"$user\", {home}"
    );
    execute(&url, &prepared).await.expect("made");
    let url_of_role = url.replace("postgres@", &format!("{role}@"));
    let error = refusal(&url_of_role).await;
    assert!(error.contains("ALTER ROLE") && error.contains("search_path"), "{error}");
    let tables = execute(&url, &format!("select count(*) from pg_tables where schemaname like '{home}%'")).await;
    assert_eq!(tables.expect("counted").trim(), "0");
    execute(&url, &format!("alter role {role} set search_path = {home}")).await.expect("as the error says");
    connect(&url_of_role).await.expect("opens").close().await;
    connect_to_read(&url_of_role).await.expect("opens").close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_begins_no_second_catalog_in_a_schema_that_stands_before() {
    let url = fresh_database().await.expect("a PostgreSQL server");
    connect(&url).await.expect("opens").close().await;
    execute(&url, "create schema before; delete from _sqlx_migrations where version > 8").await.expect("an older one");
    let error = refusal(&format!("{url}?options=-csearch_path%3Dbefore,public")).await;
    assert!(error.contains("stand in schema public"), "{error}");
    let tables = execute(&url, "select count(*) from pg_tables where schemaname = 'before'").await;
    assert_eq!(tables.expect("counted").trim(), "0");
}

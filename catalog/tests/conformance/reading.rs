//! A catalog that is opened to be read, by somebody who may do nothing else.
//!
//! Owns: what is read and what is refused then. Does not own: the display of it (the integration tests).

use catalog::{CatalogError, MetadataStore, connect, connect_to_read};
use common::ErrorKind;
use support::postgres::{PostgresServer, execute};

use super::backend::Backend;
use super::fixture::*;

/// One topic with one commit.
pub(super) async fn fill(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    commit_range(store, &held, 0, 9).await;
}

/// Everything that is read of it, and nothing that is written.
pub(super) async fn reads(url: &str) {
    let store = connect_to_read(url).await.expect("opens");
    let id = partition("orders", 0);
    assert_eq!(store.list_topics().await.expect("listed").len(), 1);
    let snapshot = store.snapshot(&id.topic).await.expect("read");
    assert_eq!((snapshot.segments.len(), snapshot.partitions[0].high_watermark), (1, 10));
    assert_eq!(store.list_commits(&id).await.expect("listed").len(), 1);
    assert!(store.list_gaps(&id).await.expect("listed").is_empty());
    store.check().await.expect("answers");
    store.verify().await.expect("sound");
    assert!(store.diagnose().await.iter().all(|finding| finding.verdict != common::diagnosis::Verdict::Fail));
    let refused = store.create_topic(topic_config("more", 1)).await.expect_err("not to be written");
    assert!(refused.to_string().contains("opened for reading"), "{refused}");
    store.close().await;
}

async fn refusal(url: &str) -> String {
    let error = connect_to_read(url).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Fatal, "{error}");
    error.to_string()
}

/// The statements of the documentation, for another role and database.
fn grants(role: &str, database: &str) -> String {
    let text = include_str!("../../../docs/reading.md");
    let block = text.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of SQL");
    block
        .replace("analyst", role)
        .replace("DATABASE lake", &format!("DATABASE {database}"))
        .replace("siltstone", "postgres")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_with_the_documented_rights_reads_everything_and_writes_nothing() {
    let backend = Backend::postgres().await;
    fill(backend.store()).await;
    let database = backend.url().rsplit('/').next().expect("a name");
    let role = format!("reader_{}", support::unique_name());
    execute(backend.url(), &grants(&role, database)).await.expect("granted");
    let url = backend.url().replace("postgres@", &format!("{role}@"));
    reads(&url).await;
    let writing = connect(&url).await.expect("the schema is this version's, so that nothing is to be made");
    let refused = writing.create_topic(topic_config("more", 1)).await.expect_err("may only read");
    assert!(refused.to_string().contains("permission denied") && refused.to_string().contains("a writer"), "{refused}");
    writing.close().await;
    execute(backend.url(), &format!("alter role {role} set default_transaction_read_only = on"))
        .await
        .expect("altered");
    reads(&url).await;
    assert!(connect(&url).await.expect_err("read-only").to_string().contains("must be writable"));
    // Tables of a later version.
    execute(backend.url(), "create table later (n int)").await.expect("made");
    execute(&url, "select count(*) from later").await.expect("may read");
    execute(backend.url(), &format!("drop owned by {role}; drop role {role}")).await.expect("dropped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_without_rights_is_told_which_it_needs() {
    let backend = Backend::postgres().await;
    let role = format!("stranger_{}", support::unique_name());
    execute(backend.url(), &format!("create role {role} login")).await.expect("made");
    let url = backend.url().replace("postgres@", &format!("{role}@"));
    let text = refusal(&url).await;
    assert!(text.contains("permission denied") && text.contains("SELECT on all of its tables"), "{text}");
    execute(backend.url(), "revoke all on schema public from public").await.expect("revoked");
    let text = refusal(&url).await;
    assert!(text.contains("no catalog at this database") && text.contains("USAGE on the schema"), "{text}");
    execute(backend.url(), &format!("drop role {role}")).await.expect("dropped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_standby_is_read() {
    let primary = PostgresServer::start().await.expect("a server");
    let store = connect(&primary.url()).await.expect("opens");
    fill(&*store).await;
    let standby = PostgresServer::standby_of(primary.address()).await.expect("a standby");
    standby.wait_for("select count(*) from commits", "1").await.expect("it has the commit");
    reads(&standby.url()).await;
    assert!(connect(&standby.url()).await.expect_err("a replica").to_string().contains("a replica"));
}

#[tokio::test]
async fn a_place_without_catalog_stays_without() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data").join("catalog.db");
    let error = connect_to_read(&format!("sqlite:{}", path.display())).await.expect_err("nothing there");
    assert!(matches!(&error, CatalogError::Absent(place) if place.ends_with("data/catalog.db")), "{error}");
    assert!(error.to_string().contains("starting a writer makes one"), "{error}");
    assert!(!path.parent().expect("a directory").exists());
    let empty = directory.path().join("empty.db");
    std::fs::write(&empty, "").expect("written");
    let error = connect_to_read(&format!("sqlite:{}", empty.display())).await.expect_err("empty");
    assert!(matches!(error, CatalogError::Absent(_)), "{error}");
    let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
    assert!(matches!(connect_to_read(&url).await.expect_err("nothing there"), CatalogError::Absent(_)));
    let tables = "select count(*) from pg_tables where schemaname = 'public'";
    assert_eq!(execute(&url, tables).await.expect("asked").trim_end(), "0");
    let findings = catalog::diagnose_without_catalog(&url).await.expect("answers");
    assert!(findings.iter().any(|finding| finding.check == "role" && !finding.reduces), "{findings:#?}");
}

#[tokio::test]
async fn an_older_schema_is_not_migrated_by_a_reader() {
    const LAST: &str = "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)
        RETURNING description";
    const NEWEST: &str = "SELECT CAST(max(version) AS TEXT) FROM _sqlx_migrations";
    for backend in [Backend::sqlite_file().await, Backend::postgres().await] {
        fill(backend.store()).await;
        backend.store().close().await;
        assert_eq!(backend.texts(LAST).await.len(), 1);
        let left = backend.texts(NEWEST).await;
        let text = refusal(backend.url()).await;
        assert!(text.contains(&format!("has version {}, this program needs", left[0])), "{text}");
        assert!(text.contains("siltstone migrate"), "{text}");
        assert_eq!(backend.texts(NEWEST).await, left, "nothing was changed");
    }
}

#[tokio::test]
async fn a_reader_sees_what_a_writer_commits_meanwhile() {
    for backend in [Backend::sqlite_file().await, Backend::postgres().await] {
        let held = owned(backend.store(), "orders").await;
        let reader = connect_to_read(backend.url()).await.expect("opens");
        for base in 0..3 {
            commit_range(backend.store(), &held, base, base).await;
            assert_eq!(get_partition(&*reader, &held.partition).await.high_watermark, base + 1);
        }
        reader.close().await;
        backend.store().close().await;
        reads_again(backend.url()).await;
    }
}

async fn reads_again(url: &str) {
    let reader = connect_to_read(url).await.expect("opens");
    assert_eq!(get_partition(&*reader, &partition("orders", 0)).await.high_watermark, 3);
    reader.close().await;
}

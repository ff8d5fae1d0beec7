//! Cases for one kind of database alone: files, URLs, logins, versions of the schema; and facts that only the tables
//! show.

use std::path::Path;

use catalog::{CatalogError, MetadataStore, PostgresMetadataStore, SqliteMetadataStore, TopicStore, connect};
use common::ErrorKind;

use super::backend::{Backend, setup_test_store};
use super::fixture::*;

async fn refusal(url: &str) -> String {
    match connect(url).await {
        Err(error @ CatalogError::Refused(_)) => {
            assert_eq!(error.kind(), ErrorKind::Fatal);
            error.to_string()
        }
        other => panic!("{url} is not refused: {other:?}"),
    }
}

fn sqlite_url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

#[tokio::test]
async fn an_unknown_scheme_is_refused_by_name() {
    assert!(refusal("mysql://localhost/x").await.contains("mysql://localhost/x: unknown scheme"));
    assert!(refusal("").await.contains("sqlite:<path>"));
}

#[tokio::test]
async fn a_path_that_cannot_be_used_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("temporary directory");
    assert!(refusal(&sqlite_url(directory.path())).await.contains("cannot use"), "a directory");
    let text = directory.path().join("notes.txt");
    std::fs::write(&text, "this is not a database, and long enough to be seen as none ".repeat(99)).expect("written");
    assert!(refusal(&sqlite_url(&text)).await.contains("notes.txt"), "a file of another kind");
    assert!(refusal(&sqlite_url(&text.join("catalog.db"))).await.contains("cannot create directory"));
    assert!(refusal(&format!("{}?mode=ro", sqlite_url(&directory.path().join("new.db")))).await.contains("read-only"));
    assert!(!directory.path().join("new.db").exists());
}

#[tokio::test]
async fn a_database_in_memory_is_one_database_for_all_its_users() {
    let store = setup_test_store().await;
    let held = owned(&*store, "orders").await;
    let request = request(&held, 0, 9);
    intend(&*store, &request).await;
    let (topics, outcome, partitions, resolved) = tokio::join!(
        store.list_topics(),
        commit(&*store, &request),
        store.list_partitions(&held.partition.topic),
        store.resolve(&request),
    );
    assert_eq!((topics.expect("listed").len(), partitions.expect("listed").len()), (1, 1));
    assert_done(&outcome, 10);
    resolved.expect("looked up");
    let other = connect("sqlite::memory:").await.expect("opens");
    assert!(other.list_topics().await.expect("listed").is_empty(), "another one");
}

#[tokio::test]
async fn a_new_file_is_made_with_its_directory_and_writes_ahead() {
    let backend = Backend::sqlite_file().await;
    assert_eq!(backend.texts("SELECT journal_mode FROM pragma_journal_mode").await, ["wal"]);
    assert!(backend.url().contains("/new/"), "the directory was made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_open_one_new_file_at_once_all_get_the_same_catalog() {
    for _ in 0..5 {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("catalog.db");
        let open = || tokio::spawn(SqliteMetadataStore::new(path.clone()));
        let (one, two, three) = tokio::join!(open(), open(), open());
        let one = one.expect("joined").expect("opens");
        create_topic(&one, "orders", 1).await;
        for other in [two, three] {
            let other = other.expect("joined").expect("opens");
            assert_eq!(other.list_topics().await.expect("listed").len(), 1);
            other.clone().close().await;
        }
        one.close().await;
    }
}

/// Set for a process that [`real_processes_share_one_new_file`] starts from this test program.
const SHARED_FILE: &str = "SILTSTONE_TEST_SHARED_CATALOG";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_processes_share_one_new_file() {
    if let Ok(path) = std::env::var(SHARED_FILE) {
        let store = SqliteMetadataStore::new(path).await.expect("opens");
        let held = owned(&store, &format!("topic-{}", std::process::id())).await;
        for number in 0..20 {
            commit_range(&store, &held, number, number).await;
        }
        assert_chain(&store, &held.partition).await;
        return;
    }
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("catalog.db");
    let start = || {
        let mut command = std::process::Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "conformance::databases::real_processes_share_one_new_file"]).env(SHARED_FILE, &path);
        command.spawn().expect("starts")
    };
    for mut process in [start(), start(), start()] {
        assert!(process.wait().expect("waited for").success());
    }
    let store = SqliteMetadataStore::new(&path).await.expect("opens");
    let topics = store.list_topics().await.expect("listed");
    assert_eq!(topics.len(), 3);
    for topic in topics {
        assert_eq!(get_partition(&store, &partition(topic.name.as_str(), 0)).await.high_watermark, 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_that_open_one_new_postgres_database_at_once_all_get_the_same_catalog() {
    let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
    let (one, two, three) = tokio::join!(connect(&url), connect(&url), connect(&url));
    create_topic(&*one.expect("opens"), "orders", 1).await;
    for other in [two, three] {
        assert_eq!(other.expect("opens").list_topics().await.expect("listed").len(), 1);
    }
}

async fn reopening_keeps_everything(backend: Backend) {
    let held = owned(backend.store(), "orders").await;
    let request = commit_range(backend.store(), &held, 0, 9).await;
    let before = backend.store().snapshot(&name("orders")).await.expect("read");
    backend.store().close().await;
    assert!(backend.store().check().await.is_err(), "closed");
    let again = backend.open_again().await;
    assert_eq!(again.snapshot(&name("orders")).await.expect("read"), before);
    assert_done(&commit(&*again, &request).await, 10);
    commit_range(&*again, &held, 10, 19).await;
    again.close().await;
}

#[tokio::test]
async fn reopening_a_file_keeps_everything() {
    reopening_keeps_everything(Backend::sqlite_file().await).await;
}

#[tokio::test]
async fn reconnecting_to_postgres_finds_everything() {
    reopening_keeps_everything(Backend::postgres().await).await;
}

const FROM_THE_FUTURE: &str = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
    SELECT 999, 'from the future', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1 RETURNING description";

#[tokio::test]
async fn a_schema_newer_than_this_program_is_refused() {
    for backend in [Backend::sqlite_file().await, Backend::postgres().await] {
        assert_eq!(backend.texts(FROM_THE_FUTURE).await, ["from the future"]);
        let refusal = refusal(backend.url()).await;
        assert!(refusal.contains("version 999") && refusal.contains("newer"), "{refusal}");
    }
}

#[tokio::test]
async fn a_read_only_postgres_is_refused() {
    let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
    let name = url.rsplit('/').next().expect("a name");
    let sql = format!("alter database {name} set default_transaction_read_only = on");
    support::postgres::execute(&url, &sql).await.expect("altered");
    assert!(refusal(&url).await.contains("read-only"));
}

#[tokio::test]
async fn an_absent_postgres_database_is_refused_and_an_absent_server_is_unavailable() {
    let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
    assert!(refusal(&format!("{url}x")).await.contains("does not exist"));
    let port = support::port::free().expect("a port");
    let url = format!("postgres://someone:secret@127.0.0.1:{port}/x");
    let error = PostgresMetadataStore::connect(&url).await.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"));
}

async fn the_janitor_gets_every_object_that_is_listed_no_more(backend: Backend) {
    const DOOMED: &str = "SELECT key FROM uploads WHERE state = 'doomed' AND doomed_at >= created_at ORDER BY key";
    let store = backend.store();
    let held = owned(store, "orders").await;
    let mut keys = Vec::new();
    for base in [0, 10, 20] {
        keys.push(commit_range(store, &held, base, base + 9).await.segments[0].object.key.clone());
    }
    assert!(backend.texts("SELECT key FROM uploads").await.is_empty(), "commits consume their intents");
    store.delete_segments_before(&held.partition, 10).await.expect("deleted");
    assert_eq!(backend.texts(DOOMED).await, keys[..1]);
    let abandoned = request(&held, 30, 39);
    let pending = request(&held, 30, 39);
    intend(store, &abandoned).await;
    intend(store, &pending).await;
    store.abandon_intents(&intents(&abandoned)).await.expect("given up");
    keys.push(abandoned.segments[0].object.key.clone());
    keys.push(pending.segments[0].object.key.clone());
    store.delete_topic(&name("orders")).await.expect("deleted");
    keys.sort();
    assert_eq!(backend.texts(DOOMED).await, keys, "they outlive the topic");
    for table in ["SELECT topic FROM commits", "SELECT topic FROM gaps", "SELECT id FROM segments"] {
        assert!(backend.texts(table).await.is_empty(), "{table}");
    }
}

#[tokio::test]
async fn the_janitor_gets_every_object_that_is_listed_no_more_in_sqlite() {
    the_janitor_gets_every_object_that_is_listed_no_more(Backend::sqlite_file().await).await;
}

#[tokio::test]
async fn the_janitor_gets_every_object_that_is_listed_no_more_in_postgres() {
    the_janitor_gets_every_object_that_is_listed_no_more(Backend::postgres().await).await;
}

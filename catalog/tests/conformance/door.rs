//! Every operation goes through the one door to the database: a server that never answers is given up in time, and a
//! poisoned process sends and writes nothing.
//!
//! Owns: both proofs, over the table of all operations. Does not own: the table (`operations`).

use std::path::Path;
use std::time::Duration;

use catalog::{Agent, CatalogError, MetadataStore, OwnershipStore, PostgresMetadataStore, Scope, SqliteMetadataStore};
use common::ErrorKind;
use common::diagnosis::Verdict;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};
use support::proxy::{Mode, Proxy};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use super::lanes::server_address;
use super::operations::{Answer, OPERATIONS, Operation, World};

/// Limit to the silence of the server.
const LIMIT: Duration = Duration::from_millis(500);
/// The limit after which an operation counts as hanging: long, for a busy machine.
const HANGS: Duration = Duration::from_secs(10);
/// Number of operations called at the same time, each on connections of its own.
const LANES: usize = 4;

/// Describes a wrong answer for an unreachable database: correct is an error that `is_right`, or one finding of a
/// diagnosis with the `text` in it.
fn fault(
    operation: &Operation,
    answer: &Answer,
    text: &str,
    is_right: impl Fn(&CatalogError) -> bool,
) -> Option<String> {
    let is_good = match answer {
        Answer::Failed(error) => is_right(error) && error.to_string().contains(text),
        Answer::Found(findings) => {
            let [finding] = findings.as_slice() else { return Some(format!("diagnose: {findings:?}")) };
            finding.verdict == Verdict::Fail && finding.found.contains(text)
        }
        Answer::Done => operation.name == "close",
        Answer::Otherwise(outcome) => return Some(format!("{}: {outcome}", operation.name)),
    };
    (!is_good).then(|| format!("{}: {answer:?}", operation.name))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_gives_a_server_up_that_never_answers() {
    let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
    let world = World::prepare(&PostgresMetadataStore::connect(&url).await.expect("opens")).await;
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let (url, world) = (url.clone(), world.clone());
        lanes.spawn(async move {
            let mut faults = Vec::new();
            for operation in OPERATIONS.iter().skip(lane).step_by(LANES) {
                faults.extend(silence_fault(operation, &url, &world).await);
            }
            faults
        });
    }
    let faults: Vec<String> = lanes.join_all().await.into_iter().flatten().collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Calls the operation on a server that stops answering, and describes a wrong answer. The pool tests a connection
/// before lending it, so the wait here is mostly for that test; the other case waits for statements.
async fn silence_fault(operation: &Operation, url: &str, world: &World) -> Option<String> {
    let server = server_address(url);
    let proxy = Proxy::start(server).await.expect("a proxy");
    let through = url.replace(&server.to_string(), &proxy.address().to_string());
    let store = PostgresMetadataStore::connect(&through).await.expect("opens");
    store.check().await.expect("answers");
    proxy.set(Mode::Stall);
    let store = store.with_answer_timeout(LIMIT);
    limit_fault(operation, &store, world).await
}

/// Calls the operation, and describes an answer that does not come from the limit to the server's silence.
async fn limit_fault(operation: &Operation, store: &PostgresMetadataStore, world: &World) -> Option<String> {
    let Ok(answer) = timeout(HANGS, (operation.call)(store, world)).await else {
        return Some(format!("{}: hangs", operation.name));
    };
    fault(operation, &answer, "no answer within 500ms", |error| error.kind() == ErrorKind::Unavailable)
}

/// The connection is sound, and the statement is not answered: another session holds every table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_gives_a_statement_up_that_is_never_answered() {
    /// Operations that query the server itself or nothing, and no table.
    const WITHOUT_TABLES: [&str; 3] = ["diagnose", "verify", "close"];
    let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
    let store = PostgresMetadataStore::connect(&url).await.expect("opens");
    let world = World::prepare(&store).await;
    let mut stores = Vec::new();
    for operation in OPERATIONS.iter().filter(|operation| !WITHOUT_TABLES.contains(&operation.name)) {
        // Each store has a pool of its own: a connection whose statement was given up stays busy for a while.
        let store = PostgresMetadataStore::connect(&url).await.expect("opens");
        stores.push((operation, store.with_answer_timeout(LIMIT)));
    }
    let mut other = PgConnection::connect(&url).await.expect("connects");
    let lock = "DO $$ DECLARE found record; BEGIN
        FOR found IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
            EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', found.tablename);
        END LOOP; END $$";
    other.execute("BEGIN").await.expect("begun");
    other.execute(lock).await.expect("locked");
    let mut calls = JoinSet::new();
    for (operation, store) in stores {
        let world = world.clone();
        calls.spawn(async move { limit_fault(operation, &store, &world).await });
    }
    let faults: Vec<String> = calls.join_all().await.into_iter().flatten().collect();
    other.close().await.expect("closed");
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_refuses_after_the_disk_failed_in_a_commit_and_writes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("catalog.db");
    let store = SqliteMetadataStore::new(&path).await.expect("opens");
    let world = World::prepare(&store).await;
    poison(&store, &path).await;
    let before = contents(&path).await;
    assert!(before.len() > 10, "{before:#?}");
    let mut faults = Vec::new();
    for operation in OPERATIONS {
        let answer = (operation.call)(&store, &world).await;
        faults.extend(fault(operation, &answer, "this process must end", |error| {
            matches!(error, CatalogError::Poisoned(_))
        }));
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(contents(&path).await, before);
    // The file was never damaged: another process can use it.
    let next = SqliteMetadataStore::new(&path).await.expect("opens again");
    next.verify().await.expect("sound");
    next.close().await;
}

/// Makes a statement that commits by itself read a damaged page, then repairs it.
async fn poison(store: &SqliteMetadataStore, path: &Path) {
    let mut other = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.expect("connects");
    // A new table makes every connection read the schema again.
    let damage = "PRAGMA writable_schema = ON; BEGIN;
        UPDATE sqlite_schema SET rootpage = rootpage + 1000000 WHERE name = 'agents'; CREATE TABLE damage (x); COMMIT";
    other.execute(damage).await.expect("damaged");
    let agent = Agent {
        owner: common::OwnerId(Uuid::now_v7()),
        name: "poisoned".to_owned(),
        scope: Scope::All,
        contact: Default::default(),
    };
    let error = store.heartbeat(&agent).await.expect_err("it meets the damage");
    assert!(matches!(&error, CatalogError::Poisoned(reason) if reason.contains("malformed")), "{error}");
    let mend = "BEGIN; UPDATE sqlite_schema SET rootpage = rootpage - 1000000 WHERE name = 'agents';
        DROP TABLE damage; COMMIT";
    other.execute(mend).await.expect("mended");
    other.close().await.expect("closed");
}

/// Every row of every table, as text.
async fn contents(path: &Path) -> Vec<String> {
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.expect("connects");
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .fetch_all(&mut connection)
        .await
        .expect("listed");
    let mut contents = Vec::new();
    for table in tables {
        let columns: Vec<String> = sqlx::query_scalar("SELECT 'quote(' || name || ')' FROM pragma_table_info($1)")
            .bind(&table)
            .fetch_all(&mut connection)
            .await
            .expect("described");
        let select = format!("SELECT {} FROM {table} ORDER BY 1", columns.join(" || ' ' || "));
        let rows: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(select)).fetch_all(&mut connection).await.expect("read");
        contents.extend(rows.into_iter().map(|row| format!("{table}: {row}")));
    }
    connection.close().await.expect("closed");
    contents
}

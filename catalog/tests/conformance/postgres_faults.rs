//! Faults of a PostgreSQL server under a writer's commits: it deadlocks, ends sessions, holds locks, becomes a replica,
//! or cannot replicate a commit.
//!
//! Owns: the catalog's answers in these cases. Does not own: cuts of the network (`lost_replies`), a writer's reaction
//! to a failover (the integration tests).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use catalog::{
    CatalogError, CommitOutcome, CommitRequest, CommitStore, MetadataStore, OwnershipStore, PostgresMetadataStore,
    connect,
};
use common::ErrorKind;
use sqlx::{Connection, Executor, PgConnection};
use support::postgres::{self, PostgresServer, fresh_database};
use support::proxy::Proxy;

use super::fixture::*;

async fn opened(url: &str) -> Arc<PostgresMetadataStore> {
    Arc::new(PostgresMetadataStore::connect(url).await.expect("opens"))
}

/// The error of a commit that certainly did not happen and may be sent again.
fn not_done(outcome: CommitOutcome) -> CatalogError {
    let CommitOutcome::NotDone(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    error
}

const WAITING: &str = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
const CANCEL: &str = "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_synchronous_wait_is_cancelled_is_unknown_until_a_standby_has_it() {
    let server = PostgresServer::start().await.expect("a server");
    let store = opened(&server.url()).await;
    let held = owned(&*store, "orders").await;
    let request = request(&held, 0, 9);
    intend(&*store, &request).await;
    let cancelled = async || {
        server.wait_for(WAITING, "1").await.expect("it waits for the standby");
        assert_eq!(server.execute(CANCEL).await.expect("cancelled").trim_end(), "t");
    };

    server.configure(&[("synchronous_standby_names", "missing")]).await.expect("configured");
    let (outcome, ()) = tokio::join!(commit(&*store, &request), cancelled());
    let CommitOutcome::Unknown(error) = outcome else { panic!("a success that proves nothing: {outcome:?}") };
    assert!(error.to_string().contains("COMMIT answered with a warning"), "{error}");
    // The commit is visible, and would be lost with this server.
    assert_eq!(get_partition(&*store, &held.partition).await.high_watermark, 10);
    let (settled, ()) = tokio::join!(store.resolve(&request), cancelled());
    assert_eq!(settled.expect_err("as unknown as before").kind(), ErrorKind::Unavailable);

    let standby = PostgresServer::standby_of(server.address()).await.expect("a standby");
    server.configure(&[("synchronous_standby_names", "*")]).await.expect("configured");
    assert_done(&store.resolve(&request).await.expect("looked up"), 10);
    drop(server);
    standby.promote().await.expect("promoted");
    assert_eq!(standby.execute("select high_watermark from partitions").await.expect("read").trim_end(), "10");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_refused_and_a_server_that_becomes_one_is_asked_until_it_is_promoted() {
    let server = PostgresServer::start().await.expect("a server");
    let standby = PostgresServer::standby_of(server.address()).await.expect("a standby");
    let proxy = Proxy::start(server.address()).await.expect("a proxy");
    let store = opened(&format!("postgres://postgres@{}/postgres", proxy.address())).await;
    let held = owned(&*store, "orders").await;
    let request = request(&held, 0, 9);
    intend(&*store, &request).await;
    standby.wait_for("select count(*) from pg_tables where tablename = 'uploads'", "1").await.expect("replicated");
    standby.wait_for("select count(*) from uploads", "1").await.expect("replicated");

    let refused = connect(&standby.url()).await.expect_err("a replica");
    assert!(matches!(&refused, CatalogError::Refused(reason) if reason.contains("a replica")), "{refused}");
    proxy.retarget(standby.address());
    proxy.cut();
    while !not_done(commit(&*store, &request).await).to_string().contains("read-only") {}
    let heartbeat = store
        .heartbeat(&catalog::Agent {
            owner: held.owner,
            name: String::new(),
            scope: catalog::Scope::All,
            contact: Default::default(),
        })
        .await;
    assert_eq!(heartbeat.expect_err("read-only").kind(), ErrorKind::Unavailable);
    assert_eq!(get_partition(&*store, &held.partition).await.high_watermark, 0, "reading goes on");
    let view = store.ownership_view(LONG_LEASE).await.expect_err("it may lag");
    assert_eq!(view.kind(), ErrorKind::Unavailable, "{view}");
    standby.promote().await.expect("promoted");
    assert_done(&commit(&*store, &request).await, 10);
    assert_chain(&*store, &held.partition).await;
}

/// A session of another program in the same database.
async fn stranger(url: &str, statements: &'static str) -> PgConnection {
    let mut session = PgConnection::connect(url).await.expect("connects");
    session.execute(statements).await.expect(statements);
    session
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_loses_a_deadlock_is_sent_again() {
    let url = fresh_database().await.expect("a database");
    let store = opened(&url).await;
    create_topic(&*store, "orders", 2).await;
    let owner = agent(&*store).await;
    let mut group: Vec<CommitRequest> = Vec::new();
    for id in [0, 1] {
        let held = take(&*store, owner, &partition("orders", id)).await;
        group.push(request(&held, 0, 9));
        intend(&*store, &group[id as usize]).await;
    }
    // This session never looks for deadlocks, so that the catalog's session is the one that fails.
    let lock_second = "SET deadlock_timeout = '1h'; BEGIN; SELECT 1 FROM partitions WHERE partition_id = 1 FOR UPDATE";
    let mut stranger = stranger(&url, lock_second).await;
    let committing = tokio::spawn({
        let (store, group) = (Arc::clone(&store), group.clone());
        async move { store.commit(&group).await }
    });
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    while postgres::execute(&url, waiting).await.expect("read").trim_end() != "1" {}
    stranger.execute("SELECT 1 FROM partitions WHERE partition_id = 0 FOR UPDATE").await.expect("the others gave way");
    for outcome in committing.await.expect("joined") {
        let error = not_done(outcome);
        assert!(error.to_string().contains("deadlock"), "{error}");
    }
    stranger.close().await.expect("closed");
    store.commit(&group).await.iter().for_each(|outcome| assert_done(outcome, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_is_held_too_long_is_given_up_and_the_commit_is_sent_again() {
    let url = fresh_database().await.expect("a database");
    let store = opened(&url).await;
    let held = owned(&*store, "orders").await;
    let request = request(&held, 0, 9);
    intend(&*store, &request).await;
    let stranger = stranger(&url, "BEGIN; SELECT 1 FROM partitions FOR UPDATE").await;
    let error = not_done(commit(&*store, &request).await);
    assert!(error.to_string().contains("lock timeout"), "{error}");
    stranger.close().await.expect("closed");
    assert_done(&commit(&*store, &request).await, 10);
}

/// Repeats a writer's steps until the request is known to be committed.
async fn settle(store: &dyn MetadataStore, request: &CommitRequest) {
    loop {
        for recorded in store.record_intents(&intents(request)).await {
            // A done commit has consumed the intent, even if its answer was an error.
            let kind = recorded.err().map(|error| error.kind());
            assert!(matches!(kind, None | Some(ErrorKind::Unavailable | ErrorKind::Conflict)), "{kind:?}");
        }
        match commit(store, request).await {
            CommitOutcome::Done(_) => return,
            CommitOutcome::NotDone(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            CommitOutcome::Unknown(_) => loop {
                match store.resolve(request).await {
                    Ok(CommitOutcome::Done(_)) => return,
                    Ok(CommitOutcome::NotDone(_)) => break,
                    Ok(CommitOutcome::Unknown(error)) | Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                    }
                    Ok(CommitOutcome::Refused(refusal)) => panic!("{refusal}"),
                }
            },
            // The intent is missing because it was not recorded.
            CommitOutcome::Refused(catalog::Refusal::IntentLost { .. }) => {}
            CommitOutcome::Refused(refusal) => panic!("{refusal}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_an_administrator_ends_again_and_again_lose_and_double_no_commit() {
    const COMMITS: u64 = 100;
    /// Bounded, so that a slow machine makes progress.
    const BLOWS_PER_COMMIT: u64 = 4;
    const TERMINATE: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and application_name = 'siltstone' and state like '%transaction'";
    const CANCEL: &str = "select count(pg_cancel_backend(pid)) from pg_stat_activity
        where datname = current_database() and application_name = 'siltstone' and state = 'active'";
    let url = fresh_database().await.expect("a database");
    let store = opened(&url).await;
    let held = owned(&*store, "orders").await;
    let commits = Arc::new(AtomicU64::new(0));
    let administrator = tokio::spawn({
        let (url, commits) = (url.clone(), Arc::clone(&commits));
        async move {
            let mut session = PgConnection::connect(&url).await.expect("connects");
            let (mut ended, mut turn) = (0, 0_u64);
            while commits.load(Ordering::SeqCst) < COMMITS {
                tokio::time::sleep(Duration::from_millis(turn % 7)).await;
                if turn > BLOWS_PER_COMMIT * (commits.load(Ordering::SeqCst) + 1) {
                    continue;
                }
                turn += 1;
                let sql = if turn % 2 == 0 { TERMINATE } else { CANCEL };
                ended += sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut session).await.expect("asked");
            }
            ended
        }
    });
    for next in 0..COMMITS {
        settle(&*store, &request(&held, next, next)).await;
        commits.fetch_add(1, Ordering::SeqCst);
    }
    let ended = administrator.await.expect("joined");
    assert!(ended > 0, "no session was caught in the middle of anything");
    println!("{ended} sessions were ended or cancelled during {COMMITS} commits");
    assert_chain(&*store, &held.partition).await;
    assert_eq!(get_partition(&*store, &held.partition).await.high_watermark, COMMITS);
}

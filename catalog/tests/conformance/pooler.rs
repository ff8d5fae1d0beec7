//! The catalog behind PgBouncer: what its modes and settings change.
//!
//! Owns: how the catalog is opened through it, and that sessions of others are left as they were. Does not own: the
//! operations (the suite runs through a pooler too), cuts of the network (`lost_replies`).

use catalog::{connect, connect_to_read};
use support::pgbouncer::PgBouncer;
use support::postgres::{execute, fresh_database};

use super::fixture::*;
use super::reading::{fill, reads};

const IGNORED: &str = "ignore_startup_parameters = options, extra_float_digits";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mode_that_has_transactions_works_with_and_without_the_start_up_options() {
    for mode in ["session", "transaction"] {
        for other in ["", IGNORED] {
            let url = fresh_database().await.expect("a PostgreSQL server");
            let pool_mode = format!("pool_mode = {mode}");
            let pooler = PgBouncer::before(&url, &[&pool_mode, other]).await.expect("a pooler");
            let store = connect(pooler.url()).await.expect("opens");
            fill(&*store).await;
            let findings = store.diagnose().await;
            assert!(findings.iter().any(|finding| finding.check == "sessions"), "{findings:#?}");
            store.close().await;
            reads(pooler.url()).await;
            // Made through the pooler, it is the catalog that is made without.
            let direct = connect(&url).await.expect("opens");
            assert_eq!(direct.list_topics().await.expect("listed").len(), 1);
            assert!(direct.diagnose().await.iter().all(|finding| finding.check != "sessions"));
        }
    }
}

/// One session for all: whatever one leaves behind, the other finds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_one_session_leave_nothing_to_each_other() {
    let url = fresh_database().await.expect("a PostgreSQL server");
    let pooler =
        PgBouncer::before(&url, &["pool_mode = transaction", "default_pool_size = 1"]).await.expect("a pooler");
    let (one, two) = tokio::join!(connect(pooler.url()), connect(pooler.url()));
    let (one, two) = (one.expect("opens"), two.expect("opens"));
    let held = [owned(&*one, "orders").await, owned(&*two, "clicks").await];
    for base in 0..20 {
        commit_range(&*one, &held[0], base, base).await;
        commit_range(&*two, &held[1], base, base).await;
    }
    // The server is shared with other tests, whose databases have locks of their own.
    let left = "select (select count(*) from pg_prepared_statements), current_setting('lock_timeout'),
        current_setting('statement_timeout'), (select count(*) from pg_locks where locktype = 'advisory'
            and database = (select oid from pg_database where datname = current_database()))";
    assert_eq!(execute(pooler.url(), left).await.expect("asked").trim_end(), "0|0|0|0");
    for (store, held) in [(&one, &held[0]), (&two, &held[1])] {
        assert_chain(&**store, &held.partition).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_that_open_one_new_database_at_once_all_get_the_same_catalog() {
    let url = fresh_database().await.expect("a PostgreSQL server");
    let pooler = PgBouncer::before(&url, &["pool_mode = transaction"]).await.expect("a pooler");
    let open = || connect(pooler.url());
    let (one, two, three) = tokio::join!(open(), open(), open());
    create_topic(&*one.expect("opens"), "orders", 1).await;
    for other in [two, three] {
        assert_eq!(other.expect("opens").list_topics().await.expect("listed").len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_pooler_cannot_do_is_refused_with_what_to_change() {
    let url = fresh_database().await.expect("a PostgreSQL server");
    let pooler = PgBouncer::before(&url, &["pool_mode = statement"]).await.expect("a pooler");
    let error = connect(pooler.url()).await.expect_err("no transactions").to_string();
    assert!(error.contains("pool_mode = transaction or session"), "{error}");
    for other in ["", IGNORED] {
        let pooler = PgBouncer::before(&url, &["pool_mode = transaction", other]).await.expect("a pooler");
        let with_options = format!("{}?options=-csearch_path%3Dpublic", pooler.url());
        for error in [connect(&with_options).await.err(), connect_to_read(&with_options).await.err()] {
            let error = error.expect("they would be dropped in silence").to_string();
            assert!(error.contains("pooler") && error.contains("ALTER ROLE"), "{error}");
        }
    }
}

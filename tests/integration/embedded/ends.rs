//! Refusals, and the ends: a close, a writer that cannot go on, a partition that cannot be committed.

use std::path::Path;

use siltstone::{Error, ErrorKind, Settings, Siltstone};
use tokio::time::{sleep, timeout};

use super::{ids, number, opened, opened_with, settings, topic};
use crate::binary::{DEADLINE, POLL};

/// The error of each method that works with records.
async fn refusals(siltstone: &Siltstone) -> Vec<Error> {
    let record = || "{\"id\":7}".into();
    vec![
        siltstone.append(&topic("test"), None, record(), None).await.expect_err("append"),
        siltstone.flush_all().await.expect_err("flush_all"),
        siltstone.query("SELECT 1").await.expect_err("query"),
        siltstone.query_stream("SELECT 1").await.map(drop).expect_err("query_stream"),
        siltstone.create_topic(ids("more", 1)).await.expect_err("create_topic"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_says_that_it_was_closed_and_an_append_that_waits_ends() {
    let folder = tempfile::tempdir().expect("a directory");
    let siltstone = opened_with(Settings { queue_memory_bytes: 1 << 20, ..settings(folder.path()) }).await;
    let waiting = tokio::spawn({
        let siltstone = siltstone.clone();
        let filler = "x".repeat(300 << 10);
        async move {
            let mut appended = 0;
            loop {
                let record = format!("{{\"id\":{appended},\"filler\":\"{filler}\"}}").into();
                match siltstone.append(&topic("test"), None, record, None).await {
                    Ok(_) => appended += 1,
                    Err(error) => return (appended, error),
                }
            }
        }
    });
    while number(&siltstone, "SELECT count(*) FROM test").await < 6 {
        sleep(POLL).await;
    }
    let summary = timeout(DEADLINE, siltstone.close()).await.expect("in time").expect("closes");
    let (appended, error) = waiting.await.expect("no panic");
    assert!(matches!(error, Error::Closed), "{error}");
    assert_eq!(summary.records, appended, "everything that was confirmed is committed");
    for error in refusals(&siltstone).await {
        assert!(matches!(error, Error::Closed), "{error}");
    }
    let sent = siltstone.producer().send(&topic("test"), None, b"{\"id\":7}", None).await.expect_err("send");
    assert!(sent.to_string().contains("closed"), "{sent}");
    assert!(matches!(siltstone.close().await, Err(Error::Closed)), "a second close has nothing to close");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_says_why_the_writer_has_ended_and_an_append_that_waits_ends() {
    let folder = tempfile::tempdir().expect("a directory");
    let short = Settings { queue_memory_bytes: 1 << 20, lease_secs: 2, ..settings(folder.path()) };
    let siltstone = opened_with(short).await;
    siltstone.append(&topic("test"), None, "{\"id\":1}".into(), None).await.expect("appended");
    siltstone.flush_all().await.expect("committed");
    // A catalog whose file was taken away cannot be trusted with another commit.
    std::fs::rename(folder.path().join("catalog.db"), folder.path().join("elsewhere.db")).expect("moved");
    let filler = "x".repeat(300 << 10);
    let ended = async {
        loop {
            let record = format!("{{\"id\":2,\"filler\":\"{filler}\"}}").into();
            if let Err(error) = siltstone.append(&topic("test"), None, record, None).await {
                return error;
            }
        }
    };
    let error = timeout(DEADLINE, ended).await.expect("an append does not wait for ever");
    assert!(matches!(error, Error::WriterEnded(_)), "{error}");
    for error in refusals(&siltstone).await {
        assert!(matches!(error, Error::WriterEnded(_)), "{error}");
        assert_eq!(error.kind(), ErrorKind::Fatal);
        assert!(error.to_string().contains("cannot go on"), "{error}");
    }
    let error = timeout(DEADLINE, siltstone.close()).await.expect("in time").expect_err("it had ended");
    assert!(matches!(error, Error::WriterEnded(_)), "{error}");
}

/// Puts a file where the topic's folder must be.
fn block(folder: &Path, name: &str) {
    std::fs::write(folder.join(name), "in the way").expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_names_the_partitions_that_cannot_be_committed_and_commits_the_others() {
    let folder = tempfile::tempdir().expect("a directory");
    let siltstone = opened_with(Settings { upload_retries: 1, ..settings(folder.path()) }).await;
    siltstone.create_topic(ids("blocked", 1)).await.expect("created");
    block(folder.path(), "blocked");
    for name in ["blocked", "test"] {
        siltstone.append(&topic(name), None, "{\"id\":1}".into(), None).await.expect("appended");
    }
    let error = timeout(DEADLINE, siltstone.flush_all()).await.expect("in time").expect_err("one is blocked");
    let Error::NotCommitted { reasons } = &error else { panic!("{error}") };
    assert_eq!(reasons.keys().collect::<Vec<_>>(), ["blocked/0"], "{error}");
    assert!(reasons["blocked/0"].contains("keep failing") && error.kind() == ErrorKind::Unavailable, "{error}");
    assert_eq!(number(&siltstone, "SELECT count(*) FROM test").await, 1);
    std::fs::remove_file(folder.path().join("blocked")).expect("removed");
    while let Err(error) = siltstone.flush_all().await {
        assert!(matches!(error, Error::NotCommitted { .. }), "{error}");
        sleep(POLL).await;
    }
    assert_eq!(number(&siltstone, "SELECT count(*) FROM blocked").await, 1);
    siltstone.close().await.expect("closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_that_cannot_commit_says_which_partitions_are_lost() {
    let folder = tempfile::tempdir().expect("a directory");
    let short = Settings { upload_retries: 100, shutdown_timeout_secs: 1, ..settings(folder.path()) };
    let siltstone = opened_with(short).await;
    block(folder.path(), "test");
    siltstone.append(&topic("test"), Some("k".into()), "{\"id\":1}".into(), None).await.expect("appended");
    let error = timeout(DEADLINE, siltstone.close()).await.expect("in time").expect_err("it is blocked");
    let Error::NotCommitted { reasons } = &error else { panic!("{error}") };
    assert!(reasons.len() == 1 && error.to_string().contains("SHUTDOWN_TIMEOUT_SECS=1"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_and_topics_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().expect("a directory");
    let wrong = Settings { flush_interval_secs: 0, ..settings(folder.path()) };
    let error = Siltstone::open(wrong).await.expect_err("out of range").to_string();
    assert!(error.contains("FLUSH_INTERVAL_SECS=0 is not in 1..=86400"), "{error}");
    let file = folder.path().join("a-file");
    std::fs::write(&file, "").expect("written");
    let error = Siltstone::open(settings(&file)).await.expect_err("no folder").to_string();
    assert!(error.contains("a-file"), "{error}");

    let siltstone = opened(folder.path()).await;
    let absent = siltstone.append(&topic("absent"), None, "{}".into(), None).await.expect_err("absent");
    assert!(matches!(absent, Error::Produce(_)) && absent.to_string().contains("absent"), "{absent}");
    let again = siltstone.create_topic(ids("test", 1)).await.expect_err("it exists");
    assert!(matches!(again, Error::TopicExists(_)), "{again}");
    siltstone.close().await.expect("closes");

    let only = Settings { topics: vec!["test".to_owned()], ..settings(folder.path()) };
    let siltstone = Siltstone::open(only).await.expect("opens");
    let left_out = siltstone.append(&topic("other"), None, "{}".into(), None).await.expect_err("left out");
    assert!(left_out.to_string().contains("TOPICS=test leaves other out"), "{left_out}");
    assert!(matches!(siltstone.create_topic(ids("other", 1)).await, Err(Error::TopicLeftOut { .. })));
    siltstone.append(&topic("test"), None, "{\"id\":1}".into(), None).await.expect("appended");
    siltstone.close().await.expect("closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_without_a_close_loses_what_no_flush_covered_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a directory");
    // The lease of the writer that was dropped has to pass.
    let short = || Settings { lease_secs: 2, ..settings(folder.path()) };
    let siltstone = Siltstone::open(short()).await.expect("opens");
    siltstone.create_topic(ids("one", 1)).await.expect("created");
    for (id, is_flushed) in [(1, true), (2, false)] {
        let appended = siltstone.append(&topic("one"), None, format!("{{\"id\":{id}}}").into(), None).await;
        assert_eq!(appended.expect("appended").offset, id - 1);
        if is_flushed {
            siltstone.flush_all().await.expect("committed");
        }
    }
    drop(siltstone);
    let siltstone = Siltstone::open(short()).await.expect("opens again");
    let again = siltstone.append(&topic("one"), None, "{\"id\":3}".into(), None).await.expect("appended");
    assert_eq!(again.offset, 1, "the offset that was lost before it was committed");
    let settled = async {
        while let Err(error) = siltstone.flush_all().await {
            assert!(matches!(error, Error::NotCommitted { .. }), "{error}");
        }
    };
    timeout(DEADLINE, settled).await.expect("the partition is taken over");
    assert_eq!(number(&siltstone, "SELECT count(*) FROM one").await, 2);
    assert_eq!(number(&siltstone, "SELECT count(*) FROM one WHERE id IN (1, 3)").await, 2);
    siltstone.close().await.expect("closes");
}

//! Cases: the network between writer and PostgreSQL ends in the middle of a commit.
//!
//! Owns: a proxy that cuts after a number of bytes. Does not own: what the writer does about it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use catalog::{CommitOutcome, CommitStore, MetadataStore, PostgresMetadataStore};
use common::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::fixture::*;

/// Far more than any exchange.
const NO_CUT: i64 = 1 << 40;

/// Passes bytes in both directions until `budget` of them have passed; then ends the connection, once.
async fn cutting_proxy(target: SocketAddr, budget: Arc<AtomicI64>, tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(target).await.expect("the server listens");
            connections.spawn(pass(client, server, budget.clone()));
        }
    });
    address
}

async fn pass(mut client: TcpStream, mut server: TcpStream, budget: Arc<AtomicI64>) {
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        let (bytes, to) = tokio::select! {
            read = client.read(&mut from_client) => (&from_client[..read.unwrap_or(0)], &mut server),
            read = server.read(&mut from_server) => (&from_server[..read.unwrap_or(0)], &mut client),
        };
        if bytes.is_empty() {
            return;
        }
        let left = budget.fetch_sub(bytes.len() as i64, Ordering::SeqCst);
        let passing = usize::try_from(left).unwrap_or(0).min(bytes.len());
        if to.write_all(&bytes[..passing]).await.is_err() {
            return;
        }
        if passing < bytes.len() {
            budget.store(NO_CUT, Ordering::SeqCst);
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_cut_off_at_any_byte_is_settled_and_recorded_once() {
    let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
    let server = server_address(&url);
    let budget = Arc::new(AtomicI64::new(NO_CUT));
    let mut tasks = JoinSet::new();
    let address = cutting_proxy(server, budget.clone(), &mut tasks).await;
    let url = url.replace(&server.to_string(), &address.to_string());
    assert!(url.contains(&address.to_string()), "{url}");
    let store = PostgresMetadataStore::connect(&url).await.expect("opens");
    let held = owned(&store, "orders").await;

    // Each commit runs on a new connection and prepares its statements, so that each exchange is equally long.
    new_connection(&store, &budget).await;
    let first = request(&held, 0, 0);
    intend(&store, &first).await;
    budget.store(NO_CUT, Ordering::SeqCst);
    assert_done(&commit(&store, &first).await, 1);
    let length = NO_CUT - budget.load(Ordering::SeqCst);

    let (mut lost_after, mut lost_before, mut not_sent) = (0, 0, 0);
    let coarse = (1..length).step_by(211);
    let fine = (length - 100..length).step_by(7);
    for (next, bytes) in (1..).zip(coarse.chain(fine)) {
        new_connection(&store, &budget).await;
        let request = request(&held, next, next);
        intend(&store, &request).await;
        budget.store(bytes, Ordering::SeqCst);
        let outcome = commit(&store, &request).await;
        budget.store(NO_CUT, Ordering::SeqCst);
        match outcome {
            CommitOutcome::Done(_) => {}
            CommitOutcome::NotDone(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                not_sent += 1;
                let settled = store.resolve(&request).await.expect("looked up");
                assert!(matches!(settled, CommitOutcome::NotDone(_)), "certain, and yet {settled:?}");
                assert_done(&commit(&store, &request).await, next + 1);
            }
            CommitOutcome::Unknown(_) => match store.resolve(&request).await.expect("looked up") {
                CommitOutcome::Done(_) => lost_after += 1,
                CommitOutcome::NotDone(_) => {
                    lost_before += 1;
                    assert_done(&commit(&store, &request).await, next + 1);
                }
                other => panic!("settled as {other:?}"),
            },
            CommitOutcome::Refused(refusal) => panic!("{refusal}"),
        }
    }
    assert_chain(&store, &held.partition).await;
    println!("cut before COMMIT: {not_sent}, COMMIT lost: {lost_before}, answer lost: {lost_after}");
    assert!(not_sent > 0 && lost_after > 0, "the cuts reach both sides of COMMIT");
    tasks.shutdown().await;
}

/// Ends the connection that the pool keeps; the next use makes another.
async fn new_connection(store: &PostgresMetadataStore, budget: &AtomicI64) {
    budget.store(0, Ordering::SeqCst);
    store.check().await.ok();
    budget.store(NO_CUT, Ordering::SeqCst);
    store.check().await.expect("the proxy passes again");
}

fn server_address(url: &str) -> SocketAddr {
    let authority = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).expect("an authority");
    authority.rsplit('@').next().expect("a host").parse().expect("an address and a port")
}

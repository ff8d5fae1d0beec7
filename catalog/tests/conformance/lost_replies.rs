//! Cases: the network between writer and PostgreSQL ends in the middle of a commit.
//!
//! Owns: a proxy that cuts at a chosen place of the exchange. Does not own: what the writer does about it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use catalog::{CommitOutcome, CommitStore, PostgresMetadataStore};
use common::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::fixture::*;

/// Where the next connection that gets there is ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    Never,
    /// When this many bytes have passed, in both directions together.
    AfterBytes(usize),
    /// COMMIT is lost.
    BeforeCommit,
    /// COMMIT arrives, its answer is lost.
    BeforeAnswer,
}

/// Passes bytes in both directions up to the cut, which happens once.
async fn cutting_proxy(target: SocketAddr, cut: Arc<Mutex<Cut>>, tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(target).await.expect("the server listens");
            connections.spawn(pass(client, server, cut.clone()));
        }
    });
    address
}

async fn pass(mut client: TcpStream, mut server: TcpStream, cut: Arc<Mutex<Cut>>) {
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    let mut commit_passed = false;
    loop {
        let (bytes, to, is_commit) = tokio::select! {
            read = client.read(&mut from_client) => {
                let bytes = &from_client[..read.unwrap_or(0)];
                (bytes, &mut server, bytes.windows(7).any(|window| window == b"COMMIT\0"))
            }
            read = server.read(&mut from_server) => (&from_server[..read.unwrap_or(0)], &mut client, false),
        };
        let passing = {
            let mut cut = cut.lock().expect("no holder panics");
            let passing = match *cut {
                Cut::AfterBytes(left) => left.min(bytes.len()),
                Cut::BeforeCommit if is_commit => 0,
                Cut::BeforeAnswer if commit_passed => 0,
                _ => bytes.len(),
            };
            commit_passed |= is_commit && *cut == Cut::BeforeAnswer;
            *cut = match *cut {
                _ if passing < bytes.len() => Cut::Never,
                Cut::AfterBytes(left) => Cut::AfterBytes(left - passing),
                other => other,
            };
            passing
        };
        if to.write_all(&bytes[..passing]).await.is_err() || passing < bytes.len() || bytes.is_empty() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_cut_off_before_or_after_its_commit_is_settled_and_recorded_once() {
    let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
    let server = server_address(&url);
    let next_cut = Arc::new(Mutex::new(Cut::Never));
    let mut tasks = JoinSet::new();
    let address = cutting_proxy(server, next_cut.clone(), &mut tasks).await;
    let store = PostgresMetadataStore::connect(&url.replace(&server.to_string(), &address.to_string())).await;
    let store = store.expect("opens");
    let held = owned(&store, "orders").await;
    let cuts = (1..4_000).step_by(97).map(Cut::AfterBytes).chain([Cut::BeforeCommit, Cut::BeforeAnswer]);
    for (next, cut) in (0..).zip(cuts) {
        let request = request(&held, next, next);
        intend(&store, &request).await;
        *next_cut.lock().expect("no holder panics") = cut;
        let outcome = commit(&store, &request).await;
        *next_cut.lock().expect("no holder panics") = Cut::Never;
        let settled = store.resolve(&request).await.expect("looked up");
        println!("{cut:?}: {outcome:?}, settled as {settled:?}");
        match &outcome {
            CommitOutcome::Done(_) => assert_done(&settled, next + 1),
            CommitOutcome::NotDone(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                assert!(matches!(settled, CommitOutcome::NotDone(_)), "it was certain");
            }
            CommitOutcome::Unknown(_) => {}
            CommitOutcome::Refused(refusal) => panic!("{refusal}"),
        }
        let is_unknown = matches!(outcome, CommitOutcome::Unknown(_));
        match cut {
            Cut::BeforeCommit => assert!(is_unknown && matches!(settled, CommitOutcome::NotDone(_))),
            Cut::BeforeAnswer => assert!(is_unknown && matches!(settled, CommitOutcome::Done(_))),
            Cut::AfterBytes(_) | Cut::Never => {}
        }
        // The identical request again is right whatever happened.
        assert_done(&commit(&store, &request).await, next + 1);
    }
    assert_chain(&store, &held.partition).await;
    tasks.shutdown().await;
}

fn server_address(url: &str) -> SocketAddr {
    let authority = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).expect("an authority");
    authority.rsplit('@').next().expect("a host").parse().expect("an address and a port")
}

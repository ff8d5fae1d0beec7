//! A server with a memory queue is killed again and again: what it confirmed as committed is in SQL once.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::http;
use tokio::time::sleep;

use super::{JSON, Server, patient};
use crate::binary::{POLL, Siltstone};

const CLIENTS: usize = 6;
/// Confirmations between two kills, the first of them in this round.
const CONFIRMED_PER_ROUND: usize = 12;

/// Kills of the short form; `SILTSTONE_HTTP_KILLS` makes it longer.
fn kills() -> usize {
    std::env::var("SILTSTONE_HTTP_KILLS").map_or(10, |kills| kills.parse().expect("a number"))
}

/// The numbers of records that were sent, and of those that were confirmed.
#[derive(Default)]
struct Sent {
    next: AtomicUsize,
    confirmed: Mutex<BTreeSet<u64>>,
}

impl Sent {
    fn confirmed_count(&self) -> usize {
        self.confirmed.lock().expect("no panic").len()
    }

    /// Sends records, two in each request, until the server is gone.
    async fn send_until_killed(&self, url: &str) {
        let url = format!("{url}/v1/topics/numbers/records?acks=committed");
        loop {
            let first = self.next.fetch_add(2, Ordering::Relaxed) as u64;
            let body = format!("[{{\"n\":{first}}},{{\"n\":{}}}]", first + 1);
            match http::post(&url, &[JSON], body.as_bytes()).await {
                Ok(answer) if answer.status == 200 => {
                    self.confirmed.lock().expect("no panic").extend([first, first + 1]);
                }
                Ok(answer) => assert_eq!(answer.status, 504, "{}", answer.text()),
                Err(_) => return,
            }
        }
    }
}

/// The numbers in SQL, each of which must be there once.
async fn stored(siltstone: &Siltstone) -> BTreeSet<u64> {
    let answer = siltstone.run(&["query", "--json", "SELECT n FROM numbers"]).await.ok();
    let number = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["n"].as_u64().expect("n");
    let numbers: Vec<u64> = answer.out.lines().map(number).collect();
    let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "a number is there twice");
    distinct
}

#[tokio::test]
async fn what_was_confirmed_as_committed_survives_kills_of_a_server_with_a_memory_queue() {
    let siltstone = patient();
    siltstone.run(&["topic", "create", "numbers", "--partitions", "2", "--column", "n:int64!"]).await.ok();
    let sent = Sent::default();
    for round in 0..kills() {
        let mut server = Server::start(&siltstone).await;
        let url = server.url.clone();
        let target = sent.confirmed_count() + CONFIRMED_PER_ROUND + round % 5;
        let killing = async {
            while sent.confirmed_count() < target {
                assert!(server.process.exited().expect("its status").is_none(), "{}", server.log_text());
                sleep(POLL).await;
            }
            server.process.kill().await.expect("killed");
        };
        let clients = futures::future::join_all((0..CLIENTS).map(|_| sent.send_until_killed(&url)));
        tokio::join!(killing, clients);
    }
    let confirmed = sent.confirmed.lock().expect("no panic").clone();
    assert!(confirmed.len() >= kills() * CONFIRMED_PER_ROUND, "{} records are confirmed", confirmed.len());
    let stored = stored(&siltstone).await;
    let lost: Vec<&u64> = confirmed.difference(&stored).collect();
    assert!(lost.is_empty(), "confirmed and lost: {lost:?}");
    siltstone.run(&["audit"]).await.ok().says(&["audit: clean"]);
}

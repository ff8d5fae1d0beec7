//! A service without the writer, through the shell's public API.
//!
//! One test alone in its process: signals and the metrics recorder belong to the whole process.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use common::config::Settings;
use serde_json::{Value, json};
use service::{Fact, Listener, Pages, ServiceError, Shell};
use support::http;

const LONG: Duration = Duration::from_secs(60);

fn send_to_self(signal: &str) {
    let sent = Command::new("kill").args([signal, &std::process::id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

fn shell() -> Shell {
    Shell::open(&Settings::default()).expect("opens")
}

async fn catalog(is_away: bool) -> Result<(), String> {
    if is_away { Err("away".to_owned()) } else { Ok(()) }
}

async fn pages_of_a_second_service() {
    let settings = Settings { http_addr: ([127, 0, 0, 1], 0).into(), ..Settings::default() };
    let mut shell = shell();
    let listener = shell.start(Listener::bind(&settings)).await.expect("any port");
    let taken = Settings { http_addr: listener.addr(), ..Settings::default() };
    let refused = Listener::bind(&taken).await.expect_err("the port is taken");
    assert_eq!(refused.to_string(), format!("cannot listen on HTTP_ADDR={}", taken.http_addr));
    let is_away = Arc::new(AtomicBool::new(true));
    let pages = Pages::default()
        .check("queue", || async { Ok(()) })
        .check("catalog", {
            let is_away = Arc::clone(&is_away);
            move || catalog(is_away.load(Ordering::Relaxed))
        })
        .fact("topics", || Fact { value: json!(2), is_ready: true })
        .before_scrape(|| metrics::gauge!("siltstone_test_looks").increment(1.0))
        .merge(Router::new().route("/topics", get(|| async { "orders\n" })));
    let url = |path: &str| format!("http://{}{path}", taken.http_addr);
    shell.serve(listener, pages);

    let healthz = http::get(&url("/healthz")).await.expect("an answer");
    assert_eq!((healthz.status, healthz.text()), (200, "ok\n".to_owned()));
    let readyz = async || {
        let page = http::get(&url("/readyz")).await.expect("an answer");
        (page.status, serde_json::from_slice::<Value>(&page.body).expect("JSON"))
    };
    assert_eq!(readyz().await, (503, json!({ "ready": false, "queue": "ok", "catalog": "away", "topics": 2 })));
    is_away.store(false, Ordering::Relaxed);
    assert_eq!(readyz().await, (200, json!({ "ready": true, "queue": "ok", "catalog": "ok", "topics": 2 })));
    for looks in ["siltstone_test_looks 1", "siltstone_test_looks 2"] {
        let page = http::get(&url("/metrics")).await.expect("an answer");
        assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4"));
        assert!(page.text().lines().any(|line| line == looks), "{}", page.text());
    }
    assert_eq!(http::get(&url("/topics")).await.expect("an answer").text(), "orders\n");

    send_to_self("-TERM");
    assert_eq!(shell.signal().await, "SIGTERM");
    let draining = json!({ "ready": false, "draining": true, "queue": "ok", "catalog": "ok", "topics": 2 });
    assert_eq!(readyz().await, (503, draining));
    let drained = shell.drain(LONG, async {
        let status = http::get(&url("/healthz")).await.expect("pages are served during the drain").status;
        Ok::<_, ServiceError>(status)
    });
    assert_eq!(drained.await.expect("in order"), 200);
    assert!(http::get(&url("/healthz")).await.is_err(), "nothing listens after the drain");
}

async fn signals_cut_short() {
    let mut starting = shell();
    send_to_self("-INT");
    let started = starting.start(std::future::pending::<Result<(), ServiceError>>()).await;
    assert_eq!(started.expect_err("a signal").to_string(), "SIGINT during the start: ended at once");

    let mut running = shell();
    send_to_self("-TERM");
    assert_eq!(running.signal().await, "SIGTERM");
    let draining = async {
        send_to_self("-TERM");
        std::future::pending::<Result<(), ServiceError>>().await
    };
    let error = running.drain(LONG, draining).await.expect_err("a second signal").to_string();
    assert_eq!(error, "SIGTERM again: ended at once; uncommitted messages stay in the queue");
}

async fn a_drain_has_a_deadline() {
    let drained = shell().drain(Duration::from_millis(1), std::future::pending::<Result<(), ServiceError>>()).await;
    assert!(matches!(drained, Err(ServiceError::DrainDeadline { seconds: 0 })), "{drained:?}");
}

#[tokio::test]
async fn a_second_service_needs_nothing_of_the_writer() {
    pages_of_a_second_service().await;
    signals_cut_short().await;
    a_drain_has_a_deadline().await;
}

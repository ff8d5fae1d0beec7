//! Each error of a producer that sends over HTTP.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use common::queue::memory::InMemoryQueue;
use common::{ErrorKind, Queue};
use serde_json::json;

use super::fleet::serve;
use super::*;
use crate::ProducerBuilder;

#[tokio::test]
async fn options_that_are_missing_or_contradict_each_other_are_refused_by_name() {
    let fleet = Fleet::new(1).await;
    let catalog = || Producer::builder().catalog(Arc::clone(&fleet.catalog));
    let queue = || Arc::new(InMemoryQueue::default()) as Arc<dyn Queue>;
    let second = Duration::from_secs(1);
    let commits = || Arc::new(crate::Commits::new(Arc::clone(&fleet.catalog)));
    let url = "http://127.0.0.1:1";
    let cases: Vec<(ProducerBuilder, &str, &str)> = vec![
        (Producer::builder(), "catalog = none", "unless an address is given"),
        (Producer::builder().queue(queue()), "catalog = none", "required"),
        (Producer::builder().nats("nats://h"), "catalog = none", "required"),
        (
            catalog().queue(queue()).nats("nats://u:hush@h"),
            "nats = nats://u:********@h",
            "one of queue, nats and address",
        ),
        (catalog().queue(queue()).address(url), "address = http://127.0.0.1:1", "queue is given too"),
        (catalog().address(url), "catalog = given", "none together with address"),
        (catalog().nats("http://h"), "nats = http://h", "nats://host:4222"),
        (catalog().queue(queue()).token("hush"), "token = *", "none together with queue"),
        (catalog().queue(queue()).ca_file("ca.pem"), "ca_file = ca.pem", "none together with queue"),
        (Producer::builder().address(url).ca_file("ca.pem"), "ca_file = ca.pem", "begins with http://"),
        (catalog().agent_group("eu").ca_file("/absent.pem"), "ca_file = /absent.pem", "PEM file with the certificates"),
        (catalog().queue(queue()).agent_group("eu"), "agent_group = eu", "none together with queue"),
        (Producer::builder().address(url).agent_group("eu"), "agent_group = eu", "none together with address"),
        (Producer::builder().address(url).agent_refresh_interval(second), "agent_refresh_interval = 1s", "address"),
        (Producer::builder().address(url).commits(commits()), "commits = given", "none together with address"),
        (catalog().commits(commits()), "commits = given", "agents wait for commits themselves"),
        (catalog().agent_group("a b"), "agent_group = \"a b\"", "1 to 64 ASCII letters"),
        (catalog().agent_refresh_interval(Duration::ZERO), "agent_refresh_interval = 0ns", "100ms to 86400s"),
        (Producer::builder().address("127.0.0.1:1"), "address = 127.0.0.1:1", "http://host:port or https://host:port"),
        (Producer::builder().address("http://u:hush@h"), "address = http://u:********@h", "it has a login"),
        (Producer::builder().address(url).token("a b"), "token = *", "printable ASCII"),
    ];
    for (builder, option, allowed) in cases {
        let shown = format!("{builder:?}");
        let error = builder.build().await.expect_err(option);
        assert!(matches!(error, ProducerError::Config(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(&format!("producer option {option}")) && text.contains(allowed), "{text}");
        assert!(!text.contains("hush") && !shown.contains("hush"), "{text} {shown}");
    }
}

#[tokio::test]
async fn an_address_where_nobody_is_gave_no_answer() {
    let fleet = Fleet::new(1).await;
    let agent = fleet.start().await;
    let producer = fleet.producer_at(&agent).max_attempts(2).build().await.expect("it answers");
    producer.send(&name("orders"), None, b"x", None).await.expect("sent");
    let url = agent.url();
    drop(agent);
    let outcomes = producer.send_batch(&name("orders"), vec![OutgoingMessage::new("y")]).await.expect("known topic");
    let failure = outcomes[0].as_ref().expect_err("nobody is there");
    assert!(matches!(*failure.error, ProducerError::AgentConnectionFailed { .. }), "{failure:?}");
    assert_eq!(failure.error.kind(), ErrorKind::Unavailable);
    let error = Producer::builder().address(&*url).build().await.expect_err("nobody is there");
    assert!(matches!(error, ProducerError::AgentConnectionFailed { .. }), "{error:?}");
    assert!(error.to_string().starts_with(&format!("agent {url} gave no answer: Connection refused")), "{error}");
}

#[tokio::test]
async fn a_group_without_agents_has_none_available_at_build() {
    let fleet = Fleet::new(1).await;
    let error = fleet.producer().agent_group("eu").build().await.expect_err("nobody is there");
    assert!(matches!(error, ProducerError::NoAgentsAvailable { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("no living ingester of the group eu") && text.contains("siltstone agents"), "{text}");
    let agent = fleet.join().await;
    agent.vanish();
    let error = fleet.producer().build().await.expect_err("it does not answer");
    assert!(error.to_string().contains("none of 1 in the group default answers"), "{error}");
}

#[tokio::test]
async fn an_agent_that_never_answers_is_given_up_after_every_attempt() {
    let fleet = Fleet::new(1).await;
    let agent = fleet.start().await;
    let limit = Duration::from_millis(200);
    let producer = fleet.producer_at(&agent).max_attempts(2).request_timeout(limit).build().await.expect("it answers");
    producer.send(&name("orders"), None, b"x", None).await.expect("sent");
    agent.proxy.set(Mode::Stall);
    let outcomes = producer.send_batch(&name("orders"), vec![OutgoingMessage::new("y")]).await.expect("known topic");
    let failure = outcomes[0].as_ref().expect_err("silent");
    assert!(!failure.is_not_stored, "it may be stored");
    assert!(failure.to_string().contains("it did not answer within 200 ms"), "{failure}");
}

/// A service that refuses records with this status, unless they come with the token `good`.
fn refusing(status: StatusCode, code: &'static str) -> Router {
    let refuse = move |headers: HeaderMap| async move {
        let message =
            if headers.get("authorization").is_some_and(|value| value == "Bearer good") { "known" } else { "why" };
        (status, Json(json!({ "error": { "code": code, "message": message } })))
    };
    Router::new().route("/v1/openapi.json", get(|| async { "{}" })).fallback(refuse)
}

#[tokio::test]
async fn an_agent_that_answers_with_an_error_is_named_with_status_and_code() {
    for (status, code, kind) in [
        (StatusCode::UNAUTHORIZED, "unauthorized", ErrorKind::Fatal),
        (StatusCode::FORBIDDEN, "forbidden", ErrorKind::Fatal),
        (StatusCode::NOT_FOUND, "not_found", ErrorKind::Fatal),
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable", ErrorKind::Unavailable),
    ] {
        let agent = serve(refusing(status, code)).await;
        let builder = Producer::builder().address(agent.url()).token("good").retry_backoff(Duration::from_millis(1));
        let producer = builder.build().await.expect("it answers");
        let error = producer.send(&name("orders"), None, b"x", None).await.expect_err("refused");
        let expected = format!("agent {} answered {} ({code}): known", agent.url(), status.as_u16());
        assert_eq!((error.to_string(), error.kind()), (expected, kind));
        assert!(matches!(error, ProducerError::AgentError { .. }), "{error:?}");
    }
    let stranger = serve(Router::new().fallback(|| async { (StatusCode::NOT_FOUND, "what?") })).await;
    let error = Producer::builder().address(stranger.url()).build().await.expect_err("another service");
    assert!(error.to_string().contains("404: this is no answer of Siltstone's HTTP service: \"what?\""), "{error}");
}

#[tokio::test]
async fn a_topic_that_is_absent_or_goes_is_not_found_and_a_partition_is_checked() {
    let fleet = Fleet::new(1).await;
    let agent = fleet.join().await;
    for builder in [fleet.producer_at(&agent), fleet.producer()] {
        let producer = builder.build().await.expect("it answers");
        let error = producer.send(&name("absent"), None, b"x", None).await.expect_err("absent");
        assert!(matches!(error, ProducerError::TopicNotFound(_)), "{error:?}");
        let error = producer.send(&name("orders"), None, b"x", Some(1)).await.expect_err("one partition");
        assert!(matches!(error, ProducerError::InvalidPartition { .. }), "{error:?}");
    }
    let producer = fleet.producer_at(&agent).build().await.expect("it answers");
    producer.send(&name("orders"), None, b"x", None).await.expect("sent");
    support::http::request("DELETE", &format!("{}/v1/topics/orders", agent.url()), &[], b"").await.expect("deleted");
    let error = producer.send(&name("orders"), None, b"y", None).await.expect_err("it is gone");
    assert!(matches!(error, ProducerError::TopicNotFound(_)), "{error:?}");
}

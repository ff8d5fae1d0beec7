//! The required and the forbidden contents of the logs.

use support::nats::{NatsOptions, NatsServer};
use support::postgres;
use support::s3::S3;

use super::{Kind, Service, counted, create_orders, publish, run_to_end};
use crate::binary::Siltstone;

#[tokio::test]
async fn json_logs_are_one_object_a_line_and_secrets_stay_out() {
    let users = "authorization { users: [{user: anyone, password: x}, {user: me, password: nats-secret}] }";
    let lines = vec![users.to_owned(), "no_auth_user: anyone".to_owned()];
    let nats = NatsServer::start_with(NatsOptions { lines, ..NatsOptions::default() }).await.expect("a NATS server");
    let s3 = S3::shared().expect("an S3 server");
    let catalog = postgres::fresh_database().await.expect("a database");
    let catalog = catalog.replace("postgres@", "postgres:catalog-secret@");
    let siltstone = Siltstone::new()
        .with("QUEUE_TYPE", "nats")
        .with("NATS_URL", &nats.url())
        .with("NATS_USER", "me")
        .with("NATS_PASSWORD", "nats-secret")
        .with("CATALOG_URL", &catalog)
        .on_s3(&s3)
        .with("LOG_FORMAT", "json")
        .with("LOG_LEVEL", "trace");
    create_orders(&siltstone).await;
    let mut service = Service::start(Kind::Writer, &siltstone).await;
    publish(&nats, 0..10).await;
    service.fetched(10).await;
    service.signal("TERM");
    assert_eq!(service.ended().await, 0, "{}", service.log_text());
    assert_eq!(counted(&siltstone).await, (10, 10, 9));
    for line in service.lines() {
        assert!(line["level"].is_string() && line["timestamp"].is_string() && line["target"].is_string(), "{line}");
    }
    let committed = service.logged_at_end("segment committed");
    assert_eq!((&committed["topic"], &committed["records"]), (&"orders".into(), &10.into()), "{committed}");
    let config = siltstone.run(&["config"]).await.ok().out + &siltstone.run(&["config", "--json"]).await.ok().out;
    for text in [service.log_text(), config] {
        for secret in ["nats-secret", "catalog-secret", &s3.secret_key] {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{line:?}");
        }
    }
}

#[tokio::test]
async fn text_logs_have_no_colours_outside_a_terminal_and_a_good_end_has_no_warning() {
    let nats = NatsServer::start().await.expect("a NATS server");
    let siltstone = Siltstone::new().with("QUEUE_TYPE", "nats").with("NATS_URL", &nats.url());
    create_orders(&siltstone).await;
    let answer = siltstone.run_with_input(&["up", "--stdin", "orders"], b"{\"n\":1}\n").await.ok();
    assert!(answer.err.contains("INFO") && answer.err.contains("writer stopped"), "{}", answer.err);
    assert!(!answer.err.contains('\x1b') && !answer.err.contains("WARN"), "{}", answer.err);
    let listed = siltstone.run(&["topic", "list"]).await.ok();
    assert_eq!(listed.err, "", "a connection that is closed on purpose is nothing to warn about");
}

#[tokio::test]
async fn quarantine_is_told_once_a_minute_with_the_reason_and_counted_by_topic() {
    let (nats, siltstone) = super::on_nats().await;
    let siltstone = siltstone.with("MAX_SEGMENT_RECORDS", "10");
    create_orders(&siltstone).await;
    let mut service = Service::start(Kind::Writer, &siltstone).await;
    for _ in 0..3 {
        publish(&nats, 0..15).await;
        siltstone.run_with_input(&["publish", "orders"], b"{\"n\":\"two\"}\n".repeat(5).as_slice()).await.ok();
    }
    let by_topic = r#"siltstone_quarantined_records_total{topic="orders"}"#;
    service.fetched(60).await;
    service.signal("TERM");
    assert_eq!(service.ended().await, 0, "{}", service.log_text());
    let told = |line: &serde_json::Value| line["message"] == "records went to quarantine";
    let lines: Vec<_> = service.lines().into_iter().filter(told).collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let (level, reason) = (&lines[0]["level"], lines[0]["reason"].as_str().unwrap_or_default());
    assert!(level == "WARN" && lines[0]["partition"] == "orders/0" && reason.contains("column \"n\""), "{}", lines[0]);
    let mut again = Service::start(Kind::Writer, &siltstone).await;
    siltstone.run_with_input(&["publish", "orders"], b"{\"n\":\"two\"}\n".repeat(10).as_slice()).await.ok();
    again.metric(by_topic, |records| records == 10.0).await;
    assert_eq!(again.metrics().await["siltstone_records_quarantined_total"], 10.0);
    again.signal("TERM");
    assert_eq!(again.ended().await, 0, "{}", again.log_text());
}

#[tokio::test]
async fn errors_are_json_where_the_answer_is() {
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "create", "t"]).await.ok();
    for (code, arguments, part) in [
        (1, &["--json", "topic", "describe", "absent"][..], "topic not found: absent"),
        (2, &["--json", "query", ""], "the statement is empty"),
    ] {
        let answer = siltstone.run(arguments).await.fails(code, &[]);
        let error: serde_json::Value = serde_json::from_str(answer.err.trim_end()).expect("one line of JSON");
        assert_eq!((&error["level"], &error["message"]), (&"ERROR".into(), &"failed".into()));
        assert!(error["error"].as_str().is_some_and(|text| text.contains(part)), "{error}");
    }
}

#[tokio::test]
async fn failures_are_json_lines_as_well() {
    let siltstone = Siltstone::new().with("LOG_FORMAT", "json").with("TOPICS", "absent");
    for kind in [Kind::Writer, Kind::Up] {
        let answer = run_to_end(kind, &siltstone).await;
        let last = answer.err.lines().rfind(|line| line.starts_with('{')).expect("a line of JSON");
        let last: serde_json::Value = serde_json::from_str(last).expect("JSON");
        assert!(last["error"].as_str().is_some_and(|text| text.contains("topic not found: absent")), "{last}");
    }
}

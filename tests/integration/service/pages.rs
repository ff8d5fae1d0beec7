//! `/healthz`, `/readyz` and `/metrics` while everything works and while parts are missing.

use support::postgres::PostgresServer;

use super::{Kind, Service, counted, create_orders, on_nats, publish};
use crate::binary::Siltstone;

const LABELS: &str = r#"{topic="orders",partition="0"}"#;

fn labelled(name: &str) -> String {
    format!("{name}{LABELS}")
}

#[tokio::test]
async fn metrics_tell_what_a_load_did() {
    let (nats, siltstone) = on_nats().await;
    let siltstone = siltstone.with("MAX_SEGMENT_RECORDS", "1000");
    create_orders(&siltstone).await;
    let mut service = Service::start(Kind::Writer, &siltstone).await;
    assert_eq!(service.get("/healthz").await.status, 200);
    let idle = service.metrics().await;
    for name in [
        "messages_fetched_total",
        "message_bytes_fetched_total",
        "records_committed_total",
        "records_quarantined_total",
        "segment_bytes_committed_total",
        "upload_retries_total",
        "commit_retries_total",
        "gap_offsets_total",
        "upload_seconds_count",
        "commit_seconds_count",
    ] {
        assert_eq!(idle.get(&format!("siltstone_{name}")), Some(&0.0), "{name} is shown before anything happened");
    }
    for reason in ["size", "age", "rows", "schema", "memory", "flush", "shutdown"] {
        let name = format!("siltstone_segments_committed_total{{reason=\"{reason}\"}}");
        assert_eq!(idle.get(&name), Some(&0.0), "{name}");
    }
    publish(&nats, 0..3000).await;
    siltstone.run_with_input(&["publish", "orders", "--no-check"], b"broken\n{\"n\":\"x\"}\n").await.ok();
    service.fetched(3002).await;
    service.metric("siltstone_segments_committed_total{reason=\"rows\"}", |segments| segments >= 1.0).await;
    let busy = service.metrics().await;
    let committed = busy["siltstone_records_committed_total"];
    assert!((1000.0..=3000.0).contains(&committed), "{committed}");
    assert!(busy["siltstone_message_bytes_fetched_total"] >= 3000.0 * 7.0);
    assert!(busy["siltstone_segment_bytes_committed_total"] > 1000.0);
    assert_eq!(busy["siltstone_memory_budget_bytes"], 536_870_912.0);
    assert!(busy["siltstone_memory_peak_bytes"] >= busy["siltstone_memory_used_bytes"]);
    assert!(busy["siltstone_attaches_total"] >= 1.0 && busy["siltstone_partitions_owned"] == 1.0);
    for step in ["upload", "commit"] {
        let (count, sum) = (format!("siltstone_{step}_seconds_count"), format!("siltstone_{step}_seconds_sum"));
        assert!(busy[&count] >= 1.0 && busy[&sum] > 0.0, "{step}");
    }
    let text = service.get("/metrics").await.text();
    for name in busy.keys() {
        let family = name.split('{').next().expect("a name");
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| family.strip_suffix(end)).unwrap_or(family);
        assert!(text.contains(&format!("# HELP {family} ")), "{family} has a help text");
    }
    service.signal("TERM");
    assert_eq!(service.ended().await, 0, "{}", service.log_text());
    let last = service.logged_at_end("writer stopped");
    assert_eq!((&last["records"], &last["quarantined"]), (&3000.into(), &2.into()), "{last}");
}

#[tokio::test]
async fn readiness_names_what_is_away_and_lag_shows_until_it_is_back() {
    let (mut nats, siltstone) = on_nats().await;
    let mut postgres = PostgresServer::start().await.expect("a Postgres server");
    let siltstone = siltstone.with("CATALOG_URL", &postgres.url()).with("FLUSH_INTERVAL_SECS", "1");
    create_orders(&siltstone).await;
    let service = Service::start(Kind::Up, &siltstone).await;
    let ready = service.readiness(200).await;
    assert_eq!((&ready["queue"], &ready["catalog"], &ready["store"]), (&"ok".into(), &"ok".into(), &"ok".into()));

    nats.kill().await.expect("killed");
    let without_queue = service.readiness(503).await;
    assert!(without_queue["queue"] != "ok" && without_queue["catalog"] == "ok", "{without_queue}");
    assert_eq!(service.get("/healthz").await.status, 200, "it lives, and waits");
    nats.restart().await.expect("started again");
    service.readiness(200).await;

    postgres.kill().await.expect("killed");
    publish(&nats, 0..500).await;
    service.metric(&labelled("siltstone_partition_lag_messages"), |lag| lag >= 500.0).await;
    // The lag counts messages in the queue, the age those that were fetched: it may come a little later.
    service.metric(&labelled("siltstone_partition_freshness_seconds"), |age| age > 0.0).await;
    let without_catalog = service.readiness(503).await;
    assert!(without_catalog["catalog"] != "ok" && without_catalog["queue"] == "ok", "{without_catalog}");
    postgres.start_again().await.expect("started again");
    service.metric(&labelled("siltstone_partition_lag_messages"), |lag| lag == 0.0).await;
    assert_eq!(service.metrics().await[&labelled("siltstone_partition_freshness_seconds")], 0.0);
    service.readiness(200).await;
    assert_eq!(counted(&siltstone).await, (500, 500, 499));

    // A missing directory, as after a lost mount, makes the store unready.
    let (data, hidden) = (siltstone.path().join("data"), siltstone.path().join("hidden"));
    std::fs::rename(&data, &hidden).expect("renamed");
    let without_store = service.readiness(503).await;
    assert!(without_store["store"] != "ok" && without_store["catalog"] == "ok", "{without_store}");
    std::fs::rename(&hidden, &data).expect("renamed back");
    service.readiness(200).await;
}

#[tokio::test]
async fn a_memory_queue_has_the_same_pages() {
    let siltstone = Siltstone::new().with("LOG_FORMAT", "json").with("STORAGE_TYPE", "memory");
    for kind in [Kind::Writer, Kind::Up] {
        let mut service = Service::start(kind, &siltstone).await;
        assert_eq!(service.get("/healthz").await.text(), "ok\n");
        assert_eq!(service.readiness(200).await["partitions"], 0);
        assert_eq!(service.metrics().await["siltstone_partitions_owned"], 0.0);
        assert_eq!(service.get("/absent").await.status, 404);
        service.signal("INT");
        assert_eq!(service.ended().await, 0);
    }
}

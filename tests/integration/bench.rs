//! The bench's figures are measured and consistent; no figure is judged here.

use support::nats::NatsServer;

use crate::binary::Siltstone;

#[tokio::test]
async fn a_run_commits_as_many_messages_as_the_ceiling_read_and_cleans_up() {
    let siltstone = Siltstone::new();
    let bench = ["bench", "--messages", "500", "--partitions", "3", "--runs", "2", "--live-seconds", "0", "--json"];
    let report = siltstone.run(&bench).await.ok().json();
    for run in report["runs"].as_array().expect("a list") {
        assert_eq!((&run["ceiling"]["messages"], &run["pipeline"]["records"]), (&500.into(), &500.into()), "{run}");
        assert_eq!((&run["publish"]["bytes"], &run["pipeline"]["bytes"]), (&100_000.into(), &100_000.into()), "{run}");
    }
    assert!(report["best"]["ratio"].as_f64() >= report["median"]["ratio"].as_f64(), "{report}");
    let left = std::fs::read_dir(siltstone.path().join("data/bench")).expect("the parent stays").count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn every_live_message_of_many_partitions_is_timed() {
    let siltstone = Siltstone::new().with("FLUSH_INTERVAL_SECS", "1");
    let report = siltstone.run(&["bench", "--many-partitions", "100", "--seconds", "2", "--json"]).await.ok().json();
    let live = &report["live"];
    assert_eq!((&live["freshness"]["messages"], &live["partitions"]), (&200.into(), &100.into()), "{live}");
    siltstone.run(&["bench", "--many-partitions", "10", "--topic", "t"]).await.fails(2, &["--topic"]);
}

#[tokio::test]
async fn a_live_phase_that_waits_for_commits_needs_no_timer() {
    let siltstone = Siltstone::new().with("FLUSH_INTERVAL_SECS", "3600");
    let bench = ["bench", "--many-partitions", "20", "--seconds", "2", "--acks", "committed", "--json"];
    let report = siltstone.run(&bench).await.ok().json();
    let live = &report["live"];
    assert_eq!(live["freshness"]["messages"], 40, "{live}");
    assert_eq!(live["rolls"]["awaited"], live["segments"], "{live}");
    siltstone.run(&["bench", "--acks", "all"]).await.fails(2, &["--acks", "queued, committed"]);
}

#[tokio::test]
async fn a_kept_topic_is_read_again_and_left_as_it_was() {
    let server = NatsServer::start().await.expect("a NATS server");
    let siltstone = Siltstone::new().with("QUEUE_TYPE", "nats").with("NATS_URL", &server.url());
    let bench = ["bench", "--topic", "kept", "--messages", "300", "--size", "64", "--format", "raw", "--json"];
    siltstone.run(&[&bench[..], &["--live-seconds", "0"]].concat()).await.ok();
    let again = siltstone.run(&[&bench[..], &["--live-seconds", "1", "--reread"]].concat()).await.ok().json();
    assert_eq!((&again["runs"][0]["pipeline"]["records"], &again["setup"]["payload_bytes"]), (&300.into(), &64.into()));
    assert_eq!(again["runs"][0]["publish"], serde_json::Value::Null);
    let kept = siltstone.run(&["topic", "describe", "kept", "--json"]).await.ok().json();
    let partition = &kept["partitions"][0];
    assert_eq!((&partition["high_watermark"], &partition["lag"]), (&0.into(), &300.into()), "{partition}");
    assert_eq!(siltstone.run(&["topic", "list", "--json"]).await.ok().json().as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn embedded_use_is_measured_until_everything_is_committed_and_cleaned_up() {
    let siltstone = Siltstone::new().with("MAX_SEGMENT_SIZE_BYTES", "1048576");
    let bench = ["bench", "--embedded", "--messages", "500", "--size", "100", "--json"];
    let report = siltstone.run(&bench).await.ok().json();
    assert_eq!(
        (&report["committed"]["messages"], &report["append"]["bytes"]),
        (&500.into(), &50_000.into()),
        "{report}"
    );
    let latency = |name: &str| report["append_latency"][name].as_f64().expect("a number");
    assert!(
        latency("p50_us") > 0.0 && latency("p50_us") <= latency("p99_us") && latency("p99_us") <= latency("max_us")
    );
    let segment = &report["segment"];
    assert!(segment["bytes"].as_u64().is_some_and(|bytes| bytes >= 1_048_576), "it was closed for its size: {report}");
    assert!(segment["upload_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{report}");
    assert_eq!(std::fs::read_dir(siltstone.path().join("data/bench")).expect("the parent stays").count(), 0);
    let text = siltstone.run(&["bench", "--embedded", "--messages", "10", "--format", "raw"]).await.ok();
    text.says(&["append p99", "< 10 ms", ">= 50,000/s", "roll a segment of"]);
    siltstone.run(&["bench", "--embedded", "--topic", "t"]).await.fails(2, &["--topic"]);
}

/// The figures of the way into the queue, whatever the way.
#[track_caller]
fn is_consistent(report: &serde_json::Value, phases: &[&str], messages: u64) {
    for run in report["runs"].as_array().expect("a list") {
        for phase in phases {
            assert_eq!(run[phase]["messages"], messages, "{run}");
            assert!(run[phase]["messages_per_s"].as_f64().is_some_and(|speed| speed > 0.0), "{run}");
        }
        assert_eq!(run.as_object().map(serde_json::Map::len), Some(phases.len()), "{run}");
    }
    let latencies = report["latency"].as_array().expect("a list");
    let kinds: Vec<_> =
        latencies.iter().map(|row| (row["acks"].as_str().expect("text"), row["clients"].as_u64())).collect();
    assert_eq!(kinds, [("queued", Some(1)), ("queued", Some(8)), ("committed", Some(1)), ("committed", Some(8))]);
    for row in latencies {
        let [p50, p99] = ["p50_ms", "p99_ms"].map(|name| row[name].as_f64().expect("a number"));
        assert!(row["answers"].as_u64().is_some_and(|answers| answers > 0) && p50 > 0.0 && p99 >= p50, "{row}");
    }
}

const CLIENTS: [&str; 5] = ["--clients", "1,8", "--client-seconds", "1", "--json"];

#[tokio::test]
async fn the_library_is_measured_against_the_queue_without_it() {
    let siltstone = Siltstone::new().with("FLUSH_INTERVAL_SECS", "3600");
    let bench = ["bench", "--producer", "--messages", "2500", "--partitions", "2", "--runs", "2"];
    let report = siltstone.run(&[&bench[..], &CLIENTS].concat()).await.ok().json();
    is_consistent(&report, &["batched", "enqueued", "ceiling"], 2500);
    assert_eq!(report["runs"].as_array().map(Vec::len), Some(2));
    assert!(report["median_ratio"].as_f64().is_some_and(|ratio| ratio > 0.0), "{report}");
    assert_eq!(std::fs::read_dir(siltstone.path().join("data/bench")).expect("the parent stays").count(), 0);
    let text = ["bench", "--producer", "--messages", "10", "--clients", "2", "--client-seconds", "1"];
    siltstone.run(&text).await.ok().says(&[">= 1,000,000/s", "the queue alone", "committed"]);
    siltstone.run(&["bench", "--producer", "--http"]).await.fails(2, &["--producer", "--http"]);
    siltstone.run(&["bench", "--producer", "--clients", "0"]).await.fails(2, &["--clients", "1..=65535"]);
}

#[tokio::test]
async fn the_library_into_jetstream_is_measured_against_a_bare_client() {
    let server = NatsServer::start().await.expect("a NATS server");
    let siltstone = Siltstone::new().with("QUEUE_TYPE", "nats").with("NATS_URL", &server.url());
    let bench = ["bench", "--producer", "--messages", "1500", "--client-seconds", "0", "--json"];
    let report = siltstone.run(&bench).await.ok().json();
    let run = &report["runs"][0];
    assert_eq!((&run["batched"]["messages"], &run["ceiling"]["messages"]), (&1500.into(), &1500.into()), "{report}");
    assert_eq!(run["batched"]["bytes"], run["ceiling"]["bytes"], "the same bytes");
    assert_eq!(report["latency"], serde_json::json!([]));
}

#[tokio::test]
async fn records_over_http_are_measured_and_every_one_is_answered() {
    let siltstone = Siltstone::new().with("FLUSH_INTERVAL_SECS", "3600");
    let bench = ["bench", "--http", "--messages", "21003", "--partitions", "2"];
    let report = siltstone.run(&[&bench[..], &CLIENTS].concat()).await.ok().json();
    is_consistent(&report, &["ndjson"], 21_003);
    assert_eq!(report["way"], "http");
}

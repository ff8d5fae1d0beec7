//! Streams that forget on purpose, and topics that begin behind the first message.

use async_nats::jetstream;
use async_nats::jetstream::stream::Config;
use serde_json::Value;
use support::nats::NatsServer;

use super::{Kind, Service, counted, on_nats};
use crate::binary::Siltstone;

async fn stream(nats: &NatsServer, config: Config) -> jetstream::Context {
    let context = jetstream::new(async_nats::connect(nats.url()).await.expect("connected"));
    context.create_stream(config).await.expect("made");
    context
}

fn events() -> Config {
    Config { name: "EVENTS".to_owned(), subjects: vec!["ev.>".to_owned()], ..Config::default() }
}

async fn send(context: &jetstream::Context, numbers: std::ops::Range<u64>, subjects: u64) {
    let mut confirmations = Vec::new();
    for n in numbers {
        let sent = context.publish(format!("ev.{}", n % subjects), format!("{{\"n\":{n}}}").into()).await;
        confirmations.push(sent.expect("sent").into_future());
    }
    for confirmed in confirmations {
        confirmed.await.expect("confirmed");
    }
}

/// Runs a writer until it has committed so many records.
async fn settled(siltstone: &Siltstone, records: f64) -> Service {
    let mut service = Service::start(Kind::Writer, siltstone).await;
    service.metric("siltstone_records_committed_total", |committed| committed == records).await;
    let metrics = service.metrics().await;
    assert_eq!(metrics["siltstone_gap_offsets_total"], 0.0, "nothing was lost");
    service.signal("TERM");
    assert_eq!(service.ended().await, 0, "{}", service.log_text());
    service
}

async fn gaps(siltstone: &Siltstone, arguments: &[&str]) -> Vec<Value> {
    let listed = siltstone.run(&[&["gaps", "--json"], arguments].concat()).await.ok().json();
    listed.as_array().expect("a list").clone()
}

fn messages(service: &Service, message: &str) -> usize {
    service.lines().iter().filter(|line| line["message"] == message).count()
}

#[tokio::test]
async fn what_a_stream_forgets_on_purpose_is_one_line_of_the_log_and_of_the_list() {
    const KEYS: u64 = 100;
    let (nats, siltstone) = on_nats().await;
    let siltstone = siltstone.with("FLUSH_INTERVAL_SECS", "1");
    let context = stream(&nats, Config { max_messages_per_subject: 1, ..events() }).await;
    // Of every third key a newer message: two thirds of the first round stay.
    send(&context, 0..KEYS, KEYS).await;
    for n in (0..KEYS).step_by(3) {
        send(&context, n..n + 1, KEYS).await;
    }
    siltstone.run(&["topic", "create", "orders", "--stream", "EVENTS", "--column", "n:int64!"]).await.ok();
    let service = settled(&siltstone, KEYS as f64).await;
    assert_eq!(counted(&siltstone).await, (KEYS, KEYS, KEYS - 1));
    assert_eq!(messages(&service, "gap recorded"), 0, "{}", service.log_text());
    assert_eq!(messages(&service, "offsets that the queue is meant to forget"), 1, "{}", service.log_text());
    let each = gaps(&siltstone, &["--all"]).await;
    assert_eq!(each.len(), 34);
    assert!(each.iter().all(|gap| gap["kind"] == "compacted" && gap["count"] == 1), "{each:#?}");
    let sum = gaps(&siltstone, &[]).await;
    assert_eq!(sum.len(), 1);
    assert_eq!((&sum[0]["gaps"], &sum[0]["count"]), (&34.into(), &34.into()), "{sum:#?}");
    let shown = siltstone.run(&["gaps"]).await.ok();
    shown.says(&["compacted: the stream keeps the newest 1 of each subject"]);
    assert!(shown.out.lines().count() == 2 && shown.err.contains("34 gaps, 34 offsets"), "{shown:?}");
    siltstone.run(&["audit", "--deep"]).await.ok().says(&["34 in 34 gaps", "audit: clean"]);
}

#[tokio::test]
async fn a_topic_begins_in_an_old_stream_where_it_is_told_to() {
    let (nats, siltstone) = on_nats().await;
    let siltstone = siltstone.with("FLUSH_INTERVAL_SECS", "1");
    let context = stream(&nats, events()).await;
    send(&context, 0..10, 1).await;
    send(&context, 10..14, 1).await;
    let eleventh = context.get_stream("EVENTS").await.expect("there").get_raw_message(11).await.expect("held");
    let stored_us = i64::try_from(eleventh.time.unix_timestamp_nanos() / 1_000).expect("a time of now");
    let since = chrono::DateTime::from_timestamp_micros(stored_us).expect("a time of now");
    let since = since.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    for (name, from) in [("all", "begin"), ("new", "end"), ("seventh", "7"), ("since", since.as_str())] {
        let create = ["topic", "create", name, "--stream", "EVENTS", "--column", "n:int64!", "--from", from];
        siltstone.run(&create).await.ok();
    }
    siltstone.run(&["topic", "describe", "since"]).await.ok().says(&["EVENTS from offset 11"]);
    let described = siltstone.run(&["topic", "describe", "since", "--json"]).await.ok().json();
    assert_eq!(described["partitions"][0]["lag"], 4, "what is skipped is no lag");
    send(&context, 14..17, 1).await;
    let service = settled(&siltstone, 17.0 + 3.0 + 11.0 + 7.0).await;
    assert_eq!(messages(&service, "offsets skipped"), 3, "{}", service.log_text());
    for (name, rows, first, skipped) in
        [("all", 17, 0, 0), ("new", 3, 14, 14), ("seventh", 11, 6, 6), ("since", 7, 10, 10)]
    {
        let sql = format!("SELECT count(*) AS r, min(n) AS f FROM {name}");
        let row = siltstone.run(&["query", "--json", &sql]).await.ok().json();
        assert_eq!((&row["r"], &row["f"]), (&rows.into(), &first.into()), "{name}");
        let gaps = gaps(&siltstone, &[name]).await;
        let counts: Vec<_> = gaps.iter().map(|gap| (gap["kind"].as_str(), gap["count"].as_u64())).collect();
        let expected = if skipped == 0 { vec![] } else { vec![(Some("skipped"), Some(skipped))] };
        assert_eq!(counts, expected, "{name}");
    }
    siltstone.run(&["audit", "--deep"]).await.ok().says(&["audit: clean"]);
}

#[tokio::test]
async fn a_beginning_that_is_not_possible_is_refused_with_what_is() {
    let (nats, siltstone) = on_nats().await;
    let context = stream(&nats, events()).await;
    send(&context, 0..3, 1).await;
    let create = ["topic", "create", "t", "--stream", "EVENTS", "--from"];
    siltstone.run(&[&create[..], &["5"]].concat()).await.fails(2, &["--from 5", "gets offset 4", "`end`"]);
    siltstone.run(&[&create[..], &["newest"]].concat()).await.fails(2, &["begin, end, an offset"]);
    siltstone.run(&["topic", "create", "t", "--from", "end"]).await.fails(2, &["--stream"]);
    let jobs = Config {
        name: "JOBS".to_owned(),
        subjects: vec!["jobs".to_owned()],
        retention: jetstream::stream::RetentionPolicy::WorkQueue,
        ..Config::default()
    };
    context.create_stream(jobs).await.expect("made");
    let refused = siltstone.run(&["topic", "create", "t", "--stream", "JOBS", "--from", "end"]).await;
    refused.fails(1, &["JOBS keeps a message until it is acked", "from its first one"]);
    siltstone.run(&["topic", "list"]).await.ok().says(&["no topics yet"]);
    siltstone.run(&[&create[..], &["end"]].concat()).await.ok();
    let resumed = siltstone.run(&["topic", "resume", "t", "--from", "end"]).await;
    resumed.fails(2, &["no partition of t is halted", "topic create NAME --stream STREAM --from"]);
}

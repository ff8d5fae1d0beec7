//! Streams that limit their consumers.

use common::diagnosis::Verdict;

use super::*;

fn bounded(name: &str, retention: RetentionPolicy, seconds: u64) -> Config {
    let limits = ConsumerLimits { inactive_threshold: Duration::from_secs(seconds), max_ack_pending: 10 };
    Config { consumer_limits: Some(limits), ..config(name, retention) }
}

#[tokio::test]
async fn a_stream_that_allows_few_messages_without_an_ack_is_read_all_the_same() {
    let harness = NatsHarness::start().await;
    let kinds = [(RetentionPolicy::Limits, 60), (RetentionPolicy::WorkQueue, 60), (RetentionPolicy::Interest, 0)];
    for (number, (retention, seconds)) in kinds.into_iter().enumerate() {
        let name = format!("S{number}");
        harness.jetstream().await.create_stream(bounded(&name, retention, seconds)).await.expect("makes");
        let definition = bound(&name, &name, &[]);
        harness.queue.open_topic(&definition, None, &[]).await.expect("opens");
        let partition = partition(&definition, 0);
        let mut subscription = reader(&harness.queue, &partition, 0, 0, 1).await;
        publish(&harness.queue, &partition, 0..25).await;
        if retention == RetentionPolicy::Limits {
            assert_eq!(
                numbers(&take(&mut *subscription, 25).await),
                (0..25).collect::<Vec<_>>(),
                "no ack is waited for"
            );
            continue;
        }
        for first in [0, 10, 20] {
            let end = (first + 10).min(25);
            let messages = take(&mut *subscription, usize::try_from(end - first).expect("few")).await;
            assert_eq!(numbers(&messages), (first..end).collect::<Vec<_>>(), "{retention:?}");
            step(subscription.ack(&receipt(&partition, end + 1))).await.expect("acks");
        }
    }
}

#[tokio::test]
async fn the_next_owner_takes_the_only_place_for_a_consumer() {
    let harness = NatsHarness::start().await;
    let jetstream = harness.jetstream().await;
    jetstream.create_stream(Config { max_consumers: 1, ..config("S", RetentionPolicy::Limits) }).await.expect("makes");
    let definition = bound("jobs", "S", &[]);
    harness.queue.open_topic(&definition, None, &[]).await.expect("opens");
    let partition = partition(&definition, 0);
    publish(&harness.queue, &partition, 0..3).await;
    // It is killed, as far as the server knows: its consumer stays.
    let _killed = reader(&harness.queue, &partition, 0, 0, 1).await;
    let mut next = reader(&harness.queue, &partition, 1, 1, 2).await;
    assert_eq!(numbers(&take(&mut *next, 3).await), [0, 1, 2]);
    let rights = async || {
        let findings = step(harness.queue.diagnose(std::slice::from_ref(&definition))).await;
        findings.into_iter().find(|finding| finding.check == "jobs permissions").expect("a finding")
    };
    let found = rights().await;
    assert_eq!(found.verdict, Verdict::Ok, "{found:?}");
    drop(next);
    for consumer in consumers(&harness).await {
        let stream = jetstream.get_stream("S").await.expect("exists");
        stream.delete_consumer(&consumer).await.expect("deletes");
        let theirs = pull::Config { durable_name: Some("theirs".to_owned()), ..pull::Config::default() };
        stream.create_consumer(theirs).await.expect("makes");
    }
    let found = rights().await;
    assert_eq!(found.verdict, Verdict::Fail);
    assert!(found.found.contains("max_consumers") && found.advice.contains("max_consumers"), "{found:?}");
}

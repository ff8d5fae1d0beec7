//! Diagnosis of the server and of the topics' streams, for an operator.
//!
//! Owns: the settings that matter for the promise, and the changes to advise.
//! Does not own: the requests (`topic_streams`, `monitor`), the verdict over all findings (`diagnosis`).

mod permission;

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use futures::{StreamExt, stream};
use serde::Deserialize;

use crate::api::{self, Answer, EMPTY};
use crate::config::{AckMode, NatsConfig};
use crate::connection::Connection;
use crate::server_version::{self, Judgement};
use crate::{monitor, topic_streams};
use common::clock::{Clock, SystemClock};
use common::diagnosis::{self, Area, Finding};
use common::queue::QueueError;
use common::topic::TopicDefinition;

const REQUESTS_MAX: usize = 64;
/// From this many copies on, a copy that loses unsynced messages gets them from the others.
const REPLICAS_SAFE: usize = 3;

/// A stream as the server describes it.
#[derive(Clone)]
struct Held {
    config: Config,
    /// Copies on other servers are possible.
    is_clustered: bool,
}

pub(super) async fn diagnose(connection: &Connection, config: &NatsConfig, topics: &[TopicDefinition]) -> Vec<Finding> {
    let server = connection.client.server_info();
    let mut findings = vec![version(&server.version), ack(config.ack)];
    let mut replicas_min = usize::MAX;
    for topic in topics {
        let streams = streams_of(connection, topic).await;
        replicas_min =
            streams.iter().flatten().map(|held| held.config.num_replicas).min().unwrap_or(1).min(replicas_min);
        findings.extend(topic_findings(topic, &streams));
        // On other retentions an extra consumer changes which messages are deleted, or is refused.
        let is_harmless = |held: &Held| held.config.retention == RetentionPolicy::Limits;
        if streams.first().is_some_and(|first| first.as_ref().is_ok_and(is_harmless)) {
            findings.push(permission::check(connection, topic).await);
        }
    }
    let authority = monitor::page(config.monitor_url.as_ref(), config.url.expose());
    let sync = match &authority {
        Ok(authority) => monitor::sync_of(authority, &server.server_id).await,
        Err(error) => Err(error.clone()),
    };
    findings.push(sync_finding(sync, authority.as_deref().unwrap_or_default(), replicas_min));
    findings.push(clock(connection, topics).await);
    findings
}

fn version(text: &str) -> Finding {
    let found = format!("nats-server {text}");
    match server_version::judge(text) {
        Judgement::Tested => Finding::ok(Area::Queue, "version", found),
        Judgement::Untested(reason) => Finding::warn(Area::Queue, "version", found, reason),
        Judgement::Refused(reason) => Finding::fail(Area::Queue, "version", found, reason),
    }
}

fn ack(mode: AckMode) -> Finding {
    match mode {
        AckMode::All => Finding::ok(Area::Queue, "acks", "once per commit"),
        AckMode::None => Finding::warn(
            Area::Queue,
            "acks",
            "QUEUE_ACK=none",
            "nothing is lost by it, but NATS tools do not show how far a topic is committed; `siltstone topic describe` \
             does",
        ),
    }
}

/// The settings of each partition's stream, or the error of the request.
async fn streams_of(connection: &Connection, topic: &TopicDefinition) -> Vec<Result<Held, QueueError>> {
    let ask = |partition_id| async move {
        let (name, _) = topic_streams::stream_of(topic, partition_id);
        match topic_streams::info(connection, &name).await {
            Ok(Some(info)) => {
                let is_clustered = info.cluster.is_some_and(|cluster| cluster.name.is_some());
                Ok(Held { config: info.config, is_clustered })
            }
            Ok(None) => Err(QueueError::refused(format!("stream {name} does not exist"))),
            Err(error) => Err(error),
        }
    };
    stream::iter((0..topic.partition_count).map(ask)).buffered(REQUESTS_MAX).collect().await
}

/// The findings about one topic's streams, most of which are alike: one finding for each problem of any of them.
fn topic_findings(topic: &TopicDefinition, streams: &[Result<Held, QueueError>]) -> Vec<Finding> {
    let check = |what: &str| format!("{} {what}", topic.name);
    let count = streams.len();
    let mut findings = Vec::new();
    let broken: Vec<&QueueError> = streams.iter().filter_map(|stream| stream.as_ref().err()).collect();
    if let Some(first) = broken.first() {
        let found = format!("{} of {count} streams cannot be read; the first: {first}", broken.len());
        let advice = format!("make them with `siltstone topic create {}`, or grant access", topic.name);
        findings.push(Finding::fail(Area::Queue, check("streams"), found, advice));
    }
    let held: Vec<&Held> = streams.iter().flatten().collect();
    let reduced = |what: &str, found: String, advice: &str| Finding::reduced(Area::Queue, check(what), found, advice);
    let warn = |what: &str, found: String, advice: &str| Finding::warn(Area::Queue, check(what), found, advice);
    let of = |wrong: &dyn Fn(&Held) -> bool, what: &str| {
        let mut wrong = held.iter().filter(|held| wrong(held));
        let first = wrong.next()?;
        Some(format!("{what}: {} of {count} streams, the first {}", wrong.count() + 1, first.config.name))
    };
    if let Some(found) = of(&|held| held.config.storage == StorageType::Memory, "kept in memory") {
        let advice = "what is not committed is lost when the server restarts; use streams with file storage";
        findings.push(reduced("storage", found, advice));
    }
    let is_single = |held: &Held| held.config.num_replicas <= 1;
    if let Some(found) = of(&|held| is_single(held) && held.is_clustered, "one copy on a cluster") {
        let advice = "what is not committed is lost with the disk of one server; make the streams with 3 replicas";
        findings.push(reduced("copies", found, advice));
    }
    if let Some(found) = of(&|held| is_single(held) && !held.is_clustered, "one copy on a single server") {
        let advice = "what is not committed is lost with that server's disk; a cluster of 3 servers and streams with 3 \
                      replicas outlive it";
        findings.push(warn("copies", found, advice));
    }
    if let Some(found) = of(&|held| held.config.retention != RetentionPolicy::Limits, "retention other than limits") {
        let advice = "messages go once they are acked, so that the last committed one cannot be compared after a \
                      takeover, and what other hands deleted is only known as a gap; use streams with limits retention";
        findings.push(reduced("retention", found, advice));
    }
    if let Some(found) = of(&|held| is_discarding(&held.config), "limits discard messages, committed or not") {
        let advice = "a writer that is away for longer than the limits allow finds a gap, which it records; make them \
                      larger than the longest time away, and let discard be new";
        findings.push(warn("limits", found, advice));
    }
    if findings.is_empty() {
        let found = format!("{count} streams on file, {} copies, nothing discarded", held[0].config.num_replicas);
        findings.push(Finding::ok(Area::Queue, check("streams"), found));
    }
    findings
}

fn is_discarding(config: &Config) -> bool {
    let is_limited = config.max_bytes > 0 || config.max_messages > 0;
    let drops_old = config.discard == DiscardPolicy::Old && is_limited;
    config.max_age > Duration::ZERO || config.max_messages_per_subject > 0 || drops_old
}

fn sync_finding(sync: Result<monitor::Sync, String>, authority: &str, replicas_min: usize) -> Finding {
    let check = "sync_interval";
    let (found, advice) = match sync {
        Ok(sync) if sync.always => return Finding::ok(Area::Queue, check, "always: confirmed means on the disk"),
        Ok(sync) => (
            format!("every {} s", sync.interval.as_secs_f64()),
            "a power cut loses messages that were confirmed within that time; set jetstream { sync_interval: always }",
        ),
        Err(reason) => (
            format!("unknown ({authority}: {reason})"),
            "the server's default is 2 minutes: a power cut loses what was confirmed since. Set \
             jetstream { sync_interval: always }, and http: 8222 or NATS_MONITOR_URL, so that this can be seen",
        ),
    };
    if replicas_min != usize::MAX && replicas_min >= REPLICAS_SAFE {
        return Finding::warn(Area::Queue, check, format!("{found}, with {replicas_min} copies"), advice);
    }
    Finding::reduced(Area::Queue, check, found, advice)
}

#[derive(Deserialize)]
struct Dated {
    ts: Option<String>,
}

/// Compares the server's clock: the server dates its answers about streams.
async fn clock(connection: &Connection, topics: &[TopicDefinition]) -> Finding {
    const WHOSE: &str = "queue";
    let unknown = |found: &str| Finding::warn(Area::Clock, WHOSE, found, "only an answer about a stream has a date");
    let Some(topic) = topics.first() else { return unknown("unknown: there is no topic yet") };
    let (name, _) = topic_streams::stream_of(topic, 0);
    let before_ms = SystemClock.now_ms();
    let answer = api::request::<Dated>(connection, format!("STREAM.INFO.{name}"), &EMPTY).await;
    let after_ms = SystemClock.now_ms();
    let date = match answer {
        Ok(Answer::Done(dated)) => dated.ts,
        Ok(Answer::Refused(_)) | Err(_) => None,
    };
    match date.and_then(|text| chrono::DateTime::parse_from_rfc3339(&text).ok()) {
        Some(date) => diagnosis::clock(WHOSE, date.timestamp_millis(), before_ms, after_ms, 1),
        None => unknown("unknown: the server does not date its answers"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::diagnosis::Verdict;
    use common::ids::TopicName;

    fn judged(change: impl Fn(&mut Config)) -> Vec<Finding> {
        judged_on(true, change)
    }

    fn judged_on(is_clustered: bool, change: impl Fn(&mut Config)) -> Vec<Finding> {
        let topic = TopicDefinition::new(TopicName::new("orders").expect("valid"), 2);
        let mut config = Config { name: "orders-0".to_owned(), num_replicas: 3, ..Config::default() };
        config.storage = StorageType::File;
        change(&mut config);
        let held = Held { config, is_clustered };
        topic_findings(&topic, &[Ok(held.clone()), Ok(held)])
    }

    #[test]
    fn streams_that_last_are_good() {
        let findings = judged(|_| ());
        assert!(findings.len() == 1 && findings[0].verdict == Verdict::Ok, "{findings:?}");
    }

    #[test]
    fn each_weakness_of_a_stream_is_named() {
        let reduced = |findings: &[Finding], check: &str| {
            let found = findings.iter().find(|finding| finding.check == check).expect(check);
            assert!(found.found.contains("2 of 2 streams, the first orders-0"), "{found:?}");
            found.reduces
        };
        assert!(reduced(&judged(|config| config.storage = StorageType::Memory), "orders storage"));
        assert!(reduced(&judged(|config| config.num_replicas = 1), "orders copies"));
        assert!(!reduced(&judged_on(false, |config| config.num_replicas = 1), "orders copies"));
        assert!(reduced(&judged(|config| config.retention = RetentionPolicy::WorkQueue), "orders retention"));
        assert!(!reduced(&judged(|config| config.max_age = Duration::from_secs(60)), "orders limits"));
        assert!(!reduced(&judged(|config| config.max_bytes = 1000), "orders limits"));
        let kept = judged(|config| {
            config.max_bytes = 1000;
            config.discard = DiscardPolicy::New;
        });
        assert_eq!(kept[0].verdict, Verdict::Ok, "a full stream that refuses loses nothing");
    }

    #[test]
    fn a_stream_that_is_missing_fails() {
        let topic = TopicDefinition::new(TopicName::new("orders").expect("valid"), 1);
        let findings = topic_findings(&topic, &[Err(QueueError::refused("stream orders-0 does not exist"))]);
        assert_eq!(findings[0].verdict, Verdict::Fail);
        assert!(findings[0].found.contains("orders-0") && findings[0].advice.contains("topic create orders"));
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("2.15.1").verdict, Verdict::Ok);
        assert_eq!(version("2.14.4").verdict, Verdict::Fail, "known to be faulty");
        assert_eq!(version("2.16.0-RC.1").verdict, Verdict::Warn);
        assert_eq!(version("2.9.10").verdict, Verdict::Fail);
    }

    #[test]
    fn lazy_syncing_reduces_the_promise_of_a_single_copy_only() {
        let lazily = Ok(monitor::Sync { always: false, interval: Duration::from_secs(120) });
        assert!(sync_finding(lazily.clone(), "h:1", 1).reduces);
        assert!(!sync_finding(lazily, "h:1", 3).reduces);
        assert!(sync_finding(Err("no answer".to_owned()), "h:1", 1).found.contains("unknown (h:1: no answer)"));
        let always = Ok(monitor::Sync { always: true, interval: Duration::ZERO });
        assert_eq!(sync_finding(always, "h:1", 1).verdict, Verdict::Ok);
    }
}

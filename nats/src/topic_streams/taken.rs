//! The subjects that streams take: those a topic asks for in vain, and those that another stream has.
//!
//! Owns: comparing subjects with wildcards, and both refusals. Does not own: which subjects a topic has (`subjects`).

use async_nats::jetstream::stream::Config;
use common::TopicDefinition;
use common::queue::QueueError;
use common::topic::BoundStream;
use serde::Deserialize;
use serde_json::json;

use crate::api;
use crate::connection::Connection;

/// Refuses subjects of which an existing stream takes nothing. Copies and streams that rewrite subjects hold others than they
/// take.
pub(super) fn check_taken(config: &Config, filters: &[String]) -> Result<(), QueueError> {
    let has_sources = config.sources.as_ref().is_some_and(|sources| !sources.is_empty());
    if config.mirror.is_some() || has_sources || config.subject_transform.is_some() {
        return Ok(());
    }
    let is_taken = |filter: &String| config.subjects.iter().any(|subject| overlap(filter, subject));
    match filters.iter().find(|filter| !is_taken(filter)) {
        None => Ok(()),
        Some(filter) => Err(QueueError::refused(format!(
            "stream {} takes {}, and nothing of it is {filter}",
            config.name,
            config.subjects.join(", ")
        ))),
    }
}

/// Refuses subjects that overlap in a topic: a message would be read twice, or not at all.
pub(super) fn check_apart(topic: &TopicDefinition) -> Result<(), QueueError> {
    let places: Vec<(&str, &str)> = topic.options.streams.iter().flat_map(|bound| subjects_of(bound)).collect();
    for (at, (stream, subject)) in places.iter().enumerate() {
        let other = places[..at].iter().find(|(other, held)| other == stream && overlap(held, subject));
        if let Some((_, held)) = other {
            let text = if held == subject {
                format!("{subject} twice")
            } else {
                format!("{held} and {subject}, which overlap")
            };
            return Err(QueueError::refused(format!(
                "topic {} would read of stream {stream} {text}; each subject belongs to one place of a topic",
                topic.name
            )));
        }
    }
    Ok(())
}

fn subjects_of(bound: &BoundStream) -> Vec<(&str, &str)> {
    match bound.subjects.as_slice() {
        [] => vec![(bound.stream.as_str(), ">")],
        subjects => subjects.iter().map(|subject| (bound.stream.as_str(), subject.as_str())).collect(),
    }
}

/// True if a message can have a subject that both match.
fn overlap(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (None, _) | (_, None) => return false,
            (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
            _ => return false,
        }
    }
}

#[derive(Deserialize)]
struct Names {
    #[serde(default)]
    streams: Option<Vec<String>>,
}

/// The refusal of a new stream, some of whose subjects other streams take.
pub(super) async fn overlapping(connection: &Connection, config: &Config) -> QueueError {
    let name = &config.name;
    for subject in &config.subjects {
        let request = json!({ "subject": subject });
        let answer = api::request::<Names>(connection, "STREAM.NAMES".to_owned(), &request).await;
        let found = answer.and_then(|answer| answer.expected("streams of a subject"));
        if let Some(stream) = found.ok().and_then(|names| names.streams?.into_iter().next()) {
            return QueueError::refused(format!(
                "stream {name} cannot be made: stream {stream} takes {subject} already; read that one with --stream {stream}, or \
                 give the topic another name"
            ));
        }
    }
    QueueError::refused(format!("stream {name} cannot be made: another stream takes one of its subjects"))
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::stream::Source;

    use super::*;

    #[test]
    fn subjects_overlap_as_the_server_matches_them() {
        for (one, other, expected) in [
            ("shop.a", "shop.>", true),
            ("shop.*", "shop.a", true),
            ("shop", "shop.>", false),
            ("*.a", "shop.>", true),
            (">", "shop", true),
            ("shop.a.b", "shop.*", false),
            ("other.x", "shop.>", false),
            ("shop.a", "shop.b", false),
        ] {
            assert_eq!((overlap(one, other), overlap(other, one)), (expected, expected), "{one} {other}");
        }
    }

    #[test]
    fn a_topic_reads_no_message_twice() {
        let topic = |streams: &[(&str, &[&str])]| {
            let mut topic = TopicDefinition::new(common::TopicName::new("t").expect("valid"), 1);
            let bound = |(stream, subjects): &(&str, &[&str])| BoundStream {
                stream: (*stream).to_owned(),
                subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
                from_offset: None,
            };
            topic.options.streams = streams.iter().map(bound).collect();
            check_apart(&topic).map_err(|error| error.to_string())
        };
        topic(&[("A", &["x.a", "x.b"]), ("B", &[]), ("A", &["x.c"])]).expect("apart");
        for streams in [&[("A", &[] as &[&str]), ("A", &[])], &[("A", &["x.a"]), ("A", &["x.>"])]] {
            assert!(topic(streams).expect_err("twice").contains("stream A"));
        }
        assert!(topic(&[("A", &["x.a", "x.>"])]).expect_err("twice").contains("x.a and x.>"));
    }

    #[test]
    fn a_subject_that_a_stream_never_takes_is_refused() {
        let config = Config { name: "SHOP".to_owned(), subjects: vec!["shop.>".to_owned()], ..Config::default() };
        check_taken(&config, &[]).expect("all of it");
        check_taken(&config, &["shop.x".to_owned()]).expect("a part");
        let error = check_taken(&config, &["shop.x".to_owned(), "other.x".to_owned()]).expect_err("none").to_string();
        assert!(error.contains("SHOP takes shop.>") && error.contains("other.x"), "{error}");
        let copy = Config { mirror: Some(Source::default()), ..config };
        check_taken(&copy, &["other.x".to_owned()]).expect("its origin may have it");
    }
}

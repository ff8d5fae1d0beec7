//! The subjects that streams take: those a topic asks for in vain, and those that another stream has.
//!
//! Owns: comparing subjects with wildcards, and both refusals. Does not own: which subjects a topic has (`subjects`).

use async_nats::jetstream::stream::{Config, SubjectTransform};
use common::TopicDefinition;
use common::queue::QueueError;
use common::topic::BoundStream;
use serde::Deserialize;
use serde_json::json;

use crate::api;
use crate::connection::Connection;

/// Refuses subjects of which an existing stream holds nothing. Copies hold what their origins have.
pub(super) fn check_taken(config: &Config, filters: &[String]) -> Result<(), QueueError> {
    let has_sources = config.sources.as_ref().is_some_and(|sources| !sources.is_empty());
    if config.mirror.is_some() || has_sources {
        return Ok(());
    }
    let transform = config.subject_transform.as_ref();
    let renamed = transform.map(|transform| (source_of(transform), stored_as(&transform.destination)));
    let is_held = |filter: &String| {
        let as_taken = config.subjects.iter().any(|subject| {
            let is_renamed = |(source, _): &(&str, String)| covers(source, subject) || covers(source, filter);
            overlap(filter, subject) && !renamed.as_ref().is_some_and(is_renamed)
        });
        as_taken || renamed.as_ref().is_some_and(|(_, stored)| overlap(filter, stored))
    };
    let Some(filter) = filters.iter().find(|filter| !is_held(filter)) else { return Ok(()) };
    let renames = transform.map_or_else(String::new, |transform| {
        format!(", which it stores as {} where it is {}", transform.destination, source_of(transform))
    });
    Err(QueueError::refused(format!(
        "stream {} takes {}{renames}, and nothing of it is {filter}",
        config.name,
        config.subjects.join(", ")
    )))
}

/// True if the stream takes what is published to the subject.
pub(super) fn is_taken(config: &Config, subject: &str) -> bool {
    config.subjects.iter().any(|taken| overlap(subject, taken))
}

/// The subjects that a transform renames.
fn source_of(transform: &SubjectTransform) -> &str {
    if transform.source.is_empty() { ">" } else { &transform.source }
}

/// The subjects that a destination such as `out.{{wildcard(1)}}` makes, as a pattern. What some functions make has any number
/// of parts.
fn stored_as(destination: &str) -> String {
    let mut pattern = Vec::new();
    for token in destination.split('.') {
        let is_function = token.contains("{{");
        if is_function && !token.contains("wildcard") && !token.contains("partition") {
            pattern.push(">");
            break;
        }
        pattern.push(if is_function || token.starts_with('$') { "*" } else { token });
    }
    pattern.join(".")
}

/// True if every subject that `other` matches is one of `pattern`.
fn covers(pattern: &str, other: &str) -> bool {
    let (mut pattern, mut other) = (pattern.split('.'), other.split('.'));
    loop {
        match (pattern.next(), other.next()) {
            (None, None) | (Some(">"), Some(_)) => return true,
            (None, _) | (_, None) | (Some(_), Some(">")) => return false,
            (Some(a), Some(b)) if a == "*" || a == b => {}
            _ => return false,
        }
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
        let renamed = |source: &str, destination: &str| Config {
            subject_transform: Some(SubjectTransform {
                source: source.to_owned(),
                destination: destination.to_owned(),
            }),
            ..config.clone()
        };
        for (source, destination, filter, is_held) in [
            ("shop.>", "out.>", "shop.x", false),
            ("shop.>", "out.>", "out.x", true),
            ("", "out.>", "shop.x", false),
            ("shop.*", "out.{{wildcard(1)}}", "out.x", true),
            ("shop.*", "out.{{wildcard(1)}}", "out.x.y", false),
            ("shop.*", "out.{{partition(3,1)}}.$1", "out.2.x", true),
            ("shop.*", "out.{{split(1,-)}}", "out.a.b.c", true),
            ("shop.a.>", "out.>", "shop.b", true),
            ("shop.a.>", "out.>", "shop.a.x", false),
            ("shop.a.>", "out.>", "shop.>", true),
        ] {
            let checked = check_taken(&renamed(source, destination), &[filter.to_owned()]);
            assert_eq!(checked.is_ok(), is_held, "{source} to {destination}, {filter}: {checked:?}");
        }
        let error = check_taken(&renamed("shop.>", "out.>"), &["shop.x".to_owned()]).expect_err("renamed").to_string();
        assert!(error.contains("takes shop.>, which it stores as out.> where it is shop.>"), "{error}");
        let copy = Config { mirror: Some(Source::default()), ..config };
        check_taken(&copy, &["other.x".to_owned()]).expect("its origin may have it");
    }
}

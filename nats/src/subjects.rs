//! Subjects: where NATS clients publish the messages of a topic.
//!
//! Owns: the subjects of each partition, the server's mapping that spreads keys over partitions, and both as text.
//! Does not own: creating streams (`topic_streams`), the hash of a key (`common::partitioner`).

use std::fmt;

use serde::Serialize;

use crate::topic_streams::{is_managed, stream_of};
use common::topic::TopicDefinition;

/// The token between the topic and the key in [`Mapping::from`]. No stream of a topic listens there.
const BY_KEY: &str = "by-key";

/// Bound partitions that [`summary`] names.
const SHOWN_MAX: u32 = 4;

/// The subjects of one partition. Empty for a bound stream without filters: all subjects of that stream are read.
pub fn subjects(topic: &TopicDefinition, partition_id: u32) -> Vec<String> {
    if !is_managed(topic) {
        return stream_of(topic, partition_id).1;
    }
    let own = own_subject(topic, partition_id);
    let below = format!("{own}.>");
    // The bare name is for topics of one partition; a stream can have it only once.
    let bare = (partition_id == 0).then(|| topic.name.to_string());
    bare.into_iter().chain([own, below]).collect()
}

/// The subject of one partition of a topic with managed streams, to which Siltstone itself publishes.
pub(crate) fn own_subject(topic: &TopicDefinition, partition_id: u32) -> String {
    format!("{}.{partition_id}", topic.name)
}

/// A subject mapping of a NATS server: messages for `from` are stored as if they were published to `to`. Shown as one
/// line of the server's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mapping {
    /// The subject that producers use, with the key in place of `*`.
    pub from: String,
    /// The partition's subject, which keeps the key as its last token.
    pub to: String,
}

impl Mapping {
    /// The subject for messages with this key, which is one token: not empty, without dots and spaces.
    pub fn subject_of(&self, key: &str) -> String {
        self.from.replace('*', key)
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "mappings: {{ {from:?}: {to:?} }}")
    }
}

/// The mapping that spreads keys over the partitions of a topic as the partitioner `nats` does; `None` for a topic with
/// one partition or with bound streams.
pub fn mapping(topic: &TopicDefinition) -> Option<Mapping> {
    let (name, count) = (&topic.name, topic.partition_count);
    (is_managed(topic) && count > 1).then(|| Mapping {
        from: format!("{name}.{BY_KEY}.*"),
        to: format!("{name}.{{{{partition({count},1)}}}}.{{{{wildcard(1)}}}}"),
    })
}

/// The subjects of all partitions in one line for people.
pub fn summary(topic: &TopicDefinition) -> String {
    let (name, count) = (&topic.name, topic.partition_count);
    match count {
        _ if !is_managed(topic) => bound_summary(topic),
        1 => format!("{name} (or {name}.0, {name}.0.>)"),
        _ => format!("{name}.N or {name}.N.> for partition N, 0 to {}; {name} alone is partition 0 only", count - 1),
    }
}

fn bound_summary(topic: &TopicDefinition) -> String {
    let place = |partition_id: u32| {
        let (stream, filters) = stream_of(topic, partition_id);
        let partition = if topic.partition_count == 1 { String::new() } else { format!("partition {partition_id}") };
        match (filters.as_slice(), partition.as_str()) {
            ([], "") => format!("the subjects of stream {stream}"),
            ([], partition) => format!("the subjects of stream {stream} ({partition})"),
            (filters, "") => format!("{} (stream {stream})", filters.join(", ")),
            (filters, partition) => format!("{} (stream {stream}, {partition})", filters.join(", ")),
        }
    };
    let mut places: Vec<String> = (0..topic.partition_count.min(SHOWN_MAX)).map(place).collect();
    if topic.partition_count > SHOWN_MAX {
        places.push(format!("and {} more streams", topic.partition_count - SHOWN_MAX));
    }
    places.join("; ")
}

#[cfg(test)]
mod tests {
    use common::TopicName;
    use common::topic::BoundStream;

    use super::*;

    fn topic(partition_count: u32) -> TopicDefinition {
        TopicDefinition::new(TopicName::new("orders").expect("valid"), partition_count)
    }

    fn bound(streams: &[(&str, &[&str])]) -> TopicDefinition {
        let mut topic = topic(u32::try_from(streams.len()).expect("few"));
        topic.options.streams = streams
            .iter()
            .map(|(stream, subjects)| BoundStream {
                stream: (*stream).to_owned(),
                subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
                from_offset: None,
            })
            .collect();
        topic
    }

    #[test]
    fn the_bare_name_belongs_to_partition_0_alone() {
        assert_eq!(subjects(&topic(3), 0), ["orders", "orders.0", "orders.0.>"]);
        assert_eq!(subjects(&topic(3), 2), ["orders.2", "orders.2.>"]);
        assert_eq!(summary(&topic(1)), "orders (or orders.0, orders.0.>)");
        assert_eq!(
            summary(&topic(3)),
            "orders.N or orders.N.> for partition N, 0 to 2; orders alone is partition 0 only"
        );
    }

    #[test]
    fn a_mapping_is_a_line_of_the_servers_configuration() {
        let mapping = mapping(&topic(3)).expect("several partitions");
        assert_eq!(
            mapping.to_string(),
            r#"mappings: { "orders.by-key.*": "orders.{{partition(3,1)}}.{{wildcard(1)}}" }"#
        );
        assert_eq!(mapping.subject_of("u7"), "orders.by-key.u7");
        assert_eq!(super::mapping(&topic(1)), None);
        assert_eq!(super::mapping(&bound(&[("A", &[]), ("B", &[])])), None, "its subjects are not Siltstone's");
    }

    #[test]
    fn bound_streams_are_named_with_what_is_read_of_them() {
        assert_eq!(summary(&bound(&[("EVENTS", &["shop.>", "mail"])])), "shop.>, mail (stream EVENTS)");
        let two = bound(&[("A", &[]), ("B", &["b.x"])]);
        assert_eq!(summary(&two), "the subjects of stream A (partition 0); b.x (stream B, partition 1)");
        assert_eq!((subjects(&two, 0), subjects(&two, 1)), (Vec::new(), vec!["b.x".to_owned()]));
        let many = bound(&[("A", &["a"]), ("B", &["b"]), ("C", &["c"]), ("D", &["d"]), ("E", &["e"])]);
        assert!(summary(&many).ends_with("d (stream D, partition 3); and 1 more streams"), "{}", summary(&many));
    }
}

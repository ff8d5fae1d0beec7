//! The place for new messages of a topic, as lines of text. `create` and `describe` show them.
//!
//! Owns: their labels and order. Does not own: the subjects and the mapping (`service::producing`).

use common::TopicDefinition;
use common::config::Settings;
use common::partitioner::Partitioner;
use service::producing;

/// Labels and lines; a line without a label continues the one before it.
pub(super) fn lines(settings: &Settings, topic: &TopicDefinition) -> Vec<(&'static str, String)> {
    let mut lines = vec![("publish to", producing::place(settings, topic))];
    let Some(mapping) = producing::mapping(settings, topic) else { return lines };
    let by_key = mapping.subject_of("KEY");
    lines.push(("spread keys", format!("{by_key}, with this line in the configuration of the NATS server:")));
    lines.push(("", mapping.to_string()));
    if topic.options.partitioner != Partitioner::Nats {
        lines.push((
            "",
            "`siltstone publish` sends a key to the same partition only with --partitioner nats".to_owned(),
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use common::TopicName;
    use common::config::QueueType;

    use super::*;

    #[test]
    fn a_topic_of_several_partitions_has_a_mapping_and_the_partitioner_that_agrees_with_it() {
        let nats = Settings { queue_type: QueueType::Nats, ..Settings::default() };
        let mut topic = TopicDefinition::new(TopicName::new("t").expect("valid"), 1);
        assert_eq!(lines(&nats, &topic).len(), 1, "one partition needs no mapping");
        topic.partition_count = 2;
        let text = |topic: &TopicDefinition| {
            lines(&nats, topic).into_iter().map(|(label, line)| format!("{label}|{line}\n")).collect::<String>()
        };
        assert!(text(&topic).contains("spread keys|t.by-key.KEY"), "{}", text(&topic));
        assert!(text(&topic).contains(r#"|mappings: { "t.by-key.*": "t.{{partition(2,1)}}.{{wildcard(1)}}" }"#));
        assert!(text(&topic).contains("--partitioner nats"));
        topic.options.partitioner = Partitioner::Nats;
        assert!(!text(&topic).contains("--partitioner nats"), "it has it");
    }
}

//! Producing: where producers outside this process publish the messages of a topic.
//!
//! Owns: the answer for the configured queue. Does not own: a queue's own rules (`nats::subjects`).

use common::TopicDefinition;
use common::config::{QueueType, Settings};
use nats::subjects;
pub use nats::subjects::Mapping;

/// The subjects of one partition, for exact use. Empty for a bound stream that is read whole, and for a queue without
/// subjects.
pub fn subjects(settings: &Settings, topic: &TopicDefinition, partition_id: u32) -> Vec<String> {
    match settings.queue_type {
        QueueType::Memory => Vec::new(),
        QueueType::Nats => subjects::subjects(topic, partition_id),
    }
}

/// The place for new messages in one line for people.
pub fn place(settings: &Settings, topic: &TopicDefinition) -> String {
    match settings.queue_type {
        QueueType::Memory => format!("{} while `siltstone up` runs, with POST", records_url(settings, topic)),
        QueueType::Nats => subjects::summary(topic),
    }
}

/// The URL for records over HTTP.
pub fn records_url(settings: &Settings, topic: &TopicDefinition) -> String {
    format!("http://{}/v1/topics/{}/records", settings.ingest_addr, topic.name.encoded())
}

/// The line of a NATS server's configuration that spreads keys over the partitions of a topic with several.
pub fn mapping(settings: &Settings, topic: &TopicDefinition) -> Option<Mapping> {
    match settings.queue_type {
        QueueType::Memory => None,
        QueueType::Nats => subjects::mapping(topic),
    }
}

#[cfg(test)]
mod tests {
    use common::TopicName;

    use super::*;

    #[test]
    fn a_queue_in_memory_has_no_subjects_and_says_how_to_fill_it() {
        let topic = TopicDefinition::new(TopicName::new("orders").expect("valid"), 2);
        let memory = Settings { queue_type: QueueType::Memory, ..Settings::default() };
        let expected = "http://127.0.0.1:8081/v1/topics/orders/records while `siltstone up` runs, with POST";
        assert_eq!(place(&memory, &topic), expected);
        assert_eq!((subjects(&memory, &topic, 0), mapping(&memory, &topic)), (Vec::new(), None));
        let nats = Settings { queue_type: QueueType::Nats, ..Settings::default() };
        assert!(place(&nats, &topic).starts_with("orders.N"));
        assert_eq!(subjects(&nats, &topic, 1)[0], "orders.1");
        assert!(mapping(&nats, &topic).is_some());
    }
}

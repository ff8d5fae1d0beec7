//! Which subjects count as read.

use catalog::TopicConfig;
use common::TopicName;
use common::topic::TopicOptions;

use super::*;

fn topic(streams: &str) -> Topic {
    let options = serde_json::from_str::<TopicOptions>(&format!("{{\"streams\":{streams}}}")).expect("options");
    let partition_count = options.streams.len() as u32;
    let name = TopicName::new("t").expect("valid");
    let config = TopicConfig { name, partition_count, retention_ms: None, config: options };
    Topic {
        name: config.name,
        partition_count,
        retention_ms: None,
        config: config.config,
        schema_version: 1,
        created_at: 0,
        updated_at: 0,
    }
}

#[test]
fn a_subject_is_read_if_a_topic_of_its_stream_reads_it_whatever_made_that_topic() {
    let topics = [
        topic(r#"[{"stream":"LOGS","subjects":["logs.web"]},{"stream":"LOGS","subjects":["logs.eu.*","logs.a"]}]"#),
        topic(r#"[{"stream":"OTHER"}]"#),
        topic("[]"),
    ];
    let logs = Read::of(&topics, "LOGS");
    assert_eq!(logs.topics, 2);
    for (subject, expected) in
        [("logs.web", true), ("logs.eu.x", true), ("logs.a", true), ("logs.eu", false), ("logs.WEB", false)]
    {
        assert_eq!(logs.has(subject), expected, "{subject}");
    }
    assert!(Read::of(&topics, "OTHER").has("anything"), "a topic without filters reads all");
    let mut new = Read::of(&topics, "NEW");
    assert!(!new.has("logs.web") && new.topics == 0);
    new.add(&BoundStream { stream: "NEW".to_owned(), subjects: vec!["logs.web".to_owned()], from_offset: None });
    assert!(new.has("logs.web") && new.topics == 1, "what was just created is not created again");
}

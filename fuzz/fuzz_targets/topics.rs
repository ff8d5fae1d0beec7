//! Names of topics, and their options as JSON: any text is refused with a reason, or makes a topic that works.
//!
//! Owns: that a valid topic has a table, reads back as it is written, and decodes. Does not own: the rules (`common::topic`).
//!
//! The input is a name up to a line feed, and the options.
#![no_main]

use std::sync::Arc;

use common::topic::TopicOptions;
use common::{Message, TopicDefinition, TopicName};
use libfuzzer_sys::fuzz_target;
use writer::decode::{Source, TopicTable};

fuzz_target!(|input: &str| {
    let (name, options) = input.split_once('\n').unwrap_or((input, "{}"));
    let name = match TopicName::new(name) {
        Ok(valid) => {
            assert_eq!(valid.as_str(), name);
            let encoded = valid.encoded();
            assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-%".contains(&byte)), "{encoded}");
            valid
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            TopicName::new("t").expect("valid")
        }
    };
    let Ok(options) = serde_json::from_str::<TopicOptions>(options) else { return };
    let written = serde_json::to_string(&options).expect("options are JSON");
    assert_eq!(serde_json::from_str::<TopicOptions>(&written).expect("it was just written"), options);
    let partition_count = u32::try_from(options.streams.len()).unwrap_or(u32::MAX).max(1);
    let topic = TopicDefinition { name, partition_count, options };
    if let Err(error) = topic.validate() {
        assert!(!error.to_string().is_empty());
        return;
    }
    for partition_id in 0..partition_count.min(3) {
        _ = nats::subjects::subjects(&topic, partition_id);
    }
    let table = TopicTable::with_options(topic.options, 1);
    let message = Message {
        offset: 0,
        timestamp_us: 0,
        key: None,
        headers: Vec::new(),
        subject: Arc::from("t.0"),
        payload: b"{\"a\":1,\"b\":{\"c\":[\"2026-01-31T00:00:00Z\",null]}}".to_vec().into(),
        is_awaited: false,
    };
    let decoded = table.decode(Source::default(), &[message]);
    assert!(decoded.rows.is_some() != decoded.quarantine.is_some(), "the message is one record");
});

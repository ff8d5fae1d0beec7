//! A topic that is to be created, as it is written in JSON.
//!
//! Owns: the members that may be left out, and what they are then. Does not own: which topics are valid (`common::topic`),
//! creating one (`topics`).

use common::TopicName;
use common::topic::TopicOptions;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::model::TopicConfig;

/// A topic that is to be created, in the form in which topics are shown.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// One, or one per stream, when absent.
    #[serde(default)]
    pub partition_count: Option<u32>,
    /// Time for which segments are kept, in milliseconds; without end when absent.
    #[serde(default)]
    pub retention_ms: Option<u64>,
    /// Its options; with columns and without a format, the format is `json`.
    #[serde(default)]
    pub config: Map<String, Value>,
}

impl NewTopic {
    /// The topic with all of its options.
    ///
    /// # Errors
    /// The text names the first option that is not valid, and what is allowed.
    pub fn config(mut self) -> Result<TopicConfig, String> {
        if self.config.contains_key("columns") && !self.config.contains_key("format") {
            self.config.insert("format".to_owned(), json!("json"));
        }
        let options: TopicOptions =
            serde_json::from_value(Value::Object(self.config)).map_err(|error| format!("config: {error}"))?;
        // Ids belong to the topic that they were described of.
        let options = options.without_ids();
        let bound = u32::try_from(options.streams.len()).unwrap_or(u32::MAX);
        let config = TopicConfig {
            name: self.name,
            partition_count: self.partition_count.unwrap_or(bound.max(1)),
            retention_ms: self.retention_ms,
            config: options,
        };
        config.validate().map_err(|error| error.to_string())?;
        Ok(config)
    }
}

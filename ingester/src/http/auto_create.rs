//! Topics that are created by the first request with records for them.
//!
//! Owns: the rules, read from the file that `AUTO_CREATE` names, and the creation, of which several processes may be at work
//! at once. Does not own: which topics are valid (`common::topic`), the form of a topic in JSON (`topics`).

use common::TopicName;
use common::config::{InvalidSetting, Settings};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Api;
use super::error::{ApiError, Code};
use super::topics::NewTopic;
use crate::error::ProducerError;
use crate::topics::KnownTopic;

/// The name in the place of which a rule is checked when it is read.
const PROBE: &str = "topic";

/// Which topics are created, and with which options; by default none.
#[derive(Clone, Debug, Default)]
pub struct AutoCreate {
    rules: Vec<Rule>,
}

/// Topics of some names, and their options.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// A name, or the beginning of names followed by `*`.
    topics: String,
    #[serde(default)]
    partition_count: Option<u32>,
    #[serde(default)]
    retention_ms: Option<u64>,
    #[serde(default)]
    config: Map<String, Value>,
}

impl AutoCreate {
    /// The rules that the settings name.
    ///
    /// # Errors
    /// If the file cannot be read or holds an invalid rule; the text names the setting, the file and the rule.
    pub fn of(settings: &Settings) -> Result<Self, InvalidSetting> {
        let Some(path) = &settings.auto_create else { return Ok(Self::default()) };
        let refused = |reason: String| InvalidSetting::new(format!("AUTO_CREATE={}: {reason}", path.display()));
        let text =
            std::fs::read_to_string(path).map_err(|error| refused(format!("the file cannot be read: {error}")))?;
        Self::parse(&text).map_err(refused)
    }

    /// The rules of a JSON text, which is an array of objects; the error names the first invalid one, and why.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let form = r#"allowed is an array such as [{"topics":"logs-*","partition_count":3,"config":{}}]"#;
        let rules: Vec<Rule> = serde_json::from_str(text).map_err(|error| format!("{error}; {form}"))?;
        if rules.is_empty() {
            return Err(format!("there is no rule; {form}"));
        }
        for (number, rule) in (1..).zip(&rules) {
            rule.check().map_err(|reason| format!("rule {number} ({:?}): {reason}", rule.topics))?;
        }
        Ok(Self { rules })
    }

    /// The topic of this name by the first rule that has it.
    fn topic(&self, name: &TopicName) -> Option<NewTopic> {
        self.rules.iter().find(|rule| rule.has(name.as_str())).map(|rule| rule.topic(name.clone()))
    }

    fn names(&self) -> String {
        self.rules.iter().map(|rule| rule.topics.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl Rule {
    fn has(&self, name: &str) -> bool {
        match self.topics.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => self.topics == name,
        }
    }

    fn topic(&self, name: TopicName) -> NewTopic {
        let Self { partition_count, retention_ms, ref config, .. } = *self;
        NewTopic { name, partition_count, retention_ms, config: config.clone() }
    }

    fn check(&self) -> Result<(), String> {
        let beginning = self.topics.strip_suffix('*').unwrap_or(&self.topics);
        if beginning.contains('*') {
            return Err("allowed is a name, or the beginning of names followed by one *".to_owned());
        }
        // A beginning may be empty, or end where a name may not.
        let name = if self.topics.ends_with('*') { format!("{beginning}{PROBE}") } else { beginning.to_owned() };
        let name = TopicName::new(name).map_err(|error| error.to_string())?;
        let config = self.topic(name).config().map_err(|error| error.message)?;
        match config.config.streams.is_empty() {
            true => Ok(()),
            false => {
                Err("config.streams: a stream that exists belongs to one topic, which is created by hand".to_owned())
            }
        }
    }
}

/// The topic, created if it is absent and a rule has its name.
pub(super) async fn known(api: &Api, name: &TopicName) -> Result<KnownTopic, ApiError> {
    let absent = match api.producer.topics().get(name).await {
        Err(ProducerError::TopicNotFound(absent)) => absent,
        known => return Ok(known?),
    };
    let Some(topic) = api.auto_create.topic(&absent) else {
        let names = api.auto_create.names();
        return Err(match names.as_str() {
            "" => ApiError::topic_not_found(name.as_str()),
            names => ApiError::new(
                Code::TopicNotFound,
                format!("topic {name} does not exist; create it first: AUTO_CREATE allows {names}"),
            ),
        });
    };
    let created = catalog::create_topic(api.queue.as_ref(), api.catalog.as_ref(), topic.config()?).await;
    match (created, api.producer.topics().get(name).await) {
        (Ok(_), known) => {
            tracing::info!(topic = %name, "topic created at its first request with records");
            Ok(known?)
        }
        // Another request was first; its topic is as good.
        (Err(_), Ok(known)) => Ok(known),
        (Err(error), Err(_)) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> AutoCreate {
        let text = r#"[{"topics":"logs-*","partition_count":3,"config":{"columns":[{"name":"at","type":"timestamp_ms"}]}},
                       {"topics":"clicks","config":{"format":"raw"}}, {"topics":"logs-x"}]"#;
        AutoCreate::parse(text).expect("valid rules")
    }

    #[test]
    fn the_first_rule_that_has_a_name_gives_the_options() {
        let config = |name: &str| {
            let topic = rules().topic(&TopicName::new(name).expect("a name"))?;
            let config = topic.config().expect("valid");
            Some((config.partition_count, config.config.format.to_string(), config.config.columns.len()))
        };
        assert_eq!(config("logs-x"), Some((3, "json".to_owned(), 1)));
        assert_eq!(config("logs-"), Some((3, "json".to_owned(), 1)));
        assert_eq!(config("clicks"), Some((1, "raw".to_owned(), 0)));
        assert_eq!((config("clicks2"), config("log"), config("LOGS-a")), (None, None, None));
        let all = AutoCreate::parse(r#"[{"topics":"*"}]"#).expect("valid");
        assert!(all.topic(&TopicName::new("anything").expect("a name")).is_some());
        assert!(AutoCreate::default().topic(&TopicName::new("anything").expect("a name")).is_none());
    }

    #[test]
    fn an_invalid_rule_is_named_with_its_reason() {
        for (text, part) in [
            ("{}", "allowed is an array"),
            ("[]", "there is no rule"),
            (r#"[{"partition_count":1}]"#, "missing field `topics`"),
            (r#"[{"topics":"a","partitions":1}]"#, "unknown field `partitions`"),
            (r#"[{"topics":"a"},{"topics":"a*b"}]"#, "rule 2 (\"a*b\"): allowed is a name"),
            (r#"[{"topics":"a*b*"}]"#, "followed by one *"),
            (r#"[{"topics":""}]"#, "rule 1 (\"\")"),
            (r#"[{"topics":"a","partition_count":0}]"#, "1..=100000"),
            (r#"[{"topics":"a","config":{"format":"json"}}]"#, "at least one column"),
            (r#"[{"topics":"a","config":{"streams":[{"stream":"S"}]}}]"#, "config"),
        ] {
            let error = AutoCreate::parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}

//! Topics that are created without being asked for: the rules.
//!
//! Owns: the file that `AUTO_CREATE` names, and the topic that a rule gives. Does not own: the moment of creation (a request
//! with records, crate `ingester`; a look at the subjects of a stream, crate `writer`), which topics are valid
//! (`common::topic`).

mod by_subject;

use common::TopicName;
use common::config::{InvalidSetting, Settings};
use serde::Deserialize;
use serde_json::{Map, Value};

pub use self::by_subject::SubjectRule;
use crate::new_topic::NewTopic;

/// The name in the place of which a rule is checked when it is read.
const PROBE: &str = "topic";

/// Which topics are created, and with which options; by default none.
#[derive(Clone, Debug, Default)]
pub struct AutoCreate {
    by_name: Vec<NameRule>,
    by_subject: Vec<SubjectRule>,
}

/// Topics of some names, and their options.
#[derive(Clone, Debug)]
struct NameRule {
    /// A name, or the beginning of names followed by `*`.
    topics: String,
    options: Options,
}

/// A rule as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    topics: Option<String>,
    stream: Option<String>,
    subjects: Option<String>,
    name: Option<String>,
    topics_max: Option<u32>,
    partition_count: Option<u32>,
    retention_ms: Option<u64>,
    #[serde(default)]
    config: Map<String, Value>,
}

/// What a rule says of the topics themselves.
#[derive(Clone, Debug)]
struct Options {
    partition_count: Option<u32>,
    retention_ms: Option<u64>,
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

    /// The rules of a JSON text, which is an array of objects.
    ///
    /// # Errors
    /// The text names the first invalid rule, and why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = r#"allowed is an array such as [{"topics":"logs-*","partition_count":3,"config":{}}]"#;
        let written: Vec<Written> = serde_json::from_str(text).map_err(|error| format!("{error}; {form}"))?;
        if written.is_empty() {
            return Err(format!("there is no rule; {form}"));
        }
        let mut rules = Self::default();
        for (number, rule) in (1..).zip(written) {
            let shown = rule.topics.clone().or(rule.subjects.clone()).unwrap_or_default();
            rules.add(rule).map_err(|reason| format!("rule {number} ({shown:?}): {reason}"))?;
        }
        Ok(rules)
    }

    fn add(&mut self, rule: Written) -> Result<(), String> {
        let Written { topics, stream, subjects, name, topics_max, partition_count, retention_ms, config } = rule;
        let options = Options { partition_count, retention_ms, config };
        match (topics, stream, subjects, name) {
            (Some(topics), None, None, None) if topics_max.is_none() => {
                self.by_name.push(NameRule::checked(topics, options)?);
            }
            (None, Some(stream), Some(subjects), Some(name)) => {
                let rule = SubjectRule::checked(stream, subjects, name, topics_max, options)?;
                self.by_subject.push(rule);
            }
            (None, None, None, None) => {
                return Err("missing field `topics`, or `stream` with `subjects` and `name`".to_owned());
            }
            _ => {
                return Err(
                    "allowed is `topics` by itself, or `stream`, `subjects` and `name`, with `topics_max`".to_owned()
                );
            }
        }
        Ok(())
    }

    /// The topic of this name by the first rule that has it.
    pub fn topic(&self, name: &TopicName) -> Option<NewTopic> {
        self.by_name.iter().find(|rule| rule.has(name.as_str())).map(|rule| rule.options.topic(name.clone()))
    }

    /// The names of the rules, for people; empty if there are none.
    pub fn names(&self) -> String {
        self.by_name.iter().map(|rule| rule.topics.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The rules for subjects, in order.
    pub fn by_subject(&self) -> &[SubjectRule] {
        &self.by_subject
    }
}

impl NameRule {
    fn checked(topics: String, options: Options) -> Result<Self, String> {
        let beginning = topics.strip_suffix('*').unwrap_or(&topics);
        if beginning.contains('*') {
            return Err("allowed is a name, or the beginning of names followed by one *".to_owned());
        }
        // A beginning may be empty, or end where a name may not.
        let name = if topics.ends_with('*') { format!("{beginning}{PROBE}") } else { beginning.to_owned() };
        let name = TopicName::new(name).map_err(|error| error.to_string())?;
        let config = options.topic(name).config()?;
        match config.config.streams.is_empty() {
            true => Ok(Self { topics, options }),
            false => {
                Err("config.streams: a stream that exists is bound by `stream`, `subjects` and `name`, or by hand"
                    .to_owned())
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        match self.topics.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => self.topics == name,
        }
    }
}

impl Options {
    fn topic(&self, name: TopicName) -> NewTopic {
        let Self { partition_count, retention_ms, ref config } = *self;
        NewTopic { name, partition_count, retention_ms, config: config.clone() }
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
        assert_eq!(rules().names(), "logs-*, clicks, logs-x");
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
            (r#"[{"topics":"a","topics_max":5}]"#, "allowed is `topics` by itself"),
            (r#"[{"stream":"S","subjects":"a.*"}]"#, "allowed is `topics` by itself"),
        ] {
            let error = AutoCreate::parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}

//! Topics for the subjects of a stream that exists.
//!
//! Owns: the rule: which subjects, how the topic of each is called, and how many there may be. Does not own: the look at
//! the stream (crate `writer`).

use common::TopicName;
use common::subject::SubjectPattern;
use common::topic::BoundStream;

use super::{Options, PROBE};
use crate::model::TopicConfig;

/// Topics that one rule makes at most, unless it says otherwise: each client that may publish can make one of each subject.
const TOPICS_MAX: u32 = 1_000;
const TOPICS_ALLOWED: std::ops::RangeInclusive<u32> = 1..=100_000;

/// Each subject of a stream that matches a pattern is a topic of one partition, which reads the stream from its beginning.
#[derive(Clone, Debug)]
pub struct SubjectRule {
    stream: String,
    subjects: SubjectPattern,
    /// The name of a topic, with `{1}` for what the first wildcard stands for, and so on.
    name: String,
    topics_max: u32,
    options: Options,
}

impl SubjectRule {
    pub(super) fn checked(
        stream: String,
        subjects: String,
        name: String,
        topics_max: Option<u32>,
        options: Options,
    ) -> Result<Self, String> {
        let subjects = SubjectPattern::new(subjects).map_err(|error| error.to_string())?;
        let topics_max = topics_max.unwrap_or(TOPICS_MAX);
        if !TOPICS_ALLOWED.contains(&topics_max) {
            let (least, most) = (TOPICS_ALLOWED.start(), TOPICS_ALLOWED.end());
            return Err(format!("topics_max {topics_max} is not in {least}..={most}"));
        }
        if options.partition_count.is_some_and(|count| count != 1) {
            return Err("partition_count: a topic of one subject has one partition; leave it out".to_owned());
        }
        if options.config.contains_key("streams") {
            return Err("config.streams: the rule itself names the stream; leave it out".to_owned());
        }
        let rule = Self { stream, subjects, name, topics_max, options };
        rule.check_name()?;
        rule.named(&vec![PROBE; rule.subjects.wildcards()], PROBE)?;
        Ok(rule)
    }

    /// Two subjects must not have one name, as far as the rule alone can tell.
    fn check_name(&self) -> Result<(), String> {
        let wildcards = self.subjects.wildcards();
        let absent = (1..=wildcards).map(placeholder).find(|place| !self.name.contains(place));
        if let Some(place) = absent {
            return Err(format!("name {:?} must hold {place}, so that each subject has a topic of its own", self.name));
        }
        let others = (1..=wildcards).fold(self.name.clone(), |name, number| name.replace(&placeholder(number), " "));
        match others.contains(['{', '}']) {
            true => {
                Err(format!("name {:?}: allowed in braces are the numbers of wildcards, 1 to {wildcards}", self.name))
            }
            false => Ok(()),
        }
    }

    /// The stream.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The pattern of its subjects.
    pub fn subjects(&self) -> &SubjectPattern {
        &self.subjects
    }

    /// Most topics that are bound to the stream, whoever made them, before no more are created.
    pub fn topics_max(&self) -> u32 {
        self.topics_max
    }

    /// The topic of a subject; `None` if it does not match the pattern.
    ///
    /// # Errors
    /// The subject gives no valid name.
    pub fn topic(&self, subject: &str) -> Option<Result<TopicConfig, String>> {
        self.subjects.parts(subject).map(|parts| self.named(&parts, subject))
    }

    fn named(&self, parts: &[&str], subject: &str) -> Result<TopicConfig, String> {
        // In one pass: a part may itself look like a placeholder.
        let mut name = String::new();
        let mut rest = self.name.as_str();
        while let Some((before, behind)) = rest.split_once('{') {
            let (number, behind) = behind.split_once('}').expect("braces were checked");
            let part = number.parse::<usize>().ok().and_then(|number| parts.get(number.checked_sub(1)?));
            name.push_str(before);
            name.push_str(part.expect("numbers were checked"));
            rest = behind;
        }
        name.push_str(rest);
        let name = TopicName::new(name).map_err(|error| error.to_string())?;
        let mut config = self.options.topic(name).config()?;
        let subjects = vec![subject.to_owned()];
        config.config.streams = vec![BoundStream { stream: self.stream.clone(), subjects, from_offset: None }];
        Ok(config)
    }
}

fn placeholder(number: usize) -> String {
    format!("{{{number}}}")
}

#[cfg(test)]
mod tests {
    use super::super::AutoCreate;

    const COLUMNS: &str = r#""config":{"columns":[{"name":"n","type":"int64"}]}"#;

    #[test]
    fn a_subject_that_matches_is_a_topic_of_its_stream() {
        let text = format!(r#"[{{"stream":"LOGS","subjects":"logs.*.>","name":"{{2}}-of-{{1}}",{COLUMNS}}}]"#);
        let rules = AutoCreate::parse(&text).expect("valid");
        let [rule] = rules.by_subject() else { panic!("one rule") };
        assert_eq!((rule.stream(), rule.subjects().as_str(), rule.topics_max()), ("LOGS", "logs.*.>", 1_000));
        let topic = rule.topic("logs.web.eu.{1}").expect("it matches").expect("valid");
        assert_eq!(topic.name.as_str(), "eu.{1}-of-web");
        assert_eq!((topic.partition_count, topic.config.columns.len()), (1, 1));
        let [bound] = &topic.config.streams[..] else { panic!("one stream") };
        assert_eq!((bound.stream.as_str(), &bound.subjects[..]), ("LOGS", &["logs.web.eu.{1}".to_owned()][..]));
        assert_eq!(bound.from_offset, None, "from its beginning");
        assert!(rule.topic("logs.web").is_none() && rule.topic("metrics.a.b").is_none());
        let long = format!("logs.web.{}", "x".repeat(300));
        assert!(rule.topic(&long).expect("it matches").expect_err("too long").contains("longer than 200 bytes"));
        assert!(rules.names().is_empty(), "a request over HTTP creates none of them");
    }

    #[test]
    fn an_invalid_rule_is_named_with_its_reason() {
        for (rule, part) in [
            (r#""subjects":"a b","name":"x""#, "no pattern of subjects"),
            (r#""subjects":"a.*","name":"x""#, "must hold {1}"),
            (r#""subjects":"a.*.*","name":"{1}""#, "must hold {2}"),
            (r#""subjects":"a.*","name":"{1}{2}""#, "1 to 1"),
            (r#""subjects":"a.*","name":"{1}}""#, "1 to 1"),
            (r#""subjects":"a.*.*","name":"{{1}2}{2}""#, "1 to 2"),
            (r#""subjects":"a.*","name":"{1}","topics_max":0"#, "1..=100000"),
            (r#""subjects":"a.*","name":"{1}","partition_count":2"#, "one partition"),
            (r#""subjects":"a.*","name":"{1}","config":{"streams":[]}"#, "the rule itself names the stream"),
            (r#""subjects":"a.*","name":"{1}","config":{"format":"json"}"#, "at least one column"),
            (r#""subjects":"a.*","name":"{1}","topics":"a""#, "allowed is `topics` by itself"),
            (r#""subjects":"a","name":"""#, "empty"),
        ] {
            let text = format!(r#"[{{"stream":"S",{rule}}}]"#);
            let error = AutoCreate::parse(&text).expect_err(rule);
            assert!(error.contains(part), "{rule}: {error}");
        }
    }
}

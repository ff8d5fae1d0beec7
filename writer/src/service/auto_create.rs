//! Topics for the subjects of streams, by the rules of `AUTO_CREATE`.
//!
//! Owns: looking at the subjects, and creating a topic for each that no topic reads. Does not own: the rules
//! (`catalog::AutoCreate`), taking the partitions over (`ownership`).
//!
//! Several writers may look at once: one of them creates a topic, and the others find it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use catalog::{AutoCreate, CatalogError, CreateTopicError, MetadataStore, SubjectRule, Topic, TopicConfig};
use common::Queue;
use common::subject::SubjectPattern;
use common::topic::BoundStream;
use tokio::sync::Notify;

use crate::pipeline::context::Context;

/// Different texts that are remembered, so that each is logged once.
const TOLD_MAX: usize = 1_000;

/// Creates topics for subjects.
#[derive(Debug)]
pub(crate) struct SubjectWatch {
    queue: Arc<dyn Queue>,
    catalog: Arc<dyn MetadataStore>,
    rules: AutoCreate,
    /// Time between two looks.
    interval: Duration,
    /// Wakes the look at the catalog's topics.
    refresh: Arc<Notify>,
    /// The troubles that were logged.
    told: HashSet<String>,
}

/// The subjects of one stream that topics read.
#[derive(Debug, Default)]
struct Read {
    topics: u32,
    /// A topic reads all of them.
    all: bool,
    plain: HashSet<String>,
    patterns: Vec<SubjectPattern>,
}

impl SubjectWatch {
    /// A watch that looks as often as writers look at the catalog's topics.
    pub(crate) fn new(context: &Context, rules: AutoCreate, refresh: Arc<Notify>) -> Self {
        Self {
            queue: Arc::clone(&context.queue),
            catalog: Arc::clone(&context.catalog),
            rules,
            interval: context.config.lease / 3,
            refresh,
            told: HashSet::new(),
        }
    }

    /// Looks again and again. Never returns.
    pub(crate) async fn run(mut self) {
        loop {
            self.look().await;
            tokio::time::sleep(self.interval).await;
        }
    }

    async fn look(&mut self) {
        let topics = match self.catalog.list_topics().await {
            Ok(topics) => topics,
            Err(error) => return self.tell(format!("the topics cannot be listed: {error}")),
        };
        let rules = self.rules.clone();
        for rule in rules.by_subject() {
            let subjects = match self.queue.subjects(rule.stream(), rule.subjects().as_str()).await {
                Ok(subjects) => subjects,
                Err(error) => {
                    self.tell(format!("the subjects of stream {} cannot be listed: {error}", rule.stream()));
                    continue;
                }
            };
            let mut read = Read::of(&topics, rule.stream());
            for subject in subjects {
                self.create_for(rule, &subject, &mut read).await;
            }
        }
    }

    /// Creates the topic of a subject that no topic reads.
    async fn create_for(&mut self, rule: &SubjectRule, subject: &str, read: &mut Read) {
        if read.has(subject) {
            return;
        }
        let stream = rule.stream();
        let config = match rule.topic(subject) {
            None => return,
            Some(Err(reason)) => return self.tell(format!("subject {subject} of stream {stream}: {reason}")),
            Some(Ok(config)) => config,
        };
        if read.topics >= rule.topics_max() {
            let most = rule.topics_max();
            return self.tell(format!("stream {stream} has {most} topics, which is topics_max: no more are created"));
        }
        match self.created(config.clone()).await {
            Ok(is_new) => {
                read.add(&config.config.streams[0]);
                if is_new {
                    tracing::info!(topic = %config.name, stream, subject, "topic created for a subject");
                    self.refresh.notify_one();
                }
            }
            Err(reason) => self.tell(format!("no topic for subject {subject} of stream {stream}: {reason}")),
        }
    }

    /// True if the topic was created, false if it is there as another writer made it.
    async fn created(&self, config: TopicConfig) -> Result<bool, String> {
        let (name, streams) = (config.name.clone(), config.config.streams.clone());
        match catalog::create_topic(self.queue.as_ref(), self.catalog.as_ref(), config).await {
            Ok(_) => Ok(true),
            Err(CreateTopicError::Catalog(CatalogError::TopicAlreadyExists(_))) => {
                match self.catalog.get_topic(&name).await {
                    Ok(Some(topic)) if topic.config.streams == streams => Ok(false),
                    Ok(_) => Err(format!("topic {name} exists and reads something else")),
                    Err(error) => Err(error.to_string()),
                }
            }
            Err(error) => Err(match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            }),
        }
    }

    /// Logs a trouble once.
    fn tell(&mut self, trouble: String) {
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        if self.told.insert(trouble.clone()) {
            tracing::warn!(%trouble, "AUTO_CREATE");
        }
    }
}

impl Read {
    fn of(topics: &[Topic], stream: &str) -> Self {
        let mut read = Self::default();
        let bound = topics.iter().flat_map(|topic| &topic.config.streams);
        bound.filter(|bound| bound.stream == stream).for_each(|bound| read.add(bound));
        read
    }

    fn add(&mut self, bound: &BoundStream) {
        self.topics += 1;
        self.all |= bound.subjects.is_empty();
        for subject in &bound.subjects {
            match SubjectPattern::new(subject.as_str()) {
                Ok(pattern) if pattern.wildcards() > 0 => self.patterns.push(pattern),
                _ => drop(self.plain.insert(subject.clone())),
            }
        }
    }

    fn has(&self, subject: &str) -> bool {
        self.all || self.plain.contains(subject) || self.patterns.iter().any(|held| held.parts(subject).is_some())
    }
}

#[cfg(test)]
mod tests;

//! Topics: the catalog's topics that this writer works on, opened in the queue, with their current tables.
//!
//! Owns: opening, following changed schemas, ending the pipelines of a deleted topic.
//! Does not own: partitions (`supervise`).

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{Agent, Ownership, Scope, Topic};
use common::{Incarnation, TopicName};
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::pipeline::context::Context;
use crate::pipeline::tables::TopicTables;
use crate::service::status::StatusBoard;

/// A topic that the queue can serve.
pub(crate) struct OpenTopic {
    pub(crate) tables: Arc<TopicTables>,
    /// True if every offset of its streams belongs to its partitions.
    pub(crate) dense: bool,
    /// Offset at which the reading of each partition begins in its first history, by number.
    starts: Vec<u64>,
    /// Ends its pipelines.
    pub(crate) gone: CancellationToken,
}

/// The topics of this writer.
pub(crate) struct Topics {
    context: Arc<Context>,
    board: StatusBoard,
    stop: CancellationToken,
    /// Only these topics; all if empty.
    pub(crate) wanted: Vec<TopicName>,
    open: BTreeMap<TopicName, OpenTopic>,
}

impl Topics {
    pub(crate) fn new(
        context: Arc<Context>,
        board: StatusBoard,
        stop: CancellationToken,
        wanted: Vec<TopicName>,
    ) -> Self {
        Self { context, board, stop, wanted, open: BTreeMap::new() }
    }

    pub(crate) fn get(&self, name: &TopicName) -> Option<&OpenTopic> {
        self.open.get(name)
    }

    /// Opens new topics, passes changed schemas to pipelines, and ends the pipelines of deleted topics.
    pub(crate) async fn follow(&mut self, topics: &[Topic]) {
        let is_listed = |name: &TopicName, open: &OpenTopic| {
            topics.iter().any(|topic| topic.name == *name && topic.created_at == open.tables.created_at)
        };
        for (name, open) in self.open.extract_if(.., |name, open| !is_listed(name, open)) {
            tracing::info!(topic = %name, "topic deleted, its partitions are given up");
            open.gone.cancel();
            self.context.queue.close_topic(&name, open.tables.created_at).await;
        }
        self.board.keep_topics(|name| topics.iter().any(|topic| topic.name == *name));
        for topic in topics {
            if !self.wanted.is_empty() && !self.wanted.contains(&topic.name) {
                continue;
            }
            match self.open.get(&topic.name) {
                Some(open) => open.tables.update(topic),
                None => self.open(topic).await,
            }
        }
    }

    async fn open(&mut self, topic: &Topic) {
        match self.try_open(topic).await {
            Ok(()) => {
                self.board.clear(&(topic.name.clone(), None));
                let open = OpenTopic {
                    tables: TopicTables::new(topic),
                    starts: topic.config.streams.iter().map(|stream| stream.from_offset.unwrap_or(0)).collect(),
                    dense: topic.config.streams.iter().all(|stream| stream.subjects.is_empty()),
                    gone: self.stop.child_token(),
                };
                self.open.insert(topic.name.clone(), open);
            }
            Err(error) => {
                tracing::error!(topic = %topic.name, %error, "topic cannot be opened, trying again later");
                self.board.trouble((topic.name.clone(), None), error.to_string());
            }
        }
    }

    async fn try_open(&self, topic: &Topic) -> Result<()> {
        let partitions = self.context.catalog.list_partitions(&topic.name).await?;
        Ok(catalog::open_topic(self.context.queue.as_ref(), topic, &partitions).await?)
    }

    /// The agent row to publish: this writer's scope, limited to the topics that it could open. `None` if it could open
    /// none, so that no other writer leaves a partition to it.
    pub(crate) fn advertise(&self, agent: &Agent, topics: &[Topic]) -> Option<Agent> {
        let wanted = |topic: &&Topic| self.wanted.is_empty() || self.wanted.contains(&topic.name);
        let able = |topic: &&Topic| self.open.contains_key(&topic.name);
        if topics.iter().filter(wanted).all(|topic| able(&topic)) {
            return Some(agent.clone());
        }
        let able: Vec<TopicName> = topics.iter().filter(wanted).filter(able).map(|topic| topic.name.clone()).collect();
        (!able.is_empty()).then(|| Agent { scope: Scope::Only(able), ..agent.clone() })
    }
}

impl OpenTopic {
    /// The offset below which nothing is read of an owned partition. It was chosen in the first history of the queue, and
    /// says nothing of another one.
    pub(crate) fn start_of(&self, held: &Ownership) -> u64 {
        if held.incarnation != Incarnation::default() {
            return 0;
        }
        self.starts.get(held.partition.partition_id as usize).copied().unwrap_or(0)
    }
}

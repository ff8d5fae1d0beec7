//! The set-up of a bench: queue, topic, store and catalog, and their removal afterwards.
//!
//! Owns: the start of every run at watermark 0, on a topic that no catalog in use depends on.
//! Does not own: the measurements.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use catalog::{MetadataStore, TopicConfig};
use common::clock::{Clock, SystemClock};
use common::config::{Settings, StorageType};
use common::{Queue, TopicName, TopicPartition};
use service::connect;

use super::figures::Setup;
use super::load;
use super::measure::Hardware;
use crate::commands::topic::create_topic;
use crate::opened::with_new_catalog;

/// Room of a memory queue beyond the messages.
const QUEUE_SLACK_BYTES: usize = 64 * 1024 * 1024;

/// A prepared bench.
#[derive(Debug)]
pub(super) struct Bench {
    /// The settings that everything runs with.
    pub(super) settings: Settings,
    /// The topic that is read.
    pub(super) topic: TopicConfig,
    /// Further topics of the same shape, of `--many-topics`.
    others: Vec<TopicConfig>,
    /// Bytes of each payload that is published.
    pub(super) payload_bytes: usize,
    /// True when the topic belongs to this bench and is deleted with it.
    own_topic: bool,
    /// True when the run's catalog is a file of this bench; else it is the configured one.
    own_catalog: bool,
    run_dir: PathBuf,
    /// The durable queue, connected once; a memory queue is new in every run.
    durable: Option<Arc<dyn Queue>>,
}

impl Bench {
    /// Connects, makes the topic if needed, and the run's own directory.
    pub(super) async fn prepare(args: &super::Args, settings: Settings) -> anyhow::Result<Self> {
        let name = format!("bench-{}", SystemClock.now_ms());
        let run_dir = settings.storage_path.join("bench").join(&name);
        std::fs::create_dir_all(&run_dir).with_context(|| run_dir.display().to_string())?;
        let own_catalog = settings.catalog_url.is_none() || args.topic.is_some();
        let mut settings = settings;
        let durable = if connect::is_shared(&settings) { Some(connect::queue(&settings).await?) } else { None };
        let partition_count = args.many_partitions.map_or(args.partitions, |partitions| partitions / args.many_topics);
        let config = |name: TopicName| load::topic(name, partition_count, args.format);
        let topic = match (&args.topic, &durable) {
            (Some(name), Some(queue)) => given_topic(name, config(name.clone()), queue.as_ref(), &settings).await?,
            _ => config(TopicName::new(&name)?),
        };
        let payload_bytes = args.size as usize;
        match &durable {
            Some(queue) if args.topic.is_none() => queue.create_topic(&topic.definition()).await?,
            Some(_) => {}
            None => settings.queue_memory_bytes = memory_queue_bytes(args, &settings),
        }
        if settings.storage_type == StorageType::Local && settings.storage_url.is_none() {
            settings.storage_path.clone_from(&run_dir);
        }
        let own_topic = args.topic.is_none();
        Ok(Self { settings, topic, others: Vec::new(), payload_bytes, own_topic, own_catalog, run_dir, durable })
    }

    /// True when messages outlive a run.
    pub(super) fn queue_is_durable(&self) -> bool {
        self.durable.is_some()
    }

    /// The queue of the next run, with the topic open.
    pub(super) async fn queue(&self) -> anyhow::Result<Arc<dyn Queue>> {
        let queue = match &self.durable {
            Some(queue) => Arc::clone(queue),
            None => connect::queue(&self.settings).await?,
        };
        for topic in self.topics() {
            let watermarks = vec![0; topic.partition_count as usize];
            queue.open_topic(&topic.definition(), None, &watermarks).await?;
        }
        Ok(queue)
    }

    /// The offset after the last message of each partition.
    pub(super) async fn ends(&self, queue: &dyn Queue) -> anyhow::Result<Vec<u64>> {
        let mut ends = Vec::new();
        for partition in self.partitions() {
            let bounds = queue.bounds(&partition).await?;
            ends.push(if bounds.first_offset == bounds.next_offset { 0 } else { bounds.next_offset });
        }
        Ok(ends)
    }

    /// The topic that is read, and those of `--many-topics`.
    pub(super) fn topics(&self) -> impl Iterator<Item = &TopicConfig> {
        std::iter::once(&self.topic).chain(&self.others)
    }

    /// The partitions of all topics.
    pub(super) fn partitions(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        self.topics().flat_map(|topic| (0..topic.partition_count).map(|id| TopicPartition::new(topic.name.clone(), id)))
    }

    /// A catalog in which the topic is new, at watermark 0.
    pub(super) async fn fresh_catalog(&self) -> anyhow::Result<Arc<dyn MetadataStore>> {
        let mut settings = self.settings.clone();
        if self.own_catalog {
            (settings.catalog_url, settings.storage_path) = (None, self.run_dir.clone());
        }
        let catalog = connect::catalog(&settings).await?;
        for topic in self.topics() {
            catalog.create_topic(topic.clone()).await?;
        }
        Ok(catalog)
    }

    /// Removes the topics from a catalog again.
    pub(super) async fn forget(&self, catalog: Arc<dyn MetadataStore>) -> anyhow::Result<()> {
        let mut deleted = Ok(());
        for topic in self.topics() {
            deleted = deleted.and(catalog.delete_topic(&topic.name).await);
        }
        catalog.close().await;
        Ok(deleted?)
    }

    /// The same set-up with so many empty topics of its own, for live messages.
    pub(super) async fn live_bench(&self, topics: u32) -> anyhow::Result<Self> {
        let now_ms = SystemClock.now_ms();
        let named = |number: u32| -> anyhow::Result<TopicConfig> {
            let mut topic = self.topic.clone();
            topic.name = TopicName::new(format!("bench-live-{now_ms}-{number}"))?;
            topic.config.streams.clear();
            Ok(topic)
        };
        let topic = named(0)?;
        let others = (1..topics).map(named).collect::<anyhow::Result<_>>()?;
        if let Some(queue) = &self.durable {
            queue.create_topic(&topic.definition()).await?;
        }
        Ok(Self {
            settings: self.settings.clone(),
            topic,
            others,
            payload_bytes: self.payload_bytes,
            own_topic: true,
            own_catalog: self.own_catalog,
            run_dir: self.run_dir.clone(),
            durable: self.durable.clone(),
        })
    }

    /// Deletes the topic's messages, if the topic is this bench's own.
    pub(super) async fn drop_topic(&self) -> anyhow::Result<()> {
        if let Some(queue) = self.durable.as_ref().filter(|_| self.own_topic) {
            queue.delete_topic(&self.topic.definition()).await?;
        }
        Ok(())
    }

    /// Removes what the bench made; with `keep`, the directory stays.
    pub(super) async fn clean_up(&self, keep: bool) -> anyhow::Result<()> {
        self.drop_topic().await?;
        if !keep {
            tokio::fs::remove_dir_all(&self.run_dir).await?;
        }
        Ok(())
    }

    /// The conditions that a reader of the figures must know.
    pub(super) fn describe(&self) -> Setup {
        let settings = &self.settings;
        let local = settings.storage_type == StorageType::Local && settings.storage_url.is_none();
        let storage = match &settings.storage_url {
            Some(url) => url.to_string(),
            None => settings.storage_type.as_str().to_owned(),
        };
        Setup {
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            hardware: Hardware::read(),
            queue: if self.queue_is_durable() {
                format!("nats {} (its server's CPU is not counted)", connect::queue_place(settings))
            } else {
                connect::queue_place(settings)
            },
            store: format!(
                "{storage}, {}",
                if local { "fsync of file and directory" } else { "durable when the store says so" }
            ),
            catalog: match (self.own_catalog, &settings.catalog_url) {
                (false, Some(url)) => url.to_string(),
                _ => "sqlite, synchronous=full".to_owned(),
            },
            format: self.topic.config.format.to_string(),
            // A format with fixed columns has one of them.
            columns: self.topic.config.columns.len().max(1),
            payload_bytes: self.payload_bytes as u64,
            partitions: self.topic.partition_count,
            flush_interval_secs: settings.flush_interval_secs,
            segment_bytes_max: settings.max_segment_size_bytes,
            memory_budget_bytes: settings.memory_budget_bytes,
        }
    }
}

/// The named topic: from the configured catalog, or made new in queue and catalog.
async fn given_topic(
    name: &TopicName,
    config: TopicConfig,
    queue: &dyn Queue,
    settings: &Settings,
) -> anyhow::Result<TopicConfig> {
    let topic = with_new_catalog(settings, async |catalog| match catalog.get_topic(name).await? {
        Some(topic) => Ok(topic),
        None => create_topic(queue, catalog.as_ref(), config).await,
    });
    let topic = topic.await?;
    let (name, config) = (topic.name, topic.config);
    Ok(TopicConfig { name, partition_count: topic.partition_count, retention_ms: topic.retention_ms, config })
}

fn memory_queue_bytes(args: &super::Args, settings: &Settings) -> usize {
    let message_bytes = args.size as usize + common::message::MESSAGE_OVERHEAD_BYTES;
    let messages = usize::try_from(args.messages).unwrap_or(usize::MAX);
    let needed = messages.saturating_mul(message_bytes).saturating_add(QUEUE_SLACK_BYTES);
    settings.queue_memory_bytes.max(needed)
}

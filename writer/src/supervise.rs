//! Supervise: which partitions this process owns, and a running pipeline for each of them.
//!
//! Owns: heartbeats, taking partitions over, following changes of topics, and what the end of a pipeline means.
//! Does not own: the pipeline, or whether a commit is allowed (the catalog compares the epoch in every one).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use catalog::{AcquireOutcome, Agent, Ownership, Topic};
use common::{TopicName, TopicPartition};
use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::context::{Context, Stop};
use crate::decode::TopicTable;
use crate::error::{Result, WriterError};
use crate::partition::{Ended, Orders, Pipeline};
use crate::status::{Place, StatusBoard};
use crate::summary::Totals;

/// Heartbeats per lease: two may be lost before another writer takes over.
const HEARTBEATS_PER_LEASE: u32 = 3;
/// How long a partition rests after its pipeline failed by a defect, so that the others are not disturbed.
const REST_AFTER_DEFECT: Duration = Duration::from_secs(30);

/// The orders of every running pipeline. A std mutex: held to copy or change entries, never across an await.
pub(crate) type OrderBook = Arc<Mutex<BTreeMap<TopicPartition, Orders>>>;

/// The state of supervision.
pub(crate) struct Supervisor {
    pub(crate) context: Arc<Context>,
    pub(crate) agent: Agent,
    /// Only these topics; all when empty.
    pub(crate) wanted: Vec<TopicName>,
    pub(crate) board: StatusBoard,
    pub(crate) totals: Arc<Totals>,
    pub(crate) orders: OrderBook,
    /// Told when topics may have changed.
    pub(crate) refresh: Arc<Notify>,
    pub(crate) stop: CancellationToken,
    // Ordered where the order has effects, so that a run can be repeated.
    topics: BTreeMap<TopicName, OpenTopic>,
    pipelines: JoinSet<Ended>,
    tasks: HashMap<Id, TopicPartition>,
    held: BTreeMap<TopicPartition, Ownership>,
    resting: HashMap<TopicPartition, Instant>,
    told: HashSet<(TopicPartition, String)>,
}

struct OpenTopic {
    tables: watch::Sender<Arc<TopicTable>>,
    dense: bool,
    partition_count: u32,
    /// Tells the topic from a later one of the same name.
    created_at: i64,
    /// Ends its pipelines.
    gone: CancellationToken,
}

impl Supervisor {
    pub(crate) fn new(
        context: Arc<Context>,
        agent: Agent,
        wanted: Vec<TopicName>,
        board: StatusBoard,
        orders: OrderBook,
    ) -> Self {
        Self {
            context,
            agent,
            wanted,
            board,
            totals: Arc::default(),
            orders,
            refresh: Arc::default(),
            stop: CancellationToken::new(),
            topics: BTreeMap::new(),
            pipelines: JoinSet::new(),
            tasks: HashMap::new(),
            held: BTreeMap::new(),
            resting: HashMap::new(),
            told: HashSet::new(),
        }
    }

    /// The first look at topics and partitions, whose errors are start-up errors.
    pub(crate) async fn begin(&mut self) -> Result<()> {
        let topics = self.context.catalog.list_topics().await?;
        for name in &self.wanted {
            if !topics.iter().any(|topic| topic.name == *name) {
                return Err(WriterError::TopicNotFound(name.to_string()));
            }
        }
        self.context.catalog.heartbeat(&self.agent).await?;
        self.follow(topics).await;
        self.take_over().await
    }

    /// Runs until stopped; then until every pipeline has drained, and gives everything back.
    pub(crate) async fn run(mut self) -> Result<()> {
        let mut ticks = tokio::time::interval(self.context.config.lease / HEARTBEATS_PER_LEASE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (stop, refresh) = (self.stop.clone(), Arc::clone(&self.refresh));
        // In a task of its own: opening a topic may take longer than a lease while the queue is away.
        let heartbeats = AbortOnDropHandle::new(tokio::spawn(beat(Arc::clone(&self.context), self.agent.clone())));
        while !(stop.is_cancelled() && self.pipelines.is_empty()) {
            tokio::select! {
                // Ends first: there are no more of them than pipelines, and only a tick starts new ones.
                biased;
                () = stop.cancelled(), if self.pipelines.is_empty() => {}
                Some(ended) = self.pipelines.join_next_with_id() => self.ended(ended).await,
                _ = ticks.tick() => self.tick().await,
                () = refresh.notified() => self.tick().await,
            }
        }
        drop(heartbeats);
        let held: Vec<Ownership> = self.held.into_values().collect();
        self.context.catalog.release(&held).await?;
        self.context.catalog.remove_agent(self.agent.owner).await?;
        Ok(())
    }

    async fn tick(&mut self) {
        if self.stop.is_cancelled() {
            return;
        }
        match self.context.catalog.list_topics().await {
            Ok(topics) => self.follow(topics).await,
            Err(error) => tracing::warn!(%error, "topics not refreshed"),
        }
        if let Err(error) = self.take_over().await {
            tracing::warn!(%error, "partitions not taken over");
        }
    }

    /// Opens topics that are new, tells pipelines of changed schemas, and ends those of deleted topics.
    async fn follow(&mut self, topics: Vec<Topic>) {
        self.topics.retain(|name, open| {
            let remains = topics.iter().any(|topic| topic.name == *name && topic.created_at == open.created_at);
            if !remains {
                tracing::info!(topic = %name, "topic deleted, its partitions are given up");
                open.gone.cancel();
            }
            remains
        });
        self.board.keep_topics(|name| topics.iter().any(|topic| topic.name == *name));
        let wanted = |topic: &Topic| self.wanted.is_empty() || self.wanted.contains(&topic.name);
        for topic in topics.iter().filter(|topic| wanted(topic)) {
            if let Some(open) = self.topics.get(&topic.name) {
                open.tables.send_if_modified(|table| {
                    let changed = table.schema_version() != topic.schema_version;
                    if changed {
                        *table = TopicTable::new(topic);
                    }
                    changed
                });
                continue;
            }
            match self.open(topic).await {
                Ok(()) => {
                    self.board.clear(&(topic.name.clone(), None));
                    let dense = topic.config.streams.iter().all(|stream| stream.subjects.is_empty());
                    let (tables, _) = watch::channel(TopicTable::new(topic));
                    let (partition_count, created_at) = (topic.partition_count, topic.created_at);
                    let open = OpenTopic { tables, dense, partition_count, created_at, gone: self.stop.child_token() };
                    self.topics.insert(topic.name.clone(), open);
                }
                Err(error) => {
                    tracing::error!(topic = %topic.name, %error, "topic cannot be opened, trying again later");
                    self.board.trouble((topic.name.clone(), None), error.to_string());
                }
            }
        }
    }

    async fn open(&self, topic: &Topic) -> Result<()> {
        let partitions = self.context.catalog.list_partitions(&topic.name).await?;
        let next_offsets: Vec<u64> = partitions.iter().map(|partition| partition.high_watermark).collect();
        Ok(self.context.queue.open_topic(&topic.definition(), &next_offsets).await?)
    }

    /// Tries to take over every partition that is not running here.
    async fn take_over(&mut self) -> Result<()> {
        self.resting.retain(|_, until| *until > Instant::now());
        let all = self.topics.iter().flat_map(|(name, topic)| {
            (0..topic.partition_count).map(|partition_id| TopicPartition::new(name.clone(), partition_id))
        });
        let missing: Vec<TopicPartition> =
            all.filter(|p| !self.held.contains_key(p) && !self.resting.contains_key(p)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let outcomes = self.context.catalog.acquire(self.agent.owner, self.context.config.lease, &missing).await?;
        for outcome in outcomes {
            match outcome {
                AcquireOutcome::Acquired(held) => self.spawn(held),
                AcquireOutcome::Held { partition, owner } => {
                    if self.told.insert((partition.clone(), owner.to_string())) {
                        tracing::info!(%partition, %owner, "owned by another writer, standing by");
                    }
                }
                AcquireOutcome::Halted { partition, reason } => {
                    if self.told.insert((partition.clone(), reason.clone())) {
                        tracing::error!(%partition, reason, "partition is halted and needs an operator");
                    }
                    self.board.trouble(place(&partition), reason);
                }
            }
        }
        Ok(())
    }

    fn spawn(&mut self, held: Ownership) {
        let partition = held.partition.clone();
        let Some(topic) = self.topics.get(&partition.topic) else { return };
        self.board.clear(&place(&partition));
        tracing::info!(%partition, epoch = held.epoch.0, high_watermark = held.high_watermark, "partition taken over");
        let pipeline = Pipeline {
            context: Arc::clone(&self.context),
            board: self.board.clone(),
            totals: Arc::clone(&self.totals),
            held: held.clone(),
            tables: topic.tables.subscribe(),
            dense: topic.dense,
            stop: topic.gone.clone(),
        };
        let (orders, work) = pipeline.prepare();
        self.orders.lock().expect("no holder panics").insert(partition.clone(), orders);
        let task = self.pipelines.spawn(work);
        self.tasks.insert(task.id(), partition.clone());
        self.held.insert(partition, held);
    }

    async fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let (id, end) = match ended {
            Ok((id, (_, end))) => (id, end),
            Err(error) => (error.id(), Err(Stop::Internal(error.to_string()))),
        };
        let partition = self.tasks.remove(&id).expect("every pipeline was entered when it was spawned");
        self.orders.lock().expect("no holder panics").remove(&partition);
        self.board.remove(&partition);
        let Err(stop) = end else {
            // At shutdown it stays held, to be given back; else its topic is gone, and another may come.
            if !self.stop.is_cancelled() {
                self.held.remove(&partition);
            }
            return;
        };
        let Some(held) = self.held.remove(&partition) else { return };
        match stop {
            Stop::Fenced(reason) => {
                tracing::warn!(%partition, reason, "partition lost; what was not committed is left to its owner")
            }
            Stop::Halted(reason) => {
                tracing::error!(%partition, reason, "partition halted; it needs an operator");
                if let Err(error) = self.context.catalog.halt(&held, &reason).await {
                    tracing::warn!(%partition, %error, "halt not recorded; the next owner will find the same");
                }
                self.board.trouble(place(&partition), reason);
            }
            Stop::Internal(reason) => {
                tracing::error!(%partition, reason, rest = ?REST_AFTER_DEFECT, "partition failed by a defect, trying again later");
                self.board.trouble(place(&partition), reason);
                self.resting.insert(partition, Instant::now() + REST_AFTER_DEFECT);
            }
            Stop::Neighbour => tracing::debug!(%partition, "pipeline ended with its process"),
        }
    }
}

/// Renews the agent's lease until dropped, also while partitions drain.
async fn beat(context: Arc<Context>, agent: Agent) {
    let mut ticks = tokio::time::interval(context.config.lease / HEARTBEATS_PER_LEASE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = context.catalog.heartbeat(&agent).await {
            tracing::warn!(%error, "heartbeat failed; another writer may take over");
        }
    }
}

fn place(partition: &TopicPartition) -> Place {
    (partition.topic.clone(), Some(partition.partition_id))
}

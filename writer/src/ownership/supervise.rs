//! Supervise: which partitions this process owns, and a running pipeline for each of them.
//!
//! Owns: heartbeats, the pipelines and what the end of one means.
//! Does not own: the pipeline's work, which partitions are this writer's share (`balance`, `shares`), or whether a commit
//! is allowed (the catalog compares the epoch in every one).

mod shares;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use catalog::{Agent, CatalogError, Ownership, Scope};
use common::{TopicName, TopicPartition, failpoint};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::shares::Shares;
use crate::error::{Result, WriterError};
use crate::ownership::balance::Balancer;
use crate::ownership::topics::Topics;
use crate::pipeline::context::{Context, Stop};
use crate::pipeline::partition::{Ended, Orders, Pipeline};
use crate::service::status::{Place, StatusBoard};
use crate::service::summary::Totals;

/// Heartbeats per lease: two may be lost before another writer takes over.
const HEARTBEATS_PER_LEASE: u32 = 3;
/// How long a partition rests after its pipeline failed by a defect, so that the others are not disturbed.
const REST_AFTER_DEFECT: Duration = Duration::from_secs(30);

/// The orders of every running pipeline. A std mutex: held to copy or change entries, never across an await.
pub(crate) type OrderBook = Arc<Mutex<BTreeMap<TopicPartition, Orders>>>;

/// The state of supervision.
pub(crate) struct Supervisor {
    context: Arc<Context>,
    agent: Agent,
    board: StatusBoard,
    pub(crate) totals: Arc<Totals>,
    orders: OrderBook,
    /// Told when topics may have changed.
    pub(crate) refresh: Arc<Notify>,
    pub(crate) stop: CancellationToken,
    topics: Topics,
    balancer: Balancer,
    /// What heartbeats say; nothing is sent while there is nothing to say.
    advert: watch::Sender<Option<Agent>>,
    pipelines: JoinSet<Ended>,
    tasks: HashMap<Id, TopicPartition>,
    running: BTreeMap<TopicPartition, Running>,
    /// Drained, and to be given back.
    drained: Vec<Ownership>,
    resting: BTreeMap<TopicPartition, Instant>,
    halted: BTreeSet<TopicPartition>,
    shares: Option<Shares>,
    /// Why this process must end.
    fatal: Option<String>,
}

struct Running {
    held: Ownership,
    /// Lets it drain.
    stop: CancellationToken,
    /// Ends it where it stands.
    abort: AbortHandle,
}

impl Supervisor {
    pub(crate) fn new(
        context: Arc<Context>,
        agent: Agent,
        wanted: Vec<TopicName>,
        board: StatusBoard,
        orders: OrderBook,
    ) -> Self {
        let stop = CancellationToken::new();
        Self {
            balancer: Balancer::new(agent.owner, context.config.lease, Instant::now()),
            topics: Topics::new(Arc::clone(&context), board.clone(), stop.clone(), wanted),
            advert: watch::channel(Some(agent.clone())).0,
            context,
            agent,
            board,
            totals: Arc::default(),
            orders,
            refresh: Arc::default(),
            stop,
            pipelines: JoinSet::new(),
            tasks: HashMap::new(),
            running: BTreeMap::new(),
            drained: Vec::new(),
            resting: BTreeMap::new(),
            halted: BTreeSet::new(),
            shares: None,
            fatal: None,
        }
    }

    /// The first look at topics and partitions, whose errors are start-up errors.
    pub(crate) async fn begin(&mut self) -> Result<()> {
        self.context.catalog.verify().await?;
        let topics = self.context.catalog.list_topics().await?;
        for name in &self.topics.wanted {
            if !topics.iter().any(|topic| topic.name == *name) {
                return Err(WriterError::TopicNotFound(name.to_string()));
            }
        }
        self.context.catalog.heartbeat(&self.agent).await?;
        self.topics.follow(&topics).await;
        self.advert.send_replace(self.topics.advertise(&self.agent, &topics));
        self.share_out().await
    }

    /// Runs until stopped; then until every pipeline has drained, and gives everything back.
    pub(crate) async fn run(mut self) -> Result<()> {
        let mut ticks = tokio::time::interval(self.context.config.lease / HEARTBEATS_PER_LEASE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (stop, refresh) = (self.stop.clone(), Arc::clone(&self.refresh));
        // In a task of its own: opening a topic may take longer than a lease while the queue is away.
        let beating = beat(Arc::clone(&self.context), self.advert.subscribe(), stop.clone());
        let heartbeats = AbortOnDropHandle::new(tokio::spawn(beating));
        while !(stop.is_cancelled() && self.pipelines.is_empty()) {
            tokio::select! {
                // Ends first: there are no more of them than pipelines, and only a tick starts new ones.
                biased;
                () = stop.cancelled(), if self.pipelines.is_empty() => {}
                Some(ended) = self.pipelines.join_next_with_id() => self.ended(ended).await,
                _ = ticks.tick() => self.tick().await,
                () = refresh.notified() => self.tick().await,
            }
            if let Some(reason) = self.fatal {
                // Dropping the pipelines ends them; whoever starts next takes over from what is stored.
                return Err(WriterError::CannotGoOn { reason });
            }
        }
        drop(heartbeats);
        failpoint::hit("release.before").await;
        self.drained.extend(self.running.into_values().map(|running| running.held));
        self.context.catalog.release(&self.drained).await?;
        self.context.catalog.remove_agent(self.agent.owner).await?;
        failpoint::hit("release.done").await;
        Ok(())
    }

    async fn tick(&mut self) {
        if self.stop.is_cancelled() {
            return;
        }
        match self.context.catalog.list_topics().await {
            Ok(topics) => {
                self.topics.follow(&topics).await;
                self.advert.send_replace(self.topics.advertise(&self.agent, &topics));
            }
            Err(error) => tracing::warn!(%error, "topics not refreshed"),
        }
        self.give_back().await;
        match self.share_out().await {
            Ok(()) => {}
            // Also found by a heartbeat, where no partition has anything to commit.
            Err(WriterError::Catalog(error @ CatalogError::Poisoned(_))) => self.fatal = Some(error.to_string()),
            Err(error) => tracing::warn!(%error, "partitions not taken over"),
        }
    }

    async fn give_back(&mut self) {
        if self.drained.is_empty() {
            return;
        }
        failpoint::hit("release.before").await;
        match self.context.catalog.release(&self.drained).await {
            Ok(()) => self.drained.clear(),
            Err(error) => tracing::warn!(%error, "drained partitions not given back, trying again"),
        }
        failpoint::hit("release.done").await;
    }

    fn spawn(&mut self, held: Ownership) {
        let partition = held.partition.clone();
        let Some(topic) = self.topics.get(&partition.topic) else { return };
        self.board.clear(&place(&partition));
        let (epoch, high_watermark, takeovers) = (held.epoch.0, held.high_watermark, held.takeovers);
        tracing::info!(%partition, epoch, high_watermark, takeovers, "partition taken over");
        let stop = topic.gone.child_token();
        let pipeline = Pipeline {
            context: Arc::clone(&self.context),
            board: self.board.clone(),
            totals: Arc::clone(&self.totals),
            held: held.clone(),
            tables: topic.tables.subscribe(),
            dense: topic.dense,
            stop: stop.clone(),
        };
        let (orders, work) = pipeline.prepare();
        self.orders.lock().expect("no holder panics").insert(partition.clone(), orders);
        let abort = self.pipelines.spawn(work);
        self.tasks.insert(abort.id(), partition.clone());
        self.running.insert(partition, Running { held, stop, abort });
    }

    async fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let (id, end) = match ended {
            Ok((id, (_, end))) => (id, end),
            Err(error) if error.is_cancelled() => (error.id(), Err(Stop::Neighbour)),
            Err(error) => (error.id(), Err(Stop::Internal(error.to_string()))),
        };
        let partition = self.tasks.remove(&id).expect("every pipeline was entered when it was spawned");
        self.orders.lock().expect("no holder panics").remove(&partition);
        self.board.remove(&partition);
        let Some(Running { held, .. }) = self.running.remove(&partition) else { return };
        let Err(stop) = end else {
            // Its topic may be gone as well; then there is nothing left to give back, which is no error.
            self.drained.push(held);
            if !self.stop.is_cancelled() {
                self.give_back().await;
            }
            return;
        };
        match stop {
            Stop::Fenced(reason) => {
                tracing::warn!(%partition, reason, "partition lost; what was not committed is left to its owner");
            }
            Stop::Halted(reason) => {
                tracing::error!(%partition, reason, "partition halted; it needs an operator");
                if let Err(error) = self.context.catalog.halt(&held, &reason).await {
                    tracing::warn!(%partition, %error, "halt not recorded; the next owner will find the same");
                }
                self.board.trouble(place(&partition), reason);
                self.halted.insert(partition);
            }
            Stop::Internal(reason) => {
                tracing::error!(%partition, reason, rest = ?REST_AFTER_DEFECT, "partition failed by a defect, trying again later");
                self.board.trouble(place(&partition), reason);
                self.resting.insert(partition, Instant::now() + REST_AFTER_DEFECT);
            }
            Stop::Exit(reason) => self.fatal = Some(reason),
            Stop::Neighbour => tracing::debug!(%partition, "pipeline ended with its process or its ownership"),
        }
    }
}

/// Renews the agent's lease until dropped. Once the writer is to stop, the others hear at once that it takes nothing more
/// while its partitions drain.
async fn beat(context: Arc<Context>, advert: watch::Receiver<Option<Agent>>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(context.config.lease / HEARTBEATS_PER_LEASE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_leaving = false;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled(), if !is_leaving => is_leaving = true,
            _ = ticks.tick() => {}
        }
        failpoint::hit("heartbeat.before").await;
        let Some(mut agent) = advert.borrow().clone() else { continue };
        if is_leaving {
            agent.scope = Scope::Nothing;
        }
        // One that gets no answer must not keep the next from being sent.
        let beat = tokio::time::timeout(context.config.lease, context.catalog.heartbeat(&agent)).await;
        let failed =
            beat.map_or_else(|_| Some("no answer within a lease".to_owned()), |beat| beat.err().map(|e| e.to_string()));
        if let Some(error) = failed {
            tracing::warn!(error, "heartbeat failed; another writer may take over");
        }
    }
}

fn place(partition: &TopicPartition) -> Place {
    (partition.topic.clone(), Some(partition.partition_id))
}

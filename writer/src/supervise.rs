//! Supervise: which partitions this process owns, and a running pipeline for each of them.
//!
//! Owns: heartbeats, taking partitions over and giving them away, and what the end of a pipeline means.
//! Does not own: the pipeline, which partitions are this writer's share (`balance`), or whether a commit is allowed
//! (the catalog compares the epoch in every one).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use catalog::{AcquireOutcome, Agent, CatalogError, Ownership, OwnershipView, PartitionState};
use common::{TopicName, TopicPartition, failpoint, mutation};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::balance::{Balancer, Plan};
use crate::context::{Context, Stop};
use crate::error::{Result, WriterError};
use crate::partition::{Ended, Orders, Pipeline};
use crate::status::{Place, StatusBoard};
use crate::summary::Totals;
use crate::topics::Topics;

/// Heartbeats per lease: two may be lost before another writer takes over.
const HEARTBEATS_PER_LEASE: u32 = 3;
/// Partitions taken over in one transaction, whose rows are locked meanwhile.
const ACQUIRE_MAX: usize = 200;
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

/// How the partitions are shared, as last told.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shares {
    own: usize,
    all: usize,
    writers: usize,
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
        let beating = beat(Arc::clone(&self.context), self.advert.subscribe());
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

    /// Looks who owns what, and does this writer's part: ends what was lost, drains what is too much, takes what is due.
    async fn share_out(&mut self) -> Result<()> {
        self.resting.retain(|_, until| *until > Instant::now());
        // Taken before the view, which must show at least as much.
        let committed = self.board.watermarks();
        let view = self.context.catalog.ownership_view(self.context.config.lease).await?;
        self.end_lost(&view, &committed);
        self.tell_shares(&view);
        let Plan { acquire, release } = self.balancer.plan(&view, Instant::now());
        for partition in &release {
            if let Some(running) = self.running.get(partition).filter(|running| !running.stop.is_cancelled()) {
                tracing::info!(%partition, "partition is drained for a writer that has fewer");
                running.stop.cancel();
            }
        }
        let missing = self.missing(&view, acquire);
        for some in missing.chunks(ACQUIRE_MAX) {
            self.take_over(some).await?;
        }
        Ok(())
    }

    async fn take_over(&mut self, missing: &[TopicPartition]) -> Result<()> {
        let outcomes = self.context.catalog.acquire(self.agent.owner, self.context.config.lease, missing).await?;
        failpoint::hit("takeover.done").await;
        for outcome in outcomes {
            match outcome {
                AcquireOutcome::Acquired(held) => self.spawn(held),
                AcquireOutcome::Held { partition, owner } => {
                    tracing::debug!(%partition, %owner, "another writer was faster");
                }
                AcquireOutcome::Halted { partition, reason } => {
                    tracing::error!(%partition, reason, "partition is halted and needs an operator");
                    self.board.trouble(place(&partition), reason);
                    self.halted.insert(partition);
                }
            }
        }
        Ok(())
    }

    /// What to ask the catalog for: this writer's share, what it owns without working on it, and what is halted, to
    /// hear why.
    fn missing(&mut self, view: &OwnershipView, acquire: Vec<TopicPartition>) -> Vec<TopicPartition> {
        let mut wanted: BTreeSet<TopicPartition> = acquire.into_iter().collect();
        for row in &view.partitions {
            let is_halted = row.state == PartitionState::Halted;
            if !is_halted && self.halted.remove(&row.partition) {
                self.board.clear(&place(&row.partition));
            }
            let is_own = row.owner == Some(self.agent.owner);
            if (is_own && !is_halted) || (is_halted && !self.halted.contains(&row.partition)) {
                wanted.insert(row.partition.clone());
            }
        }
        wanted.retain(|partition| {
            self.topics.get(&partition.topic).is_some()
                && !self.running.contains_key(partition)
                && !self.resting.contains_key(partition)
        });
        wanted.into_iter().collect()
    }

    /// Ends pipelines whose partition has another owner or epoch: nothing of them could be committed. Also those of
    /// which the catalog knows less than was committed, since a server that lagged took over: what it lost is read again,
    /// and not only once the next message comes.
    fn end_lost(&self, view: &OwnershipView, committed: &BTreeMap<TopicPartition, u64>) {
        for row in &view.partitions {
            let Some(running) = self.running.get(&row.partition) else { continue };
            let (known, committed) = (row.high_watermark, committed.get(&row.partition).copied().unwrap_or_default());
            if (row.owner, row.epoch) != (Some(self.agent.owner), running.held.epoch) {
                let (partition, epoch) = (&row.partition, row.epoch.0);
                tracing::warn!(%partition, epoch, "partition lost; what was not committed is left to its owner");
                running.abort.abort();
            } else if known < committed && !mutation::is_off("supervise.went_back") {
                let partition = &row.partition;
                tracing::warn!(%partition, known, committed, "the catalog went back; what it forgot is read again");
                running.abort.abort();
            }
        }
    }

    /// One line whenever the shares change.
    fn tell_shares(&mut self, view: &OwnershipView) {
        let own = view.partitions.iter().filter(|row| row.owner == Some(self.agent.owner)).count();
        let shares = Shares { own, all: view.partitions.len(), writers: view.agents.len() };
        if self.shares != Some(shares) {
            tracing::info!(own, all = shares.all, writers = shares.writers, "partitions shared out");
            self.shares = Some(shares);
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

/// Renews the agent's lease until dropped, also while partitions drain.
async fn beat(context: Arc<Context>, advert: watch::Receiver<Option<Agent>>) {
    let mut ticks = tokio::time::interval(context.config.lease / HEARTBEATS_PER_LEASE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        failpoint::hit("heartbeat.before").await;
        let Some(agent) = advert.borrow().clone() else { continue };
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

//! Supervise: follows the catalog's ownership view, and takes the step that each change of a partition's state
//! requires.
//!
//! Owns: the writer's loop, acquiring partitions and giving them back, and the reason for the end of the process.
//! Does not own: the states and their transitions (`tenure`, `tenures`), the tasks (`pipeline_tasks`), this writer's
//! share (`balance`, `shares`), the permission of a commit (the catalog compares the epoch in every one).

use std::sync::Arc;

use catalog::{AcquireOutcome, Agent, CatalogError};
use common::{TopicName, TopicPartition, failpoint, mutation};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Result, WriterError};
use crate::ownership::balance::Plan;
use crate::ownership::heartbeat::{HEARTBEATS_PER_LEASE, beat};
use crate::ownership::pipeline_tasks::{CommandSenders, PipelineTasks};
use crate::ownership::shares::Shares;
use crate::ownership::tenure::{Event, Loss, REST_AFTER_DEFECT, Step};
use crate::ownership::tenures::Tenures;
use crate::ownership::topics::Topics;
use crate::pipeline::context::{Context, Stop};
use crate::service::status::{Place, StatusBoard};
use crate::service::summary::Totals;

/// Partitions taken over in one transaction, whose rows are locked meanwhile.
const ACQUIRE_MAX: usize = 200;

/// The state of supervision.
pub(crate) struct Supervisor {
    context: Arc<Context>,
    agent: Agent,
    board: StatusBoard,
    /// Notified of possible changes of topics.
    pub(crate) refresh: Arc<Notify>,
    pub(crate) stop: CancellationToken,
    topics: Topics,
    shares: Shares,
    /// The content of heartbeats; no heartbeat is sent while it is empty.
    advert: watch::Sender<Option<Agent>>,
    tenures: Tenures,
    pipelines: PipelineTasks,
    /// The reason why this process must end.
    fatal: Option<String>,
}

impl Supervisor {
    pub(crate) fn new(
        context: Arc<Context>,
        agent: Agent,
        wanted: Vec<TopicName>,
        board: StatusBoard,
        commands: CommandSenders,
    ) -> Self {
        let stop = CancellationToken::new();
        Self {
            shares: Shares::new(agent.owner, context.config.lease, Instant::now()),
            topics: Topics::new(Arc::clone(&context), board.clone(), stop.clone(), wanted),
            advert: watch::channel(Some(agent.clone())).0,
            tenures: Tenures::default(),
            pipelines: PipelineTasks::new(Arc::clone(&context), board.clone(), commands),
            context,
            agent,
            board,
            refresh: Arc::default(),
            stop,
            fatal: None,
        }
    }

    /// The sums over all pipelines since the start.
    pub(crate) fn totals(&self) -> &Arc<Totals> {
        self.pipelines.totals()
    }

    /// Reads topics and partitions for the first time; errors are start-up errors.
    pub(crate) async fn begin(&mut self) -> Result<()> {
        self.context.catalog.verify().await?;
        self.context.storage.take_place(self.context.catalog.as_ref()).await?;
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

    /// Runs until stopped and until every pipeline has drained, then gives all partitions back.
    pub(crate) async fn run(mut self) -> Result<()> {
        let period = self.context.config.lease / HEARTBEATS_PER_LEASE;
        // The first look was the start's.
        let mut ticks = tokio::time::interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (stop, refresh) = (self.stop.clone(), Arc::clone(&self.refresh));
        // In a task of its own, because opening a topic may take longer than a lease while the queue is unavailable.
        let beating = beat(Arc::clone(&self.context), self.advert.subscribe(), stop.clone());
        let heartbeats = AbortOnDropHandle::new(tokio::spawn(beating));
        while !(stop.is_cancelled() && self.pipelines.is_empty()) {
            tokio::select! {
                // Ends first: there are at most as many as pipelines, and only a tick starts new ones.
                biased;
                () = stop.cancelled(), if self.pipelines.is_empty() => {}
                Some((partition, end)) = self.pipelines.next_end() => self.ended(&partition, end).await,
                _ = ticks.tick() => self.tick().await,
                () = refresh.notified() => self.tick().await,
            }
            if let Some(reason) = self.fatal {
                // Dropping the pipelines ends them; the next start takes over from the stored state.
                return Err(WriterError::CannotGoOn { reason });
            }
        }
        drop(heartbeats);
        failpoint::hit("release.before").await;
        self.context.catalog.release(&self.tenures.drained()).await?;
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
            // A tick also finds a poisoned catalog while no partition has anything to commit.
            Err(WriterError::Catalog(error @ CatalogError::Poisoned(_))) => self.fatal = Some(error.to_string()),
            Err(error) => tracing::warn!(%error, "partitions not taken over"),
        }
    }

    /// Reads the ownership view; then aborts the pipelines that it contradicts, drains surplus ones and acquires missing
    /// partitions.
    async fn share_out(&mut self) -> Result<()> {
        self.tenures.end_rests(Instant::now());
        // Read before the view, whose watermarks must not be lower.
        let committed = self.board.watermarks();
        let view = self.context.catalog.ownership_view(self.context.config.lease).await?;
        for row in &view.partitions {
            let is_compared = !mutation::is_off("supervise.went_back");
            let committed = committed.get(&row.partition).filter(|_| is_compared).copied().unwrap_or_default();
            let step = self.tenures.look(row, committed);
            self.take(&row.partition, step).await;
        }
        let Plan { acquire, release } = self.shares.plan(&view, Instant::now());
        for partition in &release {
            let step = self.tenures.apply(partition, Event::Surplus);
            self.take(partition, step).await;
        }
        let may_ask =
            |partition: &TopicPartition| self.tenures.is_free(partition) && self.topics.get(&partition.topic).is_some();
        let wanted = self.shares.to_ask_for(&view, acquire, may_ask);
        for some in wanted.chunks(ACQUIRE_MAX) {
            self.take_over(some).await?;
        }
        Ok(())
    }

    async fn take_over(&mut self, wanted: &[TopicPartition]) -> Result<()> {
        let outcomes = self.context.catalog.acquire(self.agent.owner, self.context.config.lease, wanted).await?;
        failpoint::hit("takeover.done").await;
        for outcome in outcomes {
            match outcome {
                AcquireOutcome::Acquired(ownership) => {
                    let partition = ownership.partition.clone();
                    let topic =
                        self.topics.get(&partition.topic).expect("only partitions of open topics are asked for");
                    let stop = topic.gone.child_token();
                    let step = self.tenures.apply(&partition, Event::Acquired { ownership, stop });
                    self.take(&partition, step).await;
                }
                AcquireOutcome::Held { partition, owner } => {
                    tracing::debug!(%partition, %owner, "another writer was faster");
                }
                AcquireOutcome::Halted { partition, reason } => {
                    let step = self.tenures.apply(&partition, Event::FoundHalted { reason });
                    self.take(&partition, step).await;
                }
            }
        }
        Ok(())
    }

    async fn ended(&mut self, partition: &TopicPartition, end: Result<(), Stop>) {
        let step = self.tenures.apply(partition, Event::Ended { end, now: Instant::now() });
        self.take(partition, step).await;
    }

    async fn give_back(&mut self) {
        let drained = self.tenures.drained();
        if drained.is_empty() {
            return;
        }
        failpoint::hit("release.before").await;
        match self.context.catalog.release(&drained).await {
            Ok(()) => self.tenures.released(&drained),
            Err(error) => tracing::warn!(%error, "drained partitions not given back, trying again"),
        }
        failpoint::hit("release.done").await;
    }

    /// Takes the step after a transition of `partition`.
    async fn take(&mut self, partition: &TopicPartition, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Start { ownership, stop } => {
                let topic = self.topics.get(&partition.topic).expect("only partitions of open topics are asked for");
                let (epoch, high_watermark) = (ownership.epoch.0, ownership.high_watermark);
                tracing::info!(%partition, epoch, high_watermark, takeovers = ownership.takeovers, "partition taken over");
                self.board.clear(&place(partition));
                self.pipelines.start(ownership, topic, stop);
            }
            Step::Drain { stop } => {
                tracing::info!(%partition, "partition is drained for a writer that has fewer");
                stop.cancel();
            }
            Step::Abort(loss) => {
                report_loss(partition, loss);
                self.pipelines.abort(partition);
            }
            // A stopping writer gives all partitions back at once, at its end.
            Step::GiveBack if self.stop.is_cancelled() => {}
            Step::GiveBack => self.give_back().await,
            Step::ReportFenced { reason } => {
                tracing::warn!(%partition, reason, "partition lost; what was not committed is left to its owner");
            }
            Step::RecordHalt { ownership, reason } => {
                tracing::error!(%partition, reason, "partition halted; it needs an operator");
                if let Err(error) = self.context.catalog.halt(&ownership, &reason).await {
                    tracing::warn!(%partition, %error, "halt not recorded; the next owner will find the same");
                }
                self.board.trouble(place(partition), reason);
            }
            Step::ReportHalt { reason } => {
                tracing::error!(%partition, reason, "partition is halted and needs an operator");
                self.board.trouble(place(partition), reason);
            }
            Step::ReportResumed => self.board.clear(&place(partition)),
            Step::ReportDefect { reason } => {
                tracing::error!(%partition, reason, rest = ?REST_AFTER_DEFECT, "partition failed by a defect, trying again later");
                self.board.trouble(place(partition), reason);
            }
            Step::Exit { reason } => self.fatal = Some(reason),
        }
    }
}

fn report_loss(partition: &TopicPartition, loss: Loss) {
    match loss {
        Loss::Taken { epoch } => {
            tracing::warn!(%partition, epoch, "partition lost; what was not committed is left to its owner");
        }
        Loss::WentBack { known, committed } => {
            tracing::warn!(%partition, known, committed, "the catalog went back; what it forgot is read again");
        }
    }
}

fn place(partition: &TopicPartition) -> Place {
    (partition.topic.clone(), Some(partition.partition_id))
}

//! Pipeline tasks: the running pipelines of this writer, one task each.
//!
//! Owns: spawning, aborting and joining them, their command senders, and the reason for the end of a task that panicked
//! or was aborted. Does not own: the choice of partitions (`tenures`), the work (`pipeline`).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use catalog::Ownership;
use common::TopicPartition;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::ownership::topics::OpenTopic;
use crate::pipeline::context::{Context, Stop};
use crate::pipeline::partition::{CommandSender, Pipeline};
use crate::service::status::StatusBoard;
use crate::service::summary::Totals;

/// The command sender of every running pipeline. A std mutex: held to copy or change entries, never across an await.
pub(crate) type CommandSenders = Arc<Mutex<BTreeMap<TopicPartition, CommandSender>>>;

/// The running pipelines. Dropping them aborts them.
pub(crate) struct PipelineTasks {
    context: Arc<Context>,
    board: StatusBoard,
    totals: Arc<Totals>,
    commands: CommandSenders,
    tasks: JoinSet<Result<(), Stop>>,
    handles: BTreeMap<TopicPartition, AbortHandle>,
    /// The partition of each task.
    partitions: HashMap<Id, TopicPartition>,
}

impl PipelineTasks {
    pub(crate) fn new(context: Arc<Context>, board: StatusBoard, commands: CommandSenders) -> Self {
        let (tasks, handles, partitions) = (JoinSet::new(), BTreeMap::new(), HashMap::new());
        Self { context, board, totals: Arc::default(), commands, tasks, handles, partitions }
    }

    /// The sums over all pipelines since the start.
    pub(crate) fn totals(&self) -> &Arc<Totals> {
        &self.totals
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Starts the pipeline of a partition of `topic`; `stop` lets it drain.
    ///
    /// # Panics
    /// If the partition already has one.
    pub(crate) fn start(&mut self, ownership: Ownership, topic: &OpenTopic, stop: CancellationToken) {
        let partition = ownership.partition.clone();
        let pipeline = Pipeline {
            context: Arc::clone(&self.context),
            board: self.board.clone(),
            totals: Arc::clone(&self.totals),
            start: topic.start_of(&ownership),
            held: ownership,
            tables: Arc::clone(&topic.tables),
            dense: topic.dense,
            stop,
        };
        let (commands, work) = pipeline.prepare();
        self.commands.lock().expect("no holder panics").insert(partition.clone(), commands);
        let handle = self.tasks.spawn(work);
        self.partitions.insert(handle.id(), partition.clone());
        let earlier = self.handles.insert(partition, handle);
        assert!(earlier.is_none(), "a partition has one pipeline at most");
    }

    /// Aborts the pipeline of `partition`, which then ends soon.
    ///
    /// # Panics
    /// If the partition has none.
    pub(crate) fn abort(&self, partition: &TopicPartition) {
        self.handles.get(partition).expect("only a running pipeline is aborted").abort();
    }

    /// The next pipeline that ends, with the reason if it did not drain; `None` if none is running. Cancel-safe.
    pub(crate) async fn next_end(&mut self) -> Option<(TopicPartition, Result<(), Stop>)> {
        let (id, end) = match self.tasks.join_next_with_id().await? {
            Ok(ended) => ended,
            Err(error) if error.is_cancelled() => (error.id(), Err(Stop::Neighbour)),
            Err(error) => (error.id(), Err(Stop::Internal(error.to_string()))),
        };
        let partition = self.forget(id);
        self.commands.lock().expect("no holder panics").remove(&partition);
        // A task that panicked or was aborted has not done this itself.
        self.board.remove(&partition);
        Some((partition, end))
    }

    /// Removes the handle of the task `id` and returns its partition.
    fn forget(&mut self, id: Id) -> TopicPartition {
        let partition = self.partitions.remove(&id).expect("every pipeline was entered when it was spawned");
        self.handles.remove(&partition);
        partition
    }
}

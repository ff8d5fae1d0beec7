//! Partition: the pipeline of one owned partition, from its first step to its last.
//!
//! Owns: running the steps, the channels between them, and the end of all steps after the first failure.
//! Does not own: ownership (`supervise`), the steps themselves.
//!
//! fetch → assemble (decode, batch, roll, segment) → commit (upload, commit) → ack, back in fetch.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use catalog::Ownership;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::pipeline::assemble::{Assembler, Command};
use crate::pipeline::batch::Encoding;
use crate::pipeline::commit::Committer;
use crate::pipeline::context::{Context, Stop};
use crate::pipeline::decode::{PartitionDecoder, Source};
use crate::pipeline::fetch::Fetcher;
use crate::pipeline::isolate::Caution;
use crate::pipeline::position::Position;
use crate::pipeline::roll::RollPolicy;
use crate::pipeline::tables::TopicTables;
use crate::pipeline::upload::Uploader;
use crate::service::status::{Progress, StatusBoard};
use crate::service::summary::Totals;

/// One delivery waits during the encoding of another; more would only hold memory.
const FETCHED_WAITING_MAX: usize = 1;
/// One sealed batch waits while the most allowed uploads run.
const SEALED_WAITING_MAX: usize = 1;
/// Commands are rare; a sender without a slot waits.
const COMMANDS_WAITING_MAX: usize = 4;

/// The parts of a pipeline.
pub(crate) struct Pipeline {
    pub(crate) context: Arc<Context>,
    pub(crate) board: StatusBoard,
    pub(crate) totals: Arc<Totals>,
    pub(crate) held: Ownership,
    pub(crate) tables: Arc<TopicTables>,
    /// True if a missing offset is a loss.
    pub(crate) dense: bool,
    /// Nothing below is read.
    pub(crate) start: u64,
    pub(crate) stop: CancellationToken,
}

/// Sends commands to a running pipeline.
pub(crate) type CommandSender = mpsc::Sender<Command>;

impl Pipeline {
    /// The pipeline's command sender and its work, which a task must run to its end. The work returns the reason if the
    /// pipeline did not drain.
    pub(crate) fn prepare(self) -> (CommandSender, impl Future<Output = Result<(), Stop>> + Send + 'static) {
        let (sender, commands) = mpsc::channel(COMMANDS_WAITING_MAX);
        let progress = self.board.insert(self.held.partition.clone(), self.held.high_watermark);
        progress.start.store(self.start, Ordering::Relaxed);
        let (board, partition) = (self.board.clone(), self.held.partition.clone());
        let steps = self.steps(commands, progress);
        let work = async move {
            // The steps share one task: they wait most of the time, and CPU work runs elsewhere. The first to fail
            // ends them all; the next owner reads again from the watermark.
            let ended = first_failure(steps).await;
            board.remove(&partition);
            ended
        };
        (sender, work)
    }

    /// The steps, each in a box: built inside the task, they would take their room a second time in its state.
    fn steps(self, commands: mpsc::Receiver<Command>, progress: Arc<Progress>) -> Vec<Step> {
        let Self { context, board: _, totals, held, tables, dense, start, stop } = self;
        let Context { queue, catalog, config, groups, gather, limits, .. } = context.as_ref();
        let members = gather.members(&held.partition.topic);
        let (fetched, fetched_input) = mpsc::channel(FETCHED_WAITING_MAX);
        let (assembled, assembled_input) = mpsc::channel(SEALED_WAITING_MAX);
        let (receipts, acks) = watch::channel(None);
        let queue_end = Arc::new(OnceLock::new());
        let fetcher = Fetcher {
            queue: Arc::clone(queue),
            position: Position::of(&held, dense),
            start,
            held: held.clone(),
            memory: limits.memory.clone(),
            progress: Arc::clone(&progress),
            queue_end: Arc::clone(&queue_end),
            output: fetched,
            receipts: acks.clone(),
            stop: stop.clone(),
        };
        let versions = tables.subscribe();
        let decoder = PartitionDecoder::new(Arc::clone(&versions.borrow()), Source::of(&held));
        let pages = config.pages();
        let assembler = Assembler {
            held: held.clone(),
            catalog: Arc::clone(catalog),
            cpu: limits.cpu.clone(),
            suspects: Arc::clone(&limits.suspects),
            progress: Arc::clone(&progress),
            tables,
            versions,
            input: fetched_input,
            commands,
            output: assembled,
            receipts: acks,
            encoding: Some(Encoding { decoder, pages, condemned: None }),
            caution: Caution::new(&held, queue_end),
            stop,
            gave_up: false,
            policy: RollPolicy::from(config),
            next_offset: held.high_watermark,
            batch: None,
            member: Arc::clone(&members).join(),
        };
        let high_watermark = held.high_watermark;
        let committer = Committer {
            uploader: uploader(&context, held, &progress),
            groups: groups.clone(),
            catalog: Arc::clone(catalog),
            progress,
            totals,
            high_watermark,
            input: assembled_input,
            receipts,
            gather: gather.clone(),
            members,
        };
        vec![Box::pin(fetcher.run()), Box::pin(assembler.run()), Box::pin(committer.run())]
    }
}

fn uploader(context: &Context, held: Ownership, progress: &Arc<Progress>) -> Uploader {
    Uploader {
        held,
        storage: context.storage.clone(),
        groups: context.groups.clone(),
        catalog: Arc::clone(&context.catalog),
        turns: Arc::clone(&context.limits.uploads),
        retries: context.config.upload_retries,
        progress: Arc::clone(progress),
        cpu: context.limits.cpu.clone(),
        pages: context.config.pages(),
    }
}

type Step = std::pin::Pin<Box<dyn Future<Output = Result<(), Stop>> + Send>>;

/// Runs the steps to their ends. Any other reason takes precedence over [`Stop::Neighbour`].
async fn first_failure(mut running: Vec<Step>) -> Result<(), Stop> {
    let mut lost_neighbour = None;
    while !running.is_empty() {
        let (ended, _, others) = futures::future::select_all(running).await;
        running = others;
        match ended {
            Ok(()) => {}
            Err(Stop::Neighbour) => lost_neighbour = Some(Stop::Neighbour),
            Err(stop) => return Err(stop),
        }
    }
    lost_neighbour.map_or(Ok(()), Err)
}

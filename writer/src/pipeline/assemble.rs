//! Assemble: the loop that fills batches and closes them.
//!
//! Owns: one partition's open batch, and the times of encoding it, rolling it and handing it on.
//! Does not own: fetching, uploading, the decision to roll (`roll`), encoding and closing (`encode`).

mod encode;
mod fetched;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use catalog::{MetadataStore, Ownership};
use common::backoff::Backoff;
use common::message::Message;
use common::queue::Delivery;
use common::{CommitReceipt, ErrorKind};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::CHUNK_MESSAGES_MAX;
use crate::pipeline::batch::{Encoding, OpenBatch, SealedBatch};
use crate::pipeline::context::Stop;
use crate::pipeline::cpu::Cpu;
use crate::pipeline::decode::TopicTable;
use crate::pipeline::gather::Member;
use crate::pipeline::isolate::{Care, Caution};
use crate::pipeline::roll::{RollPolicy, RollReason, when_awaited};
use crate::pipeline::tables::TopicTables;
use crate::service::status::Progress;
pub(crate) use fetched::Fetched;

/// A command to the loop.
#[derive(Debug)]
pub(crate) enum Command {
    /// Roll now, and answer after everything fetched so far is committed.
    Flush(oneshot::Sender<()>),
    /// Roll now, because memory is short.
    Relieve,
}

/// The input of upload and commit.
#[derive(Debug)]
pub(crate) enum Assembled {
    /// Boxed: a channel has room for many items from its start, and there are thousands of channels.
    Batch(Box<SealedBatch>),
    /// Answer after every earlier batch is committed.
    Flush(oneshot::Sender<()>),
}

/// The loop's state.
pub(crate) struct Assembler {
    pub(crate) held: Ownership,
    /// Records suspects.
    pub(crate) catalog: Arc<dyn MetadataStore>,
    pub(crate) cpu: Cpu,
    /// Limits single-message decoding.
    pub(crate) suspects: Arc<Semaphore>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) tables: Arc<TopicTables>,
    /// The versions of `tables`.
    pub(crate) versions: watch::Receiver<Arc<TopicTable>>,
    pub(crate) input: mpsc::Receiver<Box<Fetched>>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) output: mpsc::Sender<Assembled>,
    /// The commits of earlier batches.
    pub(crate) receipts: watch::Receiver<Option<CommitReceipt>>,
    /// Absent only during work on a blocking thread, which holds it.
    pub(crate) encoding: Option<Encoding>,
    pub(crate) caution: Caution,
    pub(crate) stop: CancellationToken,
    /// True after a stop in the middle of a delivery: no later message may be added.
    pub(crate) gave_up: bool,
    pub(crate) policy: RollPolicy,
    pub(crate) next_offset: u64,
    pub(crate) batch: Option<OpenBatch>,
    /// This partition among those of its topic.
    pub(crate) member: Member,
}

impl Assembler {
    /// Runs until `fetch` ends, then rolls the open batch.
    pub(crate) async fn run(mut self) -> Result<(), Stop> {
        while !self.gave_up {
            if let Some(reason) = self.awaited() {
                self.roll(reason).await?;
            }
            let deadline = self.deadline();
            let holds_awaited = self.batch.as_ref().is_some_and(|batch| batch.holds_awaited);
            tokio::select! {
                // Messages last: their stream may be endless, while the other events are rare and need one pass each.
                biased;
                Some(command) = self.commands.recv() => self.obey(command).await?,
                Ok(()) = self.versions.changed() => self.close_version().await?,
                // The batch may be due now.
                Ok(()) = self.receipts.changed(), if holds_awaited => {}
                () = self.member.called() => self.gathered().await?,
                () = sleep_until(deadline) => self.roll(RollReason::Age).await?,
                fetched = self.input.recv() => match fetched {
                    Some(fetched) => self.add(*fetched).await?,
                    None => break,
                },
            }
        }
        self.roll(RollReason::Shutdown).await
    }

    /// The time at which the open batch reaches the greatest age.
    fn deadline(&self) -> Option<Instant> {
        self.batch.as_ref().map(|batch| batch.opened_at + self.policy.age_max())
    }

    /// The reason to close the open batch at once, if a producer waits for it and nothing before it is on its way.
    fn awaited(&self) -> Option<RollReason> {
        let batch = self.batch.as_ref()?;
        let receipt = self.receipts.borrow();
        let high_watermark = receipt.as_ref().map_or(self.held.high_watermark, CommitReceipt::high_watermark);
        when_awaited(batch.holds_awaited, batch.base_offset, high_watermark)
    }

    /// Closes the open batch for the object that another partition's batch goes into, if it is small.
    async fn gathered(&mut self) -> Result<(), Stop> {
        match self.batch.as_ref().is_some_and(OpenBatch::is_small) {
            true => self.roll(RollReason::Gathered).await,
            false => Ok(()),
        }
    }

    /// Adds fetched messages, those of one UTC day after those of another.
    async fn add(&mut self, fetched: Fetched) -> Result<(), Stop> {
        for part in fetched.by_day() {
            if let (Some(batch), Some(day)) = (&self.batch, part.day())
                && batch.day() != day
            {
                // Every object lies within one day.
                self.roll(RollReason::Date).await?;
            }
            self.add_carefully(part).await?;
        }
        Ok(())
    }

    /// Adds fetched messages with the care that the deaths of earlier owners require.
    async fn add_carefully(&mut self, fetched: Fetched) -> Result<(), Stop> {
        let Some(first) = fetched.delivery.messages.first() else { return Ok(()) };
        match self.caution.at(first.offset) {
            Care::None => self.add_batch(fetched).await,
            Care::Chunks => {
                for part in fetched.split(CHUNK_MESSAGES_MAX) {
                    self.add_batch(part).await?;
                    // One chunk per batch, so that everything before the deadly chunk is committed.
                    self.roll(RollReason::Isolation).await?;
                }
                Ok(())
            }
            Care::Singles => Box::pin(self.add_singly(fetched)).await,
        }
    }

    /// Decodes the messages one by one and records each as the suspect first, so that a death identifies its message.
    async fn add_singly(&mut self, fetched: Fetched) -> Result<(), Stop> {
        let suspects = Arc::clone(&self.suspects);
        let _alone = suspects.acquire().await.expect("the semaphore is never closed");
        let mut is_noted = false;
        for part in fetched.split(1) {
            if self.stop.is_cancelled() {
                // The rest is still in the queue, and recording each message would outlast the shutdown.
                self.gave_up = true;
                break;
            }
            is_noted |= self.add_single(part).await?;
        }
        if is_noted && let Err(error) = self.catalog.clear_suspect(&self.held).await {
            // A commit that passes the suspect clears it as well.
            tracing::debug!(partition = %self.held.partition, %error, "note of a suspect not cleared");
        }
        Ok(())
    }

    /// Adds one message; true if it was recorded as the suspect. A condemned message is not decoded.
    async fn add_single(&mut self, fetched: Fetched) -> Result<bool, Stop> {
        let offset = fetched.delivery.messages[0].offset;
        let condemned = self.caution.condemned(offset);
        if let Some(reason) = &condemned {
            tracing::error!(partition = %self.held.partition, offset, reason, "message goes to quarantine undecoded");
        }
        let is_noted = condemned.is_none() && self.caution.is_to_be_noted(offset);
        self.encoding().condemned = condemned;
        if is_noted {
            self.mark_suspect(offset).await?;
        }
        self.add_batch(fetched).await?;
        self.encode().await?;
        self.encoding().condemned = None;
        self.caution.survived();
        Ok(is_noted)
    }

    async fn mark_suspect(&mut self, offset: u64) -> Result<(), Stop> {
        let mut backoff = Backoff::default();
        loop {
            match self.catalog.mark_suspect(&self.held, offset).await {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Conflict => return Err(Stop::Fenced(error.to_string())),
                Err(error) => {
                    tracing::warn!(partition = %self.held.partition, offset, %error, "suspect not noted, trying again");
                    backoff.wait().await;
                }
            }
        }
    }

    async fn add_batch(&mut self, fetched: Fetched) -> Result<(), Stop> {
        let Fetched { delivery: Delivery { messages, memory }, gaps } = fetched;
        let Some(first_timestamp_us) = messages.first().map(|first: &Message| first.timestamp_us) else {
            return Ok(());
        };
        match &mut self.batch {
            Some(batch) => batch.extend(messages, gaps, memory),
            None => {
                self.progress.batch_opened(self.next_offset, first_timestamp_us);
                let mut batch = OpenBatch::open(self.next_offset, messages, gaps, memory);
                batch.count_as_small(self.member.open());
                self.batch = Some(batch);
            }
        }
        if self.batch.as_ref().is_some_and(|batch| batch.has_chunk(self.policy.bytes_max())) {
            self.encode().await?;
        }
        self.show_memory();
        let Some(batch) = &self.batch else { return Ok(()) };
        // A steady stream must not starve the timer, so the age is checked here as well.
        let full = self.policy.when_full(batch.encoded_bytes(self.tables.size_ratio.value()), batch.record_count());
        match full.or_else(|| self.policy.when_old(batch.opened_at.elapsed())) {
            Some(reason) => self.roll(reason).await,
            None => Ok(()),
        }
    }

    async fn obey(&mut self, command: Command) -> Result<(), Stop> {
        match command {
            Command::Relieve => self.roll(RollReason::Memory).await,
            Command::Flush(answer) => {
                // The channel may hold one delivery that was fetched before the flush.
                if let Ok(fetched) = self.input.try_recv() {
                    self.add(*fetched).await?;
                }
                self.roll(RollReason::Flush).await?;
                self.hand_on(Assembled::Flush(answer)).await
            }
        }
    }

    async fn hand_on(&mut self, assembled: Assembled) -> Result<(), Stop> {
        self.output.send(assembled).await.map_err(|_| Stop::Neighbour)
    }

    fn show_memory(&self) {
        let bytes = self.batch.as_ref().map_or(0, OpenBatch::memory_bytes);
        self.progress.batch_bytes.store(bytes, Ordering::Relaxed);
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;

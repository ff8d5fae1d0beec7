//! Assemble: the loop that fills batches and closes them.
//!
//! Owns: one partition's open batch and the moments at which it is encoded, rolled and handed on.
//! Does not own: fetching, uploading; the decision itself is `roll`'s.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use catalog::{Gap, Ownership};
use common::message::Message;
use common::queue::Delivery;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::batch::{EncodeSettings, OpenBatch, SealedBatch};
use crate::context::{Context, Stop};
use crate::decode::TopicTable;
use crate::roll::{RollPolicy, RollReason};
use crate::status::Gauges;

/// Messages with the gaps before or among them.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) delivery: Delivery,
    pub(crate) gaps: Vec<Gap>,
}

/// What may be asked of the loop from outside.
#[derive(Debug)]
pub(crate) enum Command {
    /// Roll now and answer when everything fetched so far is committed.
    Flush(oneshot::Sender<()>),
    /// Roll now: memory is short.
    Relieve,
}

/// What goes on to upload and commit.
#[derive(Debug)]
pub(crate) enum Assembled {
    Batch(SealedBatch),
    /// Answer when every batch before it is committed.
    Flush(oneshot::Sender<()>),
}

/// The loop's state.
pub(crate) struct Assembler {
    pub(crate) context: Arc<Context>,
    pub(crate) held: Ownership,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) tables: watch::Receiver<Arc<TopicTable>>,
    pub(crate) input: mpsc::Receiver<Fetched>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) output: mpsc::Sender<Assembled>,
    pub(crate) settings: EncodeSettings,
    pub(crate) policy: RollPolicy,
    pub(crate) next_offset: u64,
    pub(crate) batch: Option<OpenBatch>,
}

impl Assembler {
    /// Runs until the fetching ends, then rolls what is left.
    pub(crate) async fn run(mut self) -> Result<(), Stop> {
        loop {
            let deadline = self.deadline();
            tokio::select! {
                // Messages last: they may come without end, while each of the others is rare and spent once served.
                biased;
                Some(command) = self.commands.recv() => self.obey(command).await?,
                Ok(()) = self.tables.changed() => {
                    self.roll(RollReason::Schema).await?;
                    self.settings.table = Arc::clone(&self.tables.borrow_and_update());
                }
                () = sleep_until(deadline) => self.roll(RollReason::Age).await?,
                fetched = self.input.recv() => match fetched {
                    Some(fetched) => self.add(fetched).await?,
                    None => return self.roll(RollReason::Shutdown).await,
                },
            }
        }
    }

    /// When the open batch will have waited long enough.
    fn deadline(&self) -> Option<Instant> {
        self.batch.as_ref().map(|batch| batch.opened_at + self.policy.age_max())
    }

    async fn add(&mut self, fetched: Fetched) -> Result<(), Stop> {
        let Fetched { delivery: Delivery { messages, memory }, gaps } = fetched;
        let Some(first_timestamp_us) = messages.first().map(|first: &Message| first.timestamp_us) else {
            return Ok(());
        };
        match &mut self.batch {
            Some(batch) => batch.extend(messages, gaps, memory),
            None => {
                self.gauges.batch_opened(self.next_offset, first_timestamp_us);
                self.batch = Some(OpenBatch::open(self.next_offset, messages, gaps, memory));
            }
        }
        if self.batch.as_ref().is_some_and(|batch| batch.has_chunk(self.policy.bytes_max())) {
            self.encode().await?;
        }
        self.show_memory();
        let Some(batch) = &self.batch else { return Ok(()) };
        // A steady stream must not starve the timer: the age is looked at here as well.
        let full = self.policy.when_full(batch.encoded_bytes(), batch.record_count());
        match full.or_else(|| self.policy.when_old(batch.opened_at.elapsed())) {
            Some(reason) => self.roll(reason).await,
            None => Ok(()),
        }
    }

    async fn obey(&mut self, command: Command) -> Result<(), Stop> {
        match command {
            Command::Relieve => self.roll(RollReason::Memory).await,
            Command::Flush(answer) => {
                // The one delivery that may wait here was fetched before.
                if let Ok(fetched) = self.input.try_recv() {
                    self.add(fetched).await?;
                }
                self.roll(RollReason::Flush).await?;
                self.hand_on(Assembled::Flush(answer)).await
            }
        }
    }

    async fn encode(&mut self) -> Result<(), Stop> {
        let Some(batch) = self.batch.take() else { return Ok(()) };
        let settings = self.settings.clone();
        self.batch = Some(on_cpu(&self.context, move || batch.encode(&settings)).await?);
        Ok(())
    }

    async fn roll(&mut self, reason: RollReason) -> Result<(), Stop> {
        let Some(batch) = self.batch.take() else { return Ok(()) };
        self.next_offset = batch.next_offset;
        let (settings, held) = (self.settings.clone(), self.held.clone());
        let sealed = on_cpu(&self.context, move || batch.seal(&settings, &held, reason)).await?;
        self.show_memory();
        self.hand_on(Assembled::Batch(sealed)).await
    }

    async fn hand_on(&mut self, assembled: Assembled) -> Result<(), Stop> {
        self.output.send(assembled).await.map_err(|_| Stop::Neighbour)
    }

    fn show_memory(&self) {
        let bytes = self.batch.as_ref().map_or(0, OpenBatch::memory_bytes);
        self.gauges.batch_bytes.store(bytes, Ordering::Relaxed);
    }
}

/// Runs CPU work beside the async threads, as many at once as there are cores; or in place, where that was asked for.
async fn on_cpu<T: Send + 'static>(
    context: &Context,
    work: impl FnOnce() -> Result<T, parquet::errors::ParquetError> + Send + 'static,
) -> Result<T, Stop> {
    if context.encode_inline {
        return work().map_err(|error| Stop::Internal(format!("encoding failed: {error}")));
    }
    let _core = context.encoders.acquire().await.expect("the semaphore is never closed");
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Stop::Internal(format!("encoding failed: {error}"))),
        Err(error) => Err(Stop::Internal(format!("encoding panicked: {error}"))),
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use catalog::SqliteMetadataStore;
    use common::queue::memory::InMemoryQueue;
    use common::topic::TopicOptions;
    use common::{Epoch, Incarnation, OwnerId, TopicName, TopicPartition};
    use uuid::Uuid;

    use super::*;
    use crate::config::WriterConfig;
    use crate::group::Groups;
    use crate::storage::Storage;

    fn fetched(context: &Context) -> Fetched {
        let message = Message {
            offset: 0,
            timestamp_us: 0,
            key: None,
            headers: vec![],
            subject: Arc::from("t.0"),
            payload: "payload".into(),
        };
        let memory = context.budget.try_acquire(message.memory_bytes()).expect("free");
        Fetched { delivery: Delivery { messages: vec![message], memory }, gaps: vec![] }
    }

    #[tokio::test]
    async fn a_flush_covers_what_was_fetched_before_it() {
        let catalog: Arc<dyn catalog::MetadataStore> =
            Arc::new(SqliteMetadataStore::new_in_memory().await.expect("a catalog"));
        let (groups, _work) = Groups::new(Arc::clone(&catalog));
        let queue = Arc::new(InMemoryQueue::default());
        let context = Arc::new(Context::new(queue, catalog, Storage::memory(), WriterConfig::default(), groups));
        let name = TopicName::new("t").expect("valid");
        let table = TopicTable::new(&catalog::Topic {
            name: name.clone(),
            partition_count: 1,
            retention_ms: None,
            config: TopicOptions::default(),
            schema_version: 1,
            created_at: 0,
            updated_at: 0,
        });
        let (fetches, input) = mpsc::channel(1);
        let (orders, commands) = mpsc::channel(1);
        let (output, mut assembled) = mpsc::channel(4);
        let assembler = Assembler {
            context: Arc::clone(&context),
            held: Ownership {
                partition: TopicPartition::new(name.clone(), 0),
                owner: OwnerId(Uuid::nil()),
                epoch: Epoch(1),
                incarnation: Incarnation(0),
                high_watermark: 0,
                anchor: None,
                takeovers: 0,
                suspect: None,
            },
            gauges: Arc::default(),
            tables: watch::channel(Arc::clone(&table)).1,
            input,
            commands,
            output,
            settings: EncodeSettings { table: Arc::clone(&table), partition_id: 0, page_bytes: 1024 },
            policy: RollPolicy::from(&WriterConfig::default()),
            next_offset: 0,
            batch: None,
        };
        fetches.send(fetched(&context)).await.expect("room");
        let (answer, _answered) = oneshot::channel();
        orders.send(Command::Flush(answer)).await.expect("room");
        let (ended, first) = tokio::join!(assembler.run(), async {
            let first = assembled.recv().await;
            drop(fetches);
            first
        });
        ended.expect("ends in good order");
        assert!(matches!(first, Some(Assembled::Batch(_))), "{first:?}");
    }
}

//! The loop, without a queue or a store.

use std::time::Duration;

use catalog::{Gap, SqliteMetadataStore};
use common::memory::MemoryBudget;
use common::topic::TopicOptions;
use common::{Epoch, Incarnation, OffsetRange, OwnerId, TopicName, TopicPartition};
use uuid::Uuid;

use super::*;
use crate::config::WriterConfig;
use crate::pipeline::decode::{PartitionDecoder, Source};
use crate::pipeline::gather::Members;

const AGE_MAX: Duration = Duration::from_secs(60);
/// The precision of a timer.
const TICK: Duration = Duration::from_millis(1);

fn message(offset: u64) -> Message {
    Message {
        offset,
        timestamp_us: 0,
        key: None,
        headers: vec![],
        subject: Arc::from("t.0"),
        payload: "payload".into(),
        is_awaited: false,
    }
}

fn awaited(offset: u64) -> Message {
    Message { is_awaited: true, ..message(offset) }
}

/// The loop's neighbours.
struct Neighbours {
    fetches: mpsc::Sender<Box<Fetched>>,
    commands: mpsc::Sender<Command>,
    assembled: mpsc::Receiver<Assembled>,
    receipts: watch::Sender<Option<CommitReceipt>>,
    held: Ownership,
    budget: MemoryBudget,
}

impl Neighbours {
    async fn fetch(&self, messages: impl IntoIterator<Item = Message>) {
        let messages: Vec<Message> = messages.into_iter().collect();
        let bytes = messages.iter().map(Message::memory_bytes).sum();
        let memory = self.budget.try_acquire(bytes).expect("free");
        let fetched = Fetched { delivery: Delivery { messages, memory }, gaps: vec![] };
        self.fetches.send(Box::new(fetched)).await.expect("room");
    }

    async fn batch(&mut self) -> SealedBatch {
        match self.assembled.recv().await {
            Some(Assembled::Batch(batch)) => *batch,
            other => panic!("a batch, not {other:?}"),
        }
    }

    /// Asserts that no batch is closed for `time`.
    async fn none_for(&mut self, time: Duration) {
        let closed = tokio::time::timeout(time, self.assembled.recv()).await;
        assert!(closed.is_err(), "{closed:?}");
    }

    #[expect(clippy::disallowed_methods, reason = "there is no catalog that commits")]
    fn commit(&self, batch: &SealedBatch) {
        let Ownership { partition, epoch, .. } = self.held.clone();
        self.receipts.send_replace(Some(CommitReceipt::issue(partition, epoch, batch.range.next())));
    }
}

/// A loop that starts at offset 0 and closes batches after a minute.
async fn assembler() -> (Assembler, Neighbours) {
    let catalog = Arc::new(SqliteMetadataStore::new_in_memory().await.expect("a catalog"));
    let name = TopicName::new("t").expect("valid");
    let tables = TopicTables::new(&catalog::Topic {
        name: name.clone(),
        partition_count: 1,
        retention_ms: None,
        config: TopicOptions::default(),
        schema_version: 1,
        created_at: 0,
        updated_at: 0,
    });
    let versions = tables.subscribe();
    let decoder = PartitionDecoder::new(Arc::clone(&versions.borrow()), Source::default());
    let (fetches, input) = mpsc::channel(1);
    let (orders, commands) = mpsc::channel(1);
    let (output, assembled) = mpsc::channel(4);
    let (receipts, acks) = watch::channel(None);
    let held = Ownership {
        partition: TopicPartition::new(name, 0),
        owner: OwnerId(Uuid::nil()),
        epoch: Epoch(1),
        incarnation: Incarnation(0),
        high_watermark: 0,
        anchor: None,
        takeovers: 0,
        suspect: None,
    };
    let config = WriterConfig { batch_age_max: AGE_MAX, ..WriterConfig::default() };
    let assembler = Assembler {
        catalog,
        cpu: Cpu::new(true),
        suspects: Arc::new(Semaphore::new(1)),
        caution: Caution::new(&held, Arc::default()),
        stop: CancellationToken::new(),
        gave_up: false,
        held: held.clone(),
        progress: Arc::default(),
        tables,
        versions,
        input,
        commands,
        output,
        receipts: acks,
        encoding: Some(Encoding { decoder, pages: 1024.into(), condemned: None }),
        policy: RollPolicy::from(&config),
        next_offset: 0,
        batch: None,
        member: Arc::new(Members::default()).join(),
    };
    (assembler, Neighbours { fetches, commands: orders, assembled, receipts, held, budget: MemoryBudget::new(1 << 20) })
}

#[tokio::test]
async fn a_flush_covers_what_was_fetched_before_it() {
    let (assembler, mut neighbours) = assembler().await;
    neighbours.fetch([message(0)]).await;
    let (answer, _answered) = oneshot::channel();
    neighbours.commands.send(Command::Flush(answer)).await.expect("room");
    let (ended, first) = tokio::join!(assembler.run(), async {
        let first = neighbours.assembled.recv().await;
        drop(neighbours);
        first
    });
    ended.expect("ends in good order");
    assert!(matches!(first, Some(Assembled::Batch(_))), "{first:?}");
}

#[tokio::test]
async fn awaited_messages_gather_while_an_earlier_batch_is_on_its_way() {
    let (assembler, mut neighbours) = assembler().await;
    tokio::time::pause();
    let driver = async {
        let began = Instant::now();
        neighbours.fetch([message(0), awaited(1)]).await;
        let first = neighbours.batch().await;
        assert_eq!((first.reason, first.message_count), (RollReason::Awaited, 2));
        assert_eq!(began.elapsed(), Duration::ZERO, "nothing was on its way");

        // Uploads or commits that fail for long do not make more batches.
        for offset in 2..6 {
            neighbours.fetch([awaited(offset)]).await;
            neighbours.none_for(AGE_MAX / 10).await;
        }
        let gathered = Instant::now();
        neighbours.commit(&first);
        let second = neighbours.batch().await;
        assert_eq!((second.reason, second.message_count), (RollReason::Awaited, 4));
        assert_eq!(gathered.elapsed(), Duration::ZERO, "all that gathered are closed together, at once");
        neighbours.commit(&second);
        neighbours.none_for(10 * AGE_MAX).await;
        drop(neighbours);
    };
    let (ended, ()) = tokio::join!(assembler.run(), driver);
    ended.expect("ends in good order");
}

#[tokio::test]
async fn the_timer_alone_closes_batches_that_nobody_awaits() {
    let (assembler, mut neighbours) = assembler().await;
    tokio::time::pause();
    let driver = async {
        let began = Instant::now();
        neighbours.fetch([message(0)]).await;
        let batch = neighbours.batch().await;
        assert_eq!(batch.reason, RollReason::Age);
        assert!((AGE_MAX..=AGE_MAX + TICK).contains(&began.elapsed()), "{:?}", began.elapsed());
        neighbours.fetch([message(1)]).await;
        // The commit of an earlier batch does not close this one.
        neighbours.commit(&batch);
        neighbours.none_for(AGE_MAX - TICK).await;
        assert_eq!(neighbours.batch().await.reason, RollReason::Age);
        drop(neighbours);
    };
    let (ended, ()) = tokio::join!(assembler.run(), driver);
    ended.expect("ends in good order");
}

#[tokio::test]
async fn the_timer_closes_an_awaited_batch_too_while_an_earlier_one_is_on_its_way() {
    let (assembler, mut neighbours) = assembler().await;
    tokio::time::pause();
    let driver = async {
        neighbours.fetch([awaited(0)]).await;
        assert_eq!(neighbours.batch().await.reason, RollReason::Awaited);
        let began = Instant::now();
        neighbours.fetch([awaited(1)]).await;
        assert_eq!(neighbours.batch().await.reason, RollReason::Age);
        assert!((AGE_MAX..=AGE_MAX + TICK).contains(&began.elapsed()), "{:?}", began.elapsed());
        drop(neighbours);
    };
    let (ended, ()) = tokio::join!(assembler.run(), driver);
    ended.expect("ends in good order");
}

#[test]
fn parts_of_a_delivery_keep_order_gaps_and_memory() {
    let budget = MemoryBudget::new(1 << 20);
    let messages: Vec<Message> = [3, 4, 9].map(message).into();
    let memory = budget.try_acquire(messages.iter().map(Message::memory_bytes).sum()).expect("free");
    let gap = |base, end| Gap::lost(OffsetRange::new(base, end).expect("a range"), "");
    let fetched = Fetched { delivery: Delivery { messages, memory }, gaps: vec![gap(1, 2), gap(5, 8)] };
    let parts: Vec<Fetched> = fetched.split(1).collect();
    let seen: Vec<_> = parts.iter().map(|p| (p.delivery.messages[0].offset, p.gaps.clone())).collect();
    assert_eq!(seen, [(3, vec![gap(1, 2)]), (4, vec![]), (9, vec![gap(5, 8)])]);
    assert!(parts.iter().all(|part| part.delivery.memory.bytes() == part.delivery.messages[0].memory_bytes()));
}

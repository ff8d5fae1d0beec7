//! The loop, without a queue or a store.

use catalog::SqliteMetadataStore;
use common::memory::MemoryBudget;
use common::topic::TopicOptions;
use common::{Epoch, Incarnation, OffsetRange, OwnerId, TopicName, TopicPartition};
use uuid::Uuid;

use super::*;
use crate::config::WriterConfig;
use crate::pipeline::decode::{PartitionDecoder, Source};

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

fn fetched() -> Fetched {
    let message = message(0);
    let memory = MemoryBudget::new(1 << 20).try_acquire(message.memory_bytes()).expect("free");
    Fetched { delivery: Delivery { messages: vec![message], memory }, gaps: vec![] }
}

#[tokio::test]
async fn a_flush_covers_what_was_fetched_before_it() {
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
    let table = Arc::clone(&versions.borrow());
    let (fetches, input) = mpsc::channel(1);
    let (orders, commands) = mpsc::channel(1);
    let (output, mut assembled) = mpsc::channel(4);
    let held = Ownership {
        partition: TopicPartition::new(name.clone(), 0),
        owner: OwnerId(Uuid::nil()),
        epoch: Epoch(1),
        incarnation: Incarnation(0),
        high_watermark: 0,
        anchor: None,
        takeovers: 0,
        suspect: None,
    };
    let assembler = Assembler {
        catalog,
        cpu: Cpu::new(false),
        suspects: Arc::new(Semaphore::new(1)),
        caution: Caution::new(&held, Arc::default()),
        stop: CancellationToken::new(),
        gave_up: false,
        held,
        progress: Arc::default(),
        tables,
        versions,
        input,
        commands,
        output,
        encoding: Some(Encoding {
            decoder: PartitionDecoder::new(table, Source::default()),
            page_bytes: 1024,
            condemned: None,
        }),
        policy: RollPolicy::from(&WriterConfig::default()),
        next_offset: 0,
        batch: None,
    };
    fetches.send(fetched()).await.expect("room");
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

#[test]
fn parts_of_a_delivery_keep_order_gaps_and_memory() {
    let budget = MemoryBudget::new(1 << 20);
    let messages: Vec<Message> = [3, 4, 9].map(message).into();
    let memory = budget.try_acquire(messages.iter().map(Message::memory_bytes).sum()).expect("free");
    let gap = |base, end| Gap { range: OffsetRange::new(base, end).expect("a range"), reason: String::new() };
    let fetched = Fetched { delivery: Delivery { messages, memory }, gaps: vec![gap(1, 2), gap(5, 8)] };
    let parts: Vec<Fetched> = fetched.split(1).collect();
    let seen: Vec<_> = parts.iter().map(|p| (p.delivery.messages[0].offset, p.gaps.clone())).collect();
    assert_eq!(seen, [(3, vec![gap(1, 2)]), (4, vec![]), (9, vec![gap(5, 8)])]);
    assert!(parts.iter().all(|part| part.delivery.memory.bytes() == part.delivery.messages[0].memory_bytes()));
}

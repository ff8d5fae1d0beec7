//! Benchmark of the producer: messages of 200 bytes, enqueued one by one, batched into the queue in memory, until the last
//! one is confirmed; and records that travel packed or not. `cargo bench -p ingester`.

use std::sync::Arc;

use catalog::TopicConfig;
use common::queue::memory::InMemoryQueue;
use common::topic::{ColumnSpec, ColumnType, TopicOptions};
use common::{OutgoingMessage, Queue, TopicName, TopicPartition};
use divan::Bencher;
use divan::counter::ItemsCount;
use ingester::Producer;
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MESSAGES: usize = 500_000;
const PAYLOAD: [u8; 200] = [b'x'; 200];

/// Room for all messages of a sample: no reader frees any.
const CAPACITY_BYTES: usize = 1 << 30;

fn main() {
    divan::main();
}

/// A queue without messages, a topic, and a producer with its default options.
async fn setup(partition_count: u32) -> (Arc<dyn Queue>, TopicName, Producer) {
    setup_with(partition_count, TopicOptions::default()).await
}

async fn setup_with(partition_count: u32, config: TopicOptions) -> (Arc<dyn Queue>, TopicName, Producer) {
    let queue: Arc<dyn Queue> = Arc::new(InMemoryQueue::new(CAPACITY_BYTES));
    let catalog = catalog::connect("sqlite::memory:").await.expect("a catalog in memory");
    let name = TopicName::new("bench").expect("valid");
    let config = TopicConfig { name: name.clone(), partition_count, retention_ms: None, config };
    catalog.create_topic(config).await.expect("new");
    let builder = Producer::builder().queue(Arc::clone(&queue)).catalog(catalog);
    (queue, name, builder.build().await.expect("valid options"))
}

#[divan::bench(args = [1, 4], sample_count = 10, sample_size = 1)]
fn enqueue(bencher: Bencher<'_, '_>, partition_count: u32) {
    let runtime = Runtime::new().expect("a runtime");
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .with_inputs(|| runtime.block_on(setup(partition_count)))
        .bench_local_values(|(queue, name, producer)| {
            runtime.block_on(async {
                for _ in 0..MESSAGES {
                    let message = OutgoingMessage::new(PAYLOAD.to_vec());
                    producer.enqueue(&name, None, message).await.expect("buffered");
                }
                producer.close().await.expect("all are confirmed");
            });
            (queue, name)
        });
}

/// Records of about 100 bytes of JSON to one partition, as messages of their own (false) and packed (true).
#[divan::bench(args = [false, true], sample_count = 10, sample_size = 1)]
fn small_records(bencher: Bencher<'_, '_>, packed: bool) {
    let runtime = Runtime::new().expect("a runtime");
    let columns = vec![ColumnSpec::new("id", ColumnType::Int64)];
    let options = TopicOptions { packed, ..TopicOptions::json(columns) };
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .with_inputs(|| runtime.block_on(setup_with(1, options.clone())))
        .bench_local_values(|(queue, name, producer)| {
            runtime.block_on(async {
                for id in 0..MESSAGES {
                    let place = id * 7919 % 100_003;
                    let record = format!(
                        "{{\"id\":{id},\"customer\":\"customer-{place}\",\"amount\":{place}.25,\"status\":\"delivered\",\"country\":\"NO\"}}"
                    );
                    producer.enqueue(&name, None, OutgoingMessage::new(record)).await.expect("buffered");
                }
                producer.close().await.expect("all are confirmed");
            });
            (queue, name)
        });
}

/// The queue alone, in requests of the same sizes as a producer makes: the ceiling.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn queue_alone(bencher: Bencher<'_, '_>) {
    let runtime = Runtime::new().expect("a runtime");
    bencher.counter(ItemsCount::new(MESSAGES)).with_inputs(|| runtime.block_on(setup(1))).bench_local_values(
        |(queue, name, producer)| {
            runtime.block_on(async {
                producer.send(&name, None, b"opens the topic", None).await.expect("sent");
                let partition = TopicPartition::new(name, 0);
                for request in 0..MESSAGES / 100 {
                    let message = |n| OutgoingMessage::new(PAYLOAD.to_vec()).with_message_id(format!("{request}-{n}"));
                    queue.publish(&partition, (0..100).map(message).collect()).await.expect("stored");
                }
            });
            queue
        },
    );
}

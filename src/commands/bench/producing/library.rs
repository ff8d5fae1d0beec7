//! The library: `ingester::Producer` in this process, against the queue without it.
//!
//! Owns: the three ways to send the same records, and the times of single sends.
//! Does not own: the producer, the queue.
//!
//! With a queue in memory the ceiling is the queue alone, in requests of the same size. With JetStream it is a bare client
//! that publishes the same bytes with as many messages in flight.

use std::sync::Arc;

use bytes::Bytes;
use common::{OutgoingMessage, Queue, TopicName, TopicPartition};
use ingester::{Acks, Producer, ProducerBuilder};
use service::connect;
use tokio::task::JoinSet;
use writer::RunningWriter;

use super::latency::{self, Caller, Latency, Size};
use super::report::{BATCHED, CEILING, ENQUEUED, Run};
use super::{Place, run_of};
use crate::commands::bench::awaited;
use crate::commands::bench::load::Payloads;
use crate::commands::bench::measure::{Measurement, Phase};

/// Messages of one call of `send_batch`, and of one request of `enqueue`.
const BATCH_MESSAGES: usize = 1000;
/// Messages of a bare client that wait for their ack: as many as a producer has.
const IN_FLIGHT: usize = 256;
/// Bytes that a producer holds: a few batches of every task.
const BUFFER_BYTES: usize = 64 << 20;
/// Different payloads; each message gets a copy of its own.
const POOL: usize = 4096;

/// The records of one run.
struct Load {
    pool: Vec<Bytes>,
    messages: u64,
    bytes: u64,
    partition_count: u32,
}

impl Load {
    fn new(place: &Place<'_>, messages: u64) -> Self {
        let (bench, topic) = (place.bench, &place.bench.topic);
        let mut payloads = Payloads::new(topic.config.format, bench.payload_bytes, 1);
        let pool: Vec<Bytes> = std::iter::repeat_with(|| payloads.next()).take(POOL).collect();
        let bytes = pool.iter().cycle().take(usize::try_from(messages % POOL as u64).unwrap_or_default());
        let rest: u64 = bytes.map(|payload| payload.len() as u64).sum();
        let whole: u64 = pool.iter().map(|payload| payload.len() as u64).sum();
        let bytes = messages / POOL as u64 * whole + rest;
        Self { pool, messages, bytes, partition_count: topic.partition_count }
    }

    /// The payload of a message, in memory of its own.
    fn payload(&self, number: u64) -> Bytes {
        let at = usize::try_from(number % POOL as u64).expect("it is below the length of the pool");
        Bytes::copy_from_slice(&self.pool[at])
    }
}

/// The same records three times: in calls of many, one by one, and without the library.
pub(super) async fn throughput(place: &Place<'_>, messages: u64) -> anyhow::Result<Run> {
    let load = Arc::new(Load::new(place, messages));
    let mut phases = Vec::new();
    for name in [BATCHED, ENQUEUED, CEILING] {
        let queue = if place.bench.queue_is_durable() { Arc::clone(&place.queue) } else { place.bench.queue().await? };
        let phase = match name {
            BATCHED => batched(place, queue, &load).await?,
            ENQUEUED => enqueued(place, queue, &load).await?,
            _ if place.bench.queue_is_durable() => bare(place, &load).await?,
            _ => alone(place, queue, &load).await?,
        };
        phases.push((name, phase));
    }
    Ok(run_of(phases))
}

fn builder(place: &Place<'_>, queue: Arc<dyn Queue>) -> ProducerBuilder {
    Producer::builder().queue(queue).catalog(Arc::clone(&place.catalog)).buffer_bytes(BUFFER_BYTES)
}

/// As many tasks as there are cores, each with the next call of many records after the answers of the last.
async fn batched(place: &Place<'_>, queue: Arc<dyn Queue>, load: &Arc<Load>) -> anyhow::Result<Phase> {
    let producer = Arc::new(builder(place, queue).build().await?);
    let tasks_count = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let (measurement, mut tasks) = (Measurement::start(), JoinSet::new());
    for task in 0..tasks_count {
        let (producer, load, topic) = (Arc::clone(&producer), Arc::clone(load), place.bench.topic.name.clone());
        tasks.spawn(async move {
            let mut numbers = (task..load.messages).step_by(tasks_count as usize).peekable();
            while numbers.peek().is_some() {
                let next = numbers.by_ref().take(BATCH_MESSAGES);
                let messages = next.map(|number| OutgoingMessage::new(load.payload(number))).collect();
                for outcome in producer.send_batch(&topic, messages).await? {
                    outcome?;
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let phase = measurement.finish(load.messages, load.bytes);
    Arc::into_inner(producer).expect("its tasks have ended").close().await?;
    Ok(phase)
}

/// One task that enqueues one record after the other; the producer makes requests of them.
async fn enqueued(place: &Place<'_>, queue: Arc<dyn Queue>, load: &Load) -> anyhow::Result<Phase> {
    let producer = builder(place, queue).batch_size(BATCH_MESSAGES).build().await?;
    let (topic, measurement) = (&place.bench.topic.name, Measurement::start());
    for number in 0..load.messages {
        producer.enqueue(topic, None, OutgoingMessage::new(load.payload(number))).await?;
    }
    producer.close().await?;
    Ok(measurement.finish(load.messages, load.bytes))
}

/// The queue alone: messages with ids, in requests of the same size, a task for each partition.
async fn alone(place: &Place<'_>, queue: Arc<dyn Queue>, load: &Arc<Load>) -> anyhow::Result<Phase> {
    let (measurement, mut tasks) = (Measurement::start(), JoinSet::new());
    for partition in place.bench.partitions() {
        let (queue, load) = (Arc::clone(&queue), Arc::clone(load));
        tasks.spawn(async move {
            let mut numbers = share(&load, &partition).peekable();
            while numbers.peek().is_some() {
                let message =
                    |number| OutgoingMessage::new(load.payload(number)).with_message_id(format!("bench-{number:032}"));
                let messages = numbers.by_ref().take(BATCH_MESSAGES).map(message).collect();
                queue.publish(&partition, messages).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(measurement.finish(load.messages, load.bytes))
}

/// A client with nothing of Siltstone between it and JetStream, over a connection of its own.
async fn bare(place: &Place<'_>, load: &Arc<Load>) -> anyhow::Result<Phase> {
    let client = connect::nats_queue(&place.bench.settings).await?;
    let definition = place.bench.topic.definition();
    client.open_topic(&definition, None, &vec![0; load.partition_count as usize]).await?;
    let (run, measurement, mut tasks) = (uuid_like(), Measurement::start(), JoinSet::new());
    for partition in place.bench.partitions() {
        let (client, load, run) = (client.clone(), Arc::clone(load), run.clone());
        tasks.spawn(async move {
            let messages = share(&load, &partition).map(|number| (format!("{run}-{number}"), load.payload(number)));
            client.publish_bare(&partition, messages, IN_FLIGHT).await
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(measurement.finish(load.messages, load.bytes))
}

/// The beginning of ids that no earlier run used, as long as that of a producer's ids.
fn uuid_like() -> String {
    format!("{:032x}", fastrand::u128(..))
}

fn share(load: &Load, partition: &TopicPartition) -> impl Iterator<Item = u64> + Send + use<> {
    (u64::from(partition.partition_id)..load.messages).step_by(load.partition_count as usize)
}

struct Sender {
    producer: Arc<Producer>,
    topic: TopicName,
    payloads: Payloads,
}

impl Caller for Sender {
    async fn call(&mut self) -> anyhow::Result<()> {
        self.producer.send(&self.topic, None, &self.payloads.next(), None).await?;
        Ok(())
    }
}

/// Times of single sends, from tasks that share a producer.
pub(super) async fn latency(place: &Place<'_>, running: &RunningWriter, size: Size) -> anyhow::Result<Latency> {
    let mut builder = builder(place, Arc::clone(&place.queue)).acks(size.acks);
    if size.acks == Acks::Committed {
        let commits = awaited::commits(&place.queue, place.bench, &place.catalog, running)?;
        builder = builder.commits(Arc::new(commits));
    }
    let producer = Arc::new(builder.build().await?);
    let (topic, format) = (&place.bench.topic.name, place.bench.topic.config.format);
    let sender = |client| Sender {
        producer: Arc::clone(&producer),
        topic: topic.clone(),
        payloads: Payloads::new(format, place.bench.payload_bytes, client as u64),
    };
    let measured = latency::measure((0..size.clients).map(sender).collect(), size).await?;
    Arc::into_inner(producer).expect("its clients have ended").close().await?;
    Ok(measured)
}

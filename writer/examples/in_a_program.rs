//! The writer inside another program, with its store and its logs: `cargo run -p writer --example in_a_program`.
//!
//! Owns: nothing that lasts. Queue, store and catalog are in memory, so that it runs without a server. With `NatsQueue`
//! and any other store of the crate `object_store` in their places the calls stay the same; `Writer::builder` takes a
//! catalog that lasts. Does not own: logs and signals, which are the program's.

use std::error::Error;
use std::sync::Arc;

use catalog::TopicConfig;
use common::queue::memory::InMemoryQueue;
use common::topic::TopicOptions;
use common::{OutgoingMessage, TopicName, TopicPartition};
use futures::TryStreamExt;
use object_store::{ObjectStore, memory::InMemory};
use writer::Writer;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let (queue, object_store) = (InMemoryQueue::default(), Arc::new(InMemory::new()));

    let writer = Writer::new(Box::new(queue), object_store.clone());
    let mut running = writer.start().await?; // keep it: dropping it stops the writer

    let topic = TopicName::new("events")?;
    let options = TopicOptions::default(); // raw payloads
    let config = TopicConfig { name: topic.clone(), partition_count: 1, retention_ms: None, config: options };
    running.create_topic(config).await?;

    let partition = TopicPartition::new(topic, 0);
    let acks = running.queue().publish(&partition, vec![OutgoingMessage::new("hello")]).await?;
    running.wait_committed(&[(partition, acks[0].offset + 1)]).await?;
    running.flush().await?; // an error names what could not be committed
    running.shutdown().await?; // commits what was fetched, and gives the partitions back

    let segments: Vec<_> = object_store.list(None).try_collect().await?;
    segments.iter().for_each(|segment| println!("{} ({} bytes)", segment.location, segment.size));
    assert_eq!(segments.len(), 1);
    Ok(())
}

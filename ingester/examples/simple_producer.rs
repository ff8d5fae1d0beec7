//! A producer by key, to chosen partitions, and batched: `cargo run -p ingester --example simple_producer`.
//!
//! Owns: nothing that lasts. The queue and the catalog are in memory, so that it runs without a server; with
//! `NatsQueue` and the URL of a catalog in their places, the calls stay the same. Does not own: the writer, which turns
//! what is in the queue into rows.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use catalog::{MetadataStore, TopicConfig};
use common::queue::memory::InMemoryQueue;
use common::topic::TopicOptions;
use common::{OutgoingMessage, Queue, TopicName, TopicPartition};
use ingester::{Producer, SendResult};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let queue: Arc<dyn Queue> = Arc::new(InMemoryQueue::default());
    let catalog = catalog::connect("sqlite::memory:").await?;
    let orders = create_topic(catalog.as_ref()).await?;

    let producer = Producer::builder().queue(Arc::clone(&queue)).catalog(catalog).build().await?;

    // By key, one at a time: the result says where the message is.
    let sent = producer.send(&orders, Some(b"customer-7"), br#"{"order":0}"#, None).await?;
    println!("partition {} offset {}", sent.partition, sent.offset);

    // Batched: a handle returns at once, and is a future of the same result. It may be dropped.
    let message = OutgoingMessage::new(r#"{"order":1}"#).with_key("customer-7");
    let handle = producer.enqueue(&orders, None, message).await?;
    producer.flush().await?;
    assert_eq!(handle.await?.offset, sent.offset + 1);

    by_key(&producer, &orders).await?;
    to_chosen_partitions(&producer, &orders).await?;
    in_a_batch(&producer, &orders).await?;

    // Sends what is buffered. An error names what is not confirmed.
    producer.close().await?;

    let mut total = 0;
    for partition in 0..3 {
        let bounds = queue.bounds(&TopicPartition::new(orders.clone(), partition)).await?;
        let count = bounds.next_offset - bounds.first_offset;
        println!("partition {partition} holds {count} messages");
        total += count;
    }
    assert_eq!(total, 18);
    println!("{total} messages confirmed");
    Ok(())
}

async fn create_topic(catalog: &dyn MetadataStore) -> Result<TopicName, Box<dyn Error>> {
    let name = TopicName::new("orders")?;
    let retention_ms = Some(86_400_000);
    let config = TopicConfig { name: name.clone(), partition_count: 3, retention_ms, config: TopicOptions::default() };
    catalog.create_topic(config).await?;
    Ok(name)
}

async fn by_key(producer: &Producer, orders: &TopicName) -> Result<(), Box<dyn Error>> {
    println!("by key: the same key always goes to the same partition");
    let mut partition_of: BTreeMap<String, u32> = BTreeMap::new();
    for n in 2..10 {
        let customer = format!("customer-{}", n % 5);
        let value = format!(r#"{{"order":{n}}}"#);
        let sent = producer.send(orders, Some(customer.as_bytes()), value.as_bytes(), None).await?;
        show(&customer, &sent);
        let first = *partition_of.entry(customer).or_insert(sent.partition);
        assert_eq!(sent.partition, first, "the same key goes to the same partition");
    }
    Ok(())
}

async fn to_chosen_partitions(producer: &Producer, orders: &TopicName) -> Result<(), Box<dyn Error>> {
    println!("to a chosen partition each");
    for partition in 0..3 {
        let value = format!(r#"{{"order":{}}}"#, 10 + partition);
        let sent = producer.send(orders, None, value.as_bytes(), Some(partition)).await?;
        show("-", &sent);
        assert_eq!(sent.partition, partition);
    }
    Ok(())
}

async fn in_a_batch(producer: &Producer, orders: &TopicName) -> Result<(), Box<dyn Error>> {
    println!("a batch to partition 2: one outcome each, offsets in order");
    let batch = (13..18).map(|n| OutgoingMessage::new(format!(r#"{{"order":{n}}}"#))).collect();
    let outcomes = producer.send_batch_to(orders, Some(2), batch).await?;
    let sent = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
    sent.iter().for_each(|sent| show("-", sent));
    assert!(sent.windows(2).all(|pair| pair[1].offset == pair[0].offset + 1));
    Ok(())
}

fn show(key: &str, sent: &SendResult) {
    println!("  {key:<12} -> partition {} offset {}", sent.partition, sent.offset);
}

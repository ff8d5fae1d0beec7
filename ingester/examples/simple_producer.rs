//! A producer by key, to a chosen partition, and in a batch: `cargo run -p ingester --example simple_producer`.
//!
//! Owns: nothing that lasts. The queue and the catalog are in memory, so that it runs without a server; with
//! `NatsQueue` and the URL of a catalog in their places, the calls stay the same. Does not own: retrying.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use catalog::TopicConfig;
use common::queue::memory::InMemoryQueue;
use common::topic::TopicOptions;
use common::{OutgoingMessage, Queue, TopicName, TopicPartition};
use ingester::{Producer, SendResult};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let queue: Arc<dyn Queue> = Arc::new(InMemoryQueue::default());
    let catalog = catalog::connect("sqlite::memory:").await?;
    let orders = TopicName::new("orders")?;
    let config = TopicConfig {
        name: orders.clone(),
        partition_count: 3,
        retention_ms: Some(86_400_000),
        config: TopicOptions::default(),
    };
    catalog.create_topic(config).await?;
    let producer = Producer::new(Arc::clone(&queue), catalog);

    println!("by key: the same key always goes to the same partition");
    let mut partition_of: BTreeMap<String, u32> = BTreeMap::new();
    for n in 0..10 {
        let customer = format!("customer-{}", n % 7);
        let value = format!(r#"{{"order":{n},"customer":"{customer}"}}"#);
        let sent = producer.send(&orders, Some(customer.as_bytes()), value.as_bytes(), None).await?;
        show(&customer, &sent);
        let first = *partition_of.entry(customer).or_insert(sent.partition);
        assert_eq!(sent.partition, first, "the same key goes to the same partition");
    }

    println!("to a chosen partition each");
    for partition in 0..3 {
        let value = format!(r#"{{"order":{},"customer":"walk-in"}}"#, 10 + partition);
        let sent = producer.send(&orders, None, value.as_bytes(), Some(partition)).await?;
        show("-", &sent);
        assert_eq!(sent.partition, partition);
    }

    println!("a batch to partition 2: one request, offsets in order");
    let batch = (13..18).map(|n| OutgoingMessage::new(format!(r#"{{"order":{n},"customer":"batch"}}"#))).collect();
    let outcomes = producer.send_batch_to(&orders, Some(2), batch).await?;
    let sent = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
    sent.iter().for_each(|sent| show("-", sent));
    assert!(sent.windows(2).all(|pair| pair[1].offset == pair[0].offset + 1));

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

fn show(key: &str, sent: &SendResult) {
    println!("  {key:<12} -> partition {} offset {}", sent.partition, sent.offset);
}

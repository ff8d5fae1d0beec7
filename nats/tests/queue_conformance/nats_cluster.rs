//! Three servers: a leader steps down and a node dies, while messages are published and read.

use std::time::{Duration, Instant};

use async_nats::jetstream;
use common::message::OutgoingMessage;
use common::queue::{Queue, Subscription};
use common::topic::StreamLimits;
use common::{QueueError, TopicPartition};
use nats::{NatsConfig, NatsQueue};
use support::nats::NatsServer;

use crate::harness::*;

/// Publishes each number once, retrying until it is stored.
async fn publish_all(queue: NatsQueue, to: TopicPartition, numbers: std::ops::Range<u64>) {
    for start in numbers.clone().step_by(100) {
        let message = |n: u64| OutgoingMessage::new(n.to_string()).with_message_id(format!("id-{n}"));
        let messages: Vec<_> = (start..numbers.end.min(start + 100)).map(message).collect();
        loop {
            match queue.publish(&to, messages.clone()).await {
                Ok(_) => break,
                Err(QueueError::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Reads on, and subscribes again after every loss.
struct Reader<'a> {
    queue: &'a NatsQueue,
    partition: &'a TopicPartition,
    subscription: Option<Box<dyn Subscription>>,
    seen: Vec<u64>,
    position: u64,
}

impl Reader<'_> {
    async fn read(&mut self, count: usize) {
        step(async {
            while self.seen.len() < count {
                let Some(subscription) = &mut self.subscription else {
                    let budget = common::memory::MemoryBudget::new(16 * MIB);
                    let wanted = request(self.partition, self.position, self.position, 1, &budget);
                    match self.queue.subscribe(wanted).await {
                        Ok(subscription) => self.subscription = Some(subscription),
                        Err(error) => {
                            // A stream without a leader is briefly unknown.
                            let is_passing =
                                matches!(error, QueueError::Unavailable { .. } | QueueError::TopicUnknown { .. });
                            assert!(is_passing, "{error}");
                            tokio::time::sleep(Duration::from_millis(100)).await;
                        }
                    }
                    continue;
                };
                match subscription.next(count - self.seen.len(), MIB).await {
                    Ok(delivery) => {
                        self.position = delivery.messages.last().expect("some").offset + 1;
                        self.seen.extend(numbers(&delivery.messages));
                        let _ = subscription.ack(&receipt(self.partition, self.position)).await;
                    }
                    Err(error) => {
                        assert!(matches!(error, QueueError::SubscriptionLost { .. }), "{error}");
                        self.subscription = None;
                    }
                }
            }
        })
        .await;
    }
}

async fn leader(jetstream: &jetstream::Context) -> Option<String> {
    let stream = jetstream.get_stream("orders-0").await.ok()?;
    stream.cached_info().cluster.as_ref()?.leader.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_steps_down_and_a_node_that_dies_lose_and_double_nothing() {
    let mut servers = NatsServer::start_cluster(3).await.expect("a cluster");
    let url = servers.iter().map(NatsServer::url).collect::<Vec<_>>().join(",");
    let queue =
        NatsQueue::connect(NatsConfig { url: url.clone().into(), ..NatsConfig::default() }).await.expect("connects");
    let mut definition = topic("orders", 1);
    definition.options.stream_limits = Some(StreamLimits { replicas: Some(3), ..StreamLimits::default() });
    until("the topic is made", async || queue.create_topic(&definition).await.is_ok()).await;
    let partition = partition(&definition, 0);
    let publishing = tokio::spawn(publish_all(queue.clone(), partition.clone(), 0..6_000));
    let (seen, subscription) = (Vec::new(), None);
    let mut reader = Reader { queue: &queue, partition: &partition, subscription, seen, position: 0 };
    reader.read(1_000).await;

    let urls: Vec<String> = servers.iter().map(NatsServer::url).collect();
    let jetstream = jetstream::new(async_nats::connect(urls).await.expect("connects"));
    let before = leader(&jetstream).await.expect("a leader");
    let stepped: Result<serde_json::Value, _> = jetstream.request("STREAM.LEADER.STEPDOWN.orders-0", &()).await;
    stepped.expect("steps down");
    let since = Instant::now();
    reader.read(2_000).await;
    println!("after a step-down it was read on within {:?}", since.elapsed());
    until("another leads", async || leader(&jetstream).await.is_some_and(|now| now != before)).await;

    let dying = leader(&jetstream).await.expect("a leader");
    let index = servers.iter().position(|server| server.name() == dying).expect("one of ours");
    servers[index].kill().await.expect("kills");
    let since = Instant::now();
    let more = reader.seen.len() + 1_000;
    reader.read(more).await;
    println!("after the leader's death it was read on within {:?}", since.elapsed());
    servers[index].restart().await.expect("comes back");
    step(publishing).await.expect("published");
    reader.read(6_000).await;
    assert_eq!(reader.seen, (0..6_000).collect::<Vec<_>>());
}

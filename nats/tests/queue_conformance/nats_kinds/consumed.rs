//! Work queues and interest streams, where acks and consumers delete messages.

use super::*;

#[tokio::test]
async fn a_work_queue_is_read_in_order_and_freed_of_exactly_what_is_committed() {
    let harness = NatsHarness::start().await;
    let partition = on_stream(&harness, RetentionPolicy::WorkQueue).await;
    publish(&harness.queue, &partition, 0..5_000).await;
    let mut subscription = reader(&harness.queue, &partition, 0, 0, 1).await;
    let messages = take(&mut *subscription, 5_000).await;
    assert_eq!(offsets(&messages), (1..=5_000).collect::<Vec<_>>());
    assert_eq!(held(&harness).await, (5_000, 1, 5_000), "reading frees nothing");
    for watermark in [1_001, 1_001, 4_001, 5_001] {
        step(subscription.ack(&receipt(&partition, watermark))).await.expect("acks");
        let left = 5_001 - watermark;
        until("the acks arrive", async || held(&harness).await == (left, watermark, 5_000)).await;
    }
    publish(&harness.queue, &partition, 5_000..5_010).await;
    assert_eq!(numbers(&take(&mut *subscription, 10).await), (5_000..5_010).collect::<Vec<_>>());
    let bounds = step(harness.queue.bounds(&partition)).await.expect("bounds");
    assert_eq!((bounds.first_offset, bounds.next_offset), (5_001, 5_011));
    assert!(step(harness.queue.read(&partition, 5_000, 5_001)).await.expect("reads").is_empty(), "the anchor is gone");
}

#[tokio::test]
async fn an_interest_stream_is_freed_of_exactly_what_is_committed() {
    let harness = NatsHarness::start().await;
    let partition = on_stream(&harness, RetentionPolicy::Interest).await;
    let mut subscription = reader(&harness.queue, &partition, 0, 0, 1).await;
    publish(&harness.queue, &partition, 0..1_000).await;
    assert_eq!(numbers(&take(&mut *subscription, 1_000).await), (0..1_000).collect::<Vec<_>>());
    assert_eq!(held(&harness).await, (1_000, 1, 1_000), "reading frees nothing");
    for watermark in [401, 1_001] {
        step(subscription.ack(&receipt(&partition, watermark))).await.expect("acks");
        until("the ack arrives", async || held(&harness).await == (1_001 - watermark, watermark, 1_000)).await;
    }
}

/// A model of a writer, with its catalog in a variable: reads, commits a part of the read messages, acks a part of
/// the committed ones, and starts anew after every loss.
struct Writer<'a> {
    queue: &'a NatsQueue,
    partition: &'a TopicPartition,
    committed: Vec<u64>,
    read: Vec<u64>,
    epoch: u64,
}

impl Writer<'_> {
    fn watermark(&self) -> u64 {
        self.committed.len() as u64 + 1
    }

    /// Reads up to `count` messages, re-attaching after a loss.
    async fn read(&mut self, count: usize) -> Box<dyn Subscription> {
        let mut subscription = self.attach().await;
        while self.read.len() < count {
            match step(subscription.next(count - self.read.len(), MIB)).await {
                Ok(delivery) => self.read.extend(numbers(&delivery.messages)),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                    subscription = self.attach().await;
                }
            }
        }
        subscription
    }

    async fn attach(&self) -> Box<dyn Subscription> {
        let position = self.watermark() + self.read.len() as u64;
        reader(self.queue, self.partition, position, self.watermark(), self.epoch).await
    }

    /// Commits the first `count` read messages.
    fn commit(&mut self, count: usize) {
        self.committed.extend(self.read.drain(..count));
    }

    /// A crash, after which only the catalog remains.
    fn crash(&mut self) {
        self.read.clear();
        self.epoch += 1;
    }
}

/// Crashes of the writer and kills of the server between reading, committing and acking.
async fn crashes_lose_and_double_nothing(retention: RetentionPolicy) {
    let mut harness = NatsHarness::start().await;
    let partition = on_stream(&harness, retention).await;
    let queue = harness.queue.clone();
    // The first reader starts before the first message: an interest stream stores nothing without one.
    let first = reader(&queue, &partition, 0, 0, 1).await;
    step(first.close()).await.expect("closes");
    let mut writer = Writer { queue: &queue, partition: &partition, committed: vec![], read: vec![], epoch: 2 };
    for round in 0..12_u64 {
        let numbers = round * 500..round * 500 + 500;
        let messages: Vec<_> =
            numbers.map(|n| OutgoingMessage::new(n.to_string()).with_message_id(format!("id-{n}"))).collect();
        step(async {
            while queue.publish(&partition, messages.clone()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        let mut subscription = writer.read(400).await;
        writer.commit(250);
        if round % 2 == 0 {
            // Its effect may or may not survive a killed server.
            let _ = step(subscription.ack(&receipt(&partition, writer.watermark()))).await;
        }
        match round % 4 {
            // Attached again with 150 uncommitted messages in memory, and then killed: the stream must still hold
            // them.
            0 => {
                drop(subscription);
                drop(writer.attach().await);
                writer.crash();
            }
            1 => writer.crash(),
            2 => {
                harness.server.kill().await.expect("kills");
                harness.server.restart().await.expect("restarts");
            }
            _ => {
                writer.crash();
                step(subscription.close()).await.expect("closes");
                harness.server.kill().await.expect("kills");
                harness.server.restart().await.expect("restarts");
            }
        }
    }
    let left = 6_000 - writer.committed.len();
    let mut subscription = writer.read(left).await;
    writer.commit(left);
    assert_eq!(writer.committed, (0..6_000).collect::<Vec<_>>());
    // One more message, so that there is a new receipt, independent of the fate of the earlier acks.
    publish(&queue, &partition, 6_000..6_001).await;
    take(&mut *subscription, 1).await;
    step(subscription.ack(&receipt(&partition, 6_002))).await.expect("acks");
    until("everything is freed", async || held(&harness).await.0 == 0).await;
    assert_eq!(consumers(&harness).await.len(), 1, "earlier consumers are gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_work_queue_loses_and_doubles_nothing_through_takeovers_and_killed_servers() {
    crashes_lose_and_double_nothing(RetentionPolicy::WorkQueue).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interest_stream_loses_and_doubles_nothing_through_takeovers_and_killed_servers() {
    crashes_lose_and_double_nothing(RetentionPolicy::Interest).await;
}

#[tokio::test]
async fn an_interest_stream_keeps_what_was_read_and_not_committed_and_what_comes_while_nobody_reads() {
    let harness = NatsHarness::start().await;
    let partition = on_stream(&harness, RetentionPolicy::Interest).await;
    let mut subscription = reader(&harness.queue, &partition, 0, 0, 1).await;
    publish(&harness.queue, &partition, 0..100).await;
    take(&mut *subscription, 100).await;
    step(subscription.ack(&receipt(&partition, 31))).await.expect("acks");
    // Attached again at the position, with 30 messages committed.
    drop(subscription);
    let mut subscription = reader(&harness.queue, &partition, 101, 31, 1).await;
    publish(&harness.queue, &partition, 100..110).await;
    assert_eq!(numbers(&take(&mut *subscription, 10).await), (100..110).collect::<Vec<_>>());
    until("the ack arrived", async || held(&harness).await == (80, 31, 110)).await;
    step(subscription.close()).await.expect("closes");
    publish(&harness.queue, &partition, 110..120).await;
    assert_eq!(held(&harness).await, (90, 31, 120), "the consumer outlives its reader");
    let mut subscription = reader(&harness.queue, &partition, 31, 31, 2).await;
    assert_eq!(offsets(&take(&mut *subscription, 90).await), (31..=120).collect::<Vec<_>>());
    let [name]: [String; 1] = consumers(&harness).await.try_into().expect("one");
    assert!(name.contains("-e2-"), "{name}");
}

#[tokio::test]
async fn a_reader_of_an_earlier_epoch_gets_no_consumer_beside_the_owners() {
    for retention in [RetentionPolicy::WorkQueue, RetentionPolicy::Interest] {
        let harness = NatsHarness::start().await;
        let partition = on_stream(&harness, retention).await;
        let mut owner = reader(&harness.queue, &partition, 0, 0, 5).await;
        publish(&harness.queue, &partition, 0..10).await;
        let other = connect(&harness.server, AckMode::All).await;
        other.open_topic(&bound("jobs", "S", &[]), None, &[]).await.expect("opens");
        let zombie = other.subscribe(request(&partition, 0, 0, 4, &MemoryBudget::new(MIB))).await;
        let error = zombie.expect_err("a later epoch owns it");
        assert!(matches!(error, QueueError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("epoch 5") && error.to_string().contains("-e5-"), "{error}");
        assert_eq!(numbers(&take(&mut *owner, 10).await), (0..10).collect::<Vec<_>>());
        assert_eq!(consumers(&harness).await.len(), 1);
    }
}

#[tokio::test]
async fn a_work_queue_message_that_the_client_cannot_read_is_handed_over_and_freed() {
    let harness = NatsHarness::start().await;
    let partition = on_stream(&harness, RetentionPolicy::WorkQueue).await;
    publish(&harness.queue, &partition, 0..3).await;
    let mut client = tokio::net::TcpStream::connect(harness.server.address()).await.expect("connects");
    let headers = b"NATS/1.0\r\nno colon\r\n\r\n";
    let line = format!("HPUB S {} {}\r\n", headers.len(), headers.len() + 1);
    let connect = b"CONNECT {\"verbose\":false,\"headers\":true}\r\n";
    client.write_all(&[&connect[..], line.as_bytes(), headers, b"3\r\nPING\r\n"].concat()).await.expect("writes");
    until("it is stored", async || held(&harness).await.0 == 4).await;
    publish(&harness.queue, &partition, 4..6).await;
    let queue = harness.queue.clone();
    let mut writer = Writer { queue: &queue, partition: &partition, committed: vec![], read: vec![], epoch: 1 };
    drop(writer.read(4).await);
    writer.commit(4);
    // While it is in the stream it breaks the connection of every reader; the ack removes it.
    step(async {
        loop {
            let mut subscription = writer.attach().await;
            if subscription.ack(&receipt(&partition, 5)).await.is_ok()
                && harness.queue.read(&partition, 4, 5).await.is_ok_and(|read| read.is_empty())
            {
                break;
            }
        }
    })
    .await;
    drop(writer.read(2).await);
    writer.commit(2);
    assert_eq!(writer.committed, (0..6).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_consumer_deleted_by_hand_on_an_interest_stream_shows_as_missing_offsets() {
    let harness = NatsHarness::start().await;
    let partition = on_stream(&harness, RetentionPolicy::Interest).await;
    publish(&harness.queue, &partition, 0..5).await;
    let mut subscription = reader(&harness.queue, &partition, 0, 0, 1).await;
    publish(&harness.queue, &partition, 5..10).await;
    assert_eq!(offsets(&take(&mut *subscription, 5).await), [6, 7, 8, 9, 10], "nobody wanted the first five");
    let stream = harness.jetstream().await.get_stream("S").await.expect("exists");
    for name in consumers(&harness).await {
        stream.delete_consumer(&name).await.expect("deletes");
    }
    publish(&harness.queue, &partition, 10..12).await;
    let bounds = step(harness.queue.bounds(&partition)).await.expect("bounds");
    assert_eq!((bounds.first_offset, bounds.next_offset), (13, 13), "the writer records 6 to 12 as a gap");
}

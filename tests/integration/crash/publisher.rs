//! A persistent producer: it publishes every message until the queue has confirmed it.
//!
//! Owns: the messages, and the list of the confirmed ones. Does not own: the faults during publishing.

use std::time::Duration;

use async_nats::jetstream::{self, message::PublishMessage};
use futures::{StreamExt, stream};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;

/// Most messages in flight.
const WINDOW: usize = 400;
/// Shorter than a server's restart, so that a lost message is soon sent again.
const CONFIRMATION_DEADLINE: Duration = Duration::from_secs(3);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);
/// One message in this many cannot be decoded, and belongs in quarantine.
const BROKEN_EVERY: u64 = 199;

/// The messages to publish: numbered, spread over partitions, the same for the same seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) messages: u64,
    pub(super) partitions: u32,
}

impl Plan {
    /// True if the message cannot be decoded: its number is in quotes.
    pub(super) fn is_broken(&self, n: u64) -> bool {
        n % BROKEN_EVERY == BROKEN_EVERY - 1
    }

    /// The text of message `n`: empty to a few hundred bytes, not all of them ASCII.
    pub(super) fn text(&self, n: u64) -> String {
        let mut rng = self.rng(n);
        let length = if rng.u32(..20) == 0 { rng.usize(..800) } else { rng.usize(..80) };
        std::iter::repeat_with(|| ['a', 'Z', '0', ' ', '"', '\\', '\n', 'ß', '日'][rng.usize(..9)])
            .take(length)
            .collect()
    }

    /// The bytes of message `n`.
    pub(super) fn payload(&self, n: u64) -> String {
        let text = self.text(n);
        match self.is_broken(n) {
            true => json!({ "n": n.to_string(), "text": text }),
            false => json!({ "n": n, "text": text }),
        }
        .to_string()
    }

    /// Random instead of in turn, so that the partitions differ in length.
    fn partition(&self, n: u64) -> u32 {
        self.rng(n ^ u64::from(u32::MAX)).u32(..self.partitions)
    }

    fn rng(&self, n: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n)
    }
}

/// The messages that the queue confirmed.
#[derive(Debug)]
pub(super) struct Published {
    /// By partition: the number of the message at each offset.
    pub(super) by_partition: Vec<Vec<(u64, u64)>>,
    /// Attempts after the first.
    pub(super) repeated: u64,
    /// Confirmations of a message that was already stored.
    pub(super) recognised: u64,
}

impl Published {
    pub(super) fn count(&self) -> u64 {
        self.by_partition.iter().map(|partition| partition.len() as u64).sum()
    }

    /// The last confirmed offset of each partition; 0 if there is none.
    pub(super) fn last_offsets(&self) -> Vec<u64> {
        let last = |partition: &Vec<(u64, u64)>| partition.iter().map(|(offset, _)| *offset).max().unwrap_or(0);
        self.by_partition.iter().map(last).collect()
    }
}

struct Confirmed {
    n: u64,
    partition: u32,
    offset: u64,
    attempts: u64,
    duplicate: bool,
}

/// Publishes the plan, message `n` only once `permits` is above `n`; returns when all messages are confirmed.
pub(super) async fn publish(url: String, plan: Plan, permits: watch::Receiver<u64>) -> Published {
    let client = async_nats::ConnectOptions::new().retry_on_initial_connect().connect(url).await.expect("connects");
    let mut context = jetstream::new(client);
    context.set_timeout(CONFIRMATION_DEADLINE);
    let mut published =
        Published { by_partition: vec![Vec::new(); plan.partitions as usize], repeated: 0, recognised: 0 };
    let one = |n| publish_one(&context, plan, n, permits.clone());
    let mut confirmations = stream::iter(0..plan.messages).map(one).buffer_unordered(WINDOW);
    while let Some(confirmed) = confirmations.next().await {
        published.by_partition[confirmed.partition as usize].push((confirmed.offset, confirmed.n));
        published.repeated += confirmed.attempts - 1;
        published.recognised += u64::from(confirmed.duplicate);
    }
    published
}

async fn publish_one(context: &jetstream::Context, plan: Plan, n: u64, mut permits: watch::Receiver<u64>) -> Confirmed {
    permits.wait_for(|allowed| *allowed > n).await.expect("whoever permits outlives the publishing");
    let partition = plan.partition(n);
    let (subject, payload) = (format!("orders.{partition}"), plan.payload(n));
    for attempts in 1.. {
        let message = PublishMessage::build().payload(payload.clone().into()).message_id(n.to_string());
        let confirmed = match context.send_publish(subject.clone(), message).await {
            Ok(sent) => sent.await,
            Err(error) => Err(error),
        };
        match confirmed {
            Ok(ack) => {
                return Confirmed { n, partition, offset: ack.sequence, attempts, duplicate: ack.duplicate };
            }
            Err(_) => sleep(PAUSE_AFTER_FAILURE).await,
        }
    }
    unreachable!("attempts do not end")
}

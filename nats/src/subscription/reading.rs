//! Reading: the state of one subscription between two waits.
//!
//! Owns: keeping phase, silence, ready messages and held memory consistent. Does not own: their rules (`phase`,
//! `silence`, `intake`, `credit`), the connection, waiting. It is plain state: no call waits.

use tokio::time::Instant;

use super::credit::Credit;
use crate::intake::{Frame, Intake};
use crate::phase::{Event, Phase, PullKind, Step};
use crate::pull_account::PullSize;
use crate::silence::Silence;
use common::ids::TopicPartition;
use common::memory::MemoryPermit;
use common::queue::Delivery;

/// The state of reading one partition.
pub(super) struct Reading {
    partition: TopicPartition,
    phase: Phase,
    pub(super) silence: Silence,
    pub(super) intake: Intake,
    /// Memory for the ready messages and for those that the pulls may bring.
    pub(super) credit: Credit,
}

impl Reading {
    pub(super) fn new(partition: TopicPartition, silence: Silence, intake: Intake, credit: Credit) -> Self {
        Self { partition, phase: Phase::default(), silence, intake, credit }
    }

    pub(super) fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Changes the phase, and takes the step that follows.
    pub(super) fn apply(&mut self, event: Event) {
        match self.phase.apply(event) {
            Step::Nothing => {}
            Step::ReleaseFree => self.release_free(),
            // The next subscription fetches again the messages that were not handed over.
            Step::Forget => {
                self.intake.clear();
                self.credit.clear();
            }
        }
    }

    /// Accepts one frame that arrived at `now`, or returns the reason why the subscription can no longer be trusted.
    pub(super) fn accept(&mut self, frame: async_nats::Message, now: Instant) -> Result<(), String> {
        match self.intake.accept(frame)? {
            Frame::Delivered { bytes } => {
                self.silence.delivered(now);
                self.apply(Event::Delivered { bytes });
            }
            Frame::Heartbeat => self.silence.heard(now),
            Frame::PullEnded { messages_left, bytes_left } => {
                self.silence.heard(now);
                self.apply(Event::PullEnded { messages_left, bytes_left, now });
            }
            Frame::PullRefused { reason } => {
                tracing::debug!(partition = %self.partition, %reason, "pull refused for now");
                self.silence.heard(now);
                self.apply(Event::PullRefused { now });
            }
        }
        Ok(())
    }

    /// Records that a pull was sent, with `permit` for its messages.
    pub(super) fn requested(&mut self, size: PullSize, permit: MemoryPermit, kind: PullKind, now: Instant) {
        self.credit.hold(permit);
        self.apply(Event::Requested { size, kind });
        self.silence.pulled(now, kind);
    }

    /// Up to `messages_max` ready messages with their memory.
    pub(super) fn hand_over(&mut self, messages_max: usize) -> Delivery {
        let (messages, bytes) = self.intake.take(messages_max);
        let memory = self.credit.split(bytes);
        self.release_free();
        Delivery { messages, memory }
    }

    /// Gives back the memory that neither ready messages nor pulls need.
    pub(super) fn release_free(&mut self) {
        self.credit.shrink_to(self.intake.ready_bytes() + self.phase.credit_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_nats::StatusCode;
    use common::ids::TopicName;
    use common::memory::MemoryBudget;

    use super::*;
    use crate::retention::Acks;

    fn frame(reply: Option<&str>, status: Option<u16>, description: &str) -> async_nats::Message {
        async_nats::Message {
            subject: "orders.0".into(),
            reply: reply.map(Into::into),
            payload: "x".into(),
            headers: None,
            status: status.and_then(|code| StatusCode::from_u16(code).ok()),
            description: Some(description.to_owned()),
            length: 50,
        }
    }

    fn message(sequence: u64) -> async_nats::Message {
        frame(Some(&format!("$JS.ACK.orders-0.c.1.{sequence}.{sequence}.5000.0")), None, "")
    }

    fn reading(budget: &MemoryBudget, now: Instant) -> Reading {
        let partition = TopicPartition::new(TopicName::new("orders").expect("valid"), 0);
        let silence = Silence::new(Duration::from_secs(5), now);
        let intake = Intake::new(1, 1, Acks::Cumulative, 1_000);
        Reading::new(partition, silence, intake, Credit::new(budget.clone()))
    }

    fn request(reading: &mut Reading, budget: &MemoryBudget, kind: PullKind, now: Instant) -> usize {
        let size = PullSize { batch: 10, bytes_max: 5_000 };
        let permit = budget.try_acquire(size.credit_bytes()).expect("free");
        reading.requested(size, permit, kind, now);
        size.credit_bytes()
    }

    #[tokio::test]
    async fn memory_is_held_for_ready_messages_and_outstanding_pulls_only() {
        let (budget, now) = (MemoryBudget::new(1_000_000), Instant::now());
        let mut reading = reading(&budget, now);
        let credit_bytes = request(&mut reading, &budget, PullKind::Long, now);
        assert_eq!(budget.used_bytes(), credit_bytes);
        reading.accept(message(1), now).expect("good");
        reading.accept(message(2), now).expect("good");
        let delivery = reading.hand_over(1);
        let needed = reading.phase().credit_bytes() + reading.intake.ready_bytes();
        assert_eq!(budget.used_bytes(), delivery.memory.bytes() + needed);
        reading.apply(Event::Lost { reason: "the connection was disturbed".to_owned() });
        assert_eq!(budget.used_bytes(), delivery.memory.bytes(), "only the handed over message holds memory");
        assert!(!reading.intake.has_ready());
    }

    #[tokio::test]
    async fn an_empty_or_refused_pull_gives_its_memory_back_and_an_empty_long_one_has_no_rest() {
        let (budget, now) = (MemoryBudget::new(1_000_000), Instant::now());
        let ends = [
            (PullKind::Long, frame(None, Some(408), "Request Timeout"), None),
            (PullKind::Short, frame(None, Some(408), "Request Timeout"), Some(Duration::from_millis(250))),
            (PullKind::Long, frame(None, Some(409), "Exceeded MaxWaiting"), Some(Duration::from_secs(1))),
        ];
        for (kind, end, rest) in ends {
            let mut reading = reading(&budget, now);
            request(&mut reading, &budget, kind, now);
            reading.accept(end, now).expect("good");
            assert_eq!(reading.phase().resting_until().map(|until| until - now), rest);
            assert_eq!((budget.used_bytes(), reading.phase().wants_more()), (0, rest.is_none()));
        }
    }
}

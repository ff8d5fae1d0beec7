//! Reading: the state of one subscription between two waits.
//!
//! Owns: keeping phase, silence, ready messages and held memory in step with each other. Does not own: their rules (`phase`,
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
    /// For the ready messages and for those that the pulls may bring.
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
            // The next subscription fetches again what was fetched and not handed over.
            Step::Forget => {
                self.intake.clear();
                self.credit.clear();
            }
        }
    }

    /// Takes one frame that came at `now`, or gives the reason why the subscription can no longer be trusted.
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

    /// Notes that a pull was sent, which has `permit` for its messages.
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

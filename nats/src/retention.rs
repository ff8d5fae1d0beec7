//! Retention: the kind of consumer, the order of creating and deleting, and the refusals that each stream's retention
//! needs.
//!
//! Owns: the rules, as plain functions. Does not own: creating consumers (`consumer`), requesting streams
//! (`topic_streams`).
//!
//! **Limits.** The stream keeps messages independent of its readers. Each attach creates a consumer at the position
//! and deletes its predecessors; nothing depends on it.
//!
//! **Work queue.** An acked message is deleted. The server allows one consumer per subject, which delivers every
//! unacked message, and accepts only acks of single messages. So the predecessor is deleted first (which deletes no
//! message), then the next consumer is created. Deliveries below the position were already read: they are not handed
//! over again, but are acked once a receipt covers them.
//!
//! **Interest.** A message is deleted once every consumer has acked it, *and when the last consumer that needs it is
//! deleted*; without a consumer nothing is stored. So a consumer here is durable, never expires, starts at the
//! committed watermark instead of the position, is created *before* its predecessor is deleted, and stays when the
//! reader closes.
//!
//! On both, acks delete: they are sent for committed messages alone, even if the writer fails. A loss by another
//! cause (another consumer's acks, a consumer deleted by hand) looks like a deletion: it is recorded as a gap. The
//! anchor's message is gone once it is acked. Another history is therefore detected only if the stream ends before
//! the anchor, or holds another message in its place.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, RetentionPolicy};

use crate::config::AckMode;

/// The readers' actions by which a stream deletes messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retention {
    /// None.
    Limits,
    /// One ack.
    WorkQueue,
    /// Acks by all consumers, or the lack of an interested one.
    Interest,
}

/// The kind of acks of a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acks {
    /// No acks.
    None,
    /// One covers every earlier delivery.
    Cumulative,
    /// One covers one message.
    Explicit,
}

impl Retention {
    /// True if `policy` is the server's name for it.
    pub(super) fn is_of(self, policy: RetentionPolicy) -> bool {
        self == match policy {
            RetentionPolicy::Limits => Self::Limits,
            RetentionPolicy::WorkQueue => Self::WorkQueue,
            RetentionPolicy::Interest => Self::Interest,
        }
    }

    /// True if acks, or the lack of a consumer, delete messages.
    pub(super) fn deletes(self) -> bool {
        self != Self::Limits
    }

    pub(super) fn acks(self, mode: AckMode) -> Acks {
        match (self, mode) {
            (Self::WorkQueue, _) => Acks::Explicit,
            (Self::Interest, _) | (Self::Limits, AckMode::All) => Acks::Cumulative,
            (Self::Limits, AckMode::None) => Acks::None,
        }
    }

    /// The first offset of a new consumer, given the position and the watermark. `None`: the first message held.
    pub(super) fn start(self, from_offset: u64, committed: u64) -> Option<u64> {
        match self {
            Self::Limits => Some(from_offset),
            Self::Interest => Some(committed.min(from_offset)),
            Self::WorkQueue => None,
        }
    }

    /// Time without a reader after which the server deletes a consumer. `None`: never.
    pub(super) fn inactive_threshold(self) -> Option<Duration> {
        (self != Self::Interest).then_some(Duration::from_secs(5 * 60))
    }

    /// True if earlier consumers must be deleted before the next is created; else they are deleted afterwards.
    pub(super) fn deletes_before_making(self) -> bool {
        self == Self::WorkQueue
    }

    /// True if the consumer stays when its reader closes in good order.
    pub(super) fn keeps_consumer(self) -> bool {
        self.deletes()
    }
}

/// The retention of a stream; the error states why it cannot be served, and the change to make.
pub(super) fn retention_of(config: &Config, mode: AckMode) -> Result<Retention, String> {
    let name = &config.name;
    let (retention, word) = match config.retention {
        RetentionPolicy::Limits => return Ok(Retention::Limits),
        RetentionPolicy::WorkQueue => (Retention::WorkQueue, "workqueue"),
        RetentionPolicy::Interest => (Retention::Interest, "interest"),
    };
    if mode == AckMode::None {
        return Err(format!(
            "stream {name} has retention {word} and frees a message only when it is acked; set QUEUE_ACK=all, or use a \
             stream with retention limits"
        ));
    }
    if config.mirror.is_some() {
        return Err(format!(
            "stream {name} is a mirror with retention {word}, whose acks do not reach its origin; read the origin, or \
             make the mirror with retention limits"
        ));
    }
    if retention == Retention::Interest && config.max_consumers == 1 {
        return Err(format!(
            "stream {name} has retention interest and max_consumers 1: at a takeover the next consumer is made before \
             the last one is deleted, or the stream would drop its messages; allow at least 2"
        ));
    }
    let threshold = config.consumer_limits.as_ref().map_or(Duration::ZERO, |limits| limits.inactive_threshold);
    if retention == Retention::Interest && !threshold.is_zero() {
        return Err(format!(
            "stream {name} has retention interest and deletes consumers that are inactive for {threshold:?}, and with \
             them every message that the writer has not read; remove inactive_threshold from its consumer limits"
        ));
    }
    Ok(retention)
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::stream::{ConsumerLimits, Source};

    use super::*;

    fn config(retention: RetentionPolicy) -> Config {
        Config { name: "S".to_owned(), retention, max_consumers: -1, ..Config::default() }
    }

    #[test]
    fn streams_whose_messages_could_go_unread_are_refused_with_what_to_change() {
        let both = [RetentionPolicy::WorkQueue, RetentionPolicy::Interest];
        for retention in both {
            let reason = retention_of(&config(retention), AckMode::None).expect_err("no acks");
            assert!(reason.contains("QUEUE_ACK=all"), "{reason}");
            let mirror = Config { mirror: Some(Source::default()), ..config(retention) };
            assert!(retention_of(&mirror, AckMode::All).expect_err("a mirror").contains("origin"));
        }
        let one = |retention| Config { max_consumers: 1, ..config(retention) };
        assert!(retention_of(&one(both[1]), AckMode::All).expect_err("one consumer").contains("at least 2"));
        retention_of(&one(both[0]), AckMode::All).expect("one consumer is enough for a work queue");
        let limits = ConsumerLimits { inactive_threshold: Duration::from_secs(9), max_ack_pending: 0 };
        let forgetful = Config { consumer_limits: Some(limits), ..config(both[1]) };
        assert!(retention_of(&forgetful, AckMode::All).expect_err("goes by itself").contains("inactive_threshold"));
    }

    #[test]
    fn only_what_is_committed_is_given_up_where_a_consumer_keeps_messages() {
        assert_eq!(Retention::Limits.start(90, 10), Some(90));
        assert_eq!(Retention::Interest.start(90, 10), Some(10));
        assert_eq!(Retention::Interest.start(5, 10), Some(5));
        assert_eq!(Retention::WorkQueue.start(90, 10), None);
        assert_eq!(Retention::Interest.inactive_threshold(), None);
        assert_eq!(Retention::WorkQueue.acks(AckMode::All), Acks::Explicit);
        assert_eq!(Retention::Limits.acks(AckMode::None), Acks::None);
    }
}

//! What a stream's retention asks of a reader: the kind of consumer, the order of making and deleting, the refusals.
//!
//! Owns: the rules, as plain functions. Does not own: making consumers (`consumer`) or asking for streams
//! (`topic_streams`).
//!
//! **Limits.** The stream keeps messages whatever readers do. A consumer is made per attach at the position and its
//! predecessors are deleted; nothing depends on it.
//!
//! **Work queue.** A message goes when it is acked. The server takes one consumer per subject, which delivers everything
//! that is not acked, and only acks of single messages. So the predecessor is deleted first (which deletes no message),
//! then the next one made; deliveries below the position were read before and are not handed over again, but are acked
//! once a receipt covers them.
//!
//! **Interest.** A message goes when every consumer has acked it, *and when the last consumer that wants it is deleted*;
//! without any consumer nothing is stored. So a consumer here is durable, never goes by itself, starts at the committed
//! watermark instead of the position, is made *before* its predecessor is deleted, and stays when the reader closes.
//!
//! On both, acks delete: they are sent for committed messages alone, whatever happens to the writer. What a stream lost by
//! other hands (another consumer's acks, a consumer deleted by hand) cannot be told from a deletion: it is recorded as a
//! gap. The anchor is gone once it is acked, so that only a stream that ends before it, or holds another message in its
//! place, is known to be another history.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, RetentionPolicy};

use crate::config::AckMode;

/// When a stream deletes messages by what readers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retention {
    /// Never.
    Limits,
    /// Once acked.
    WorkQueue,
    /// Once acked by every consumer, or wanted by none.
    Interest,
}

/// What a consumer's acks mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acks {
    /// There are none.
    None,
    /// One covers every earlier delivery.
    Cumulative,
    /// One covers one message.
    Explicit,
}

impl Retention {
    /// Whether the server calls it so.
    pub(super) fn is_of(self, policy: RetentionPolicy) -> bool {
        self == match policy {
            RetentionPolicy::Limits => Self::Limits,
            RetentionPolicy::WorkQueue => Self::WorkQueue,
            RetentionPolicy::Interest => Self::Interest,
        }
    }

    /// Whether acks, or the lack of a consumer, delete messages.
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

    /// Where a new consumer starts, given the position and what is committed. Nothing: at the first message held.
    pub(super) fn start(self, from_offset: u64, committed: u64) -> Option<u64> {
        match self {
            Self::Limits => Some(from_offset),
            Self::Interest => Some(committed.min(from_offset)),
            Self::WorkQueue => None,
        }
    }

    /// A consumer goes by itself after so long without a reader. Nothing: never.
    pub(super) fn inactive_threshold(self) -> Option<Duration> {
        (self != Self::Interest).then_some(Duration::from_secs(5 * 60))
    }

    /// Whether earlier consumers must be gone before the next can be made; else they are deleted afterwards.
    pub(super) fn deletes_before_making(self) -> bool {
        self == Self::WorkQueue
    }

    /// Whether the consumer stays when its reader closes in good order.
    pub(super) fn keeps_consumer(self) -> bool {
        self.deletes()
    }
}

/// The retention of a stream that can be served, or what about it cannot, with what to change.
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

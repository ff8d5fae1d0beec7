//! Limits that a stream sets for its consumers: the server refuses a consumer that asks for more.
//!
//! Owns: what is asked for within them. Does not own: the other settings of a consumer (`consumer`).

use std::time::Duration;

use async_nats::jetstream::stream::Config;

use crate::config::AckMode;
use crate::retention::{Acks, Retention};

/// Far above the messages of any segment: at the server's default of 1,000 a segment would never fill.
const ACK_PENDING_MAX: u64 = 50_000_000;

/// What the consumers of a stream may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounded {
    /// Deliveries without an ack.
    pub(super) ack_pending_max: u64,
    /// Time without a reader after which the server deletes a consumer.
    inactive_max: Option<Duration>,
}

impl Bounded {
    /// The limits that the settings of a stream hold.
    pub(super) fn of(config: &Config) -> Self {
        let limits = config.consumer_limits.as_ref();
        let pending = limits.and_then(|limits| u64::try_from(limits.max_ack_pending).ok()).filter(|max| *max > 0);
        let inactive_max = limits.map(|limits| limits.inactive_threshold).filter(|max| !max.is_zero());
        Self { ack_pending_max: pending.map_or(ACK_PENDING_MAX, |max| max.min(ACK_PENDING_MAX)), inactive_max }
    }

    /// The acks of a consumer. Where acks delete nothing, none are better than deliveries that wait for them.
    pub(super) fn acks(self, retention: Retention, mode: AckMode) -> Acks {
        match retention {
            Retention::Limits if self.is_narrow() => Acks::None,
            _ => retention.acks(mode),
        }
    }

    /// The time without a reader that a consumer may have.
    pub(super) fn inactive(self, wanted: Duration) -> Duration {
        self.inactive_max.map_or(wanted, |max| max.min(wanted))
    }

    /// The disadvantage of these limits for reading, if there is one.
    pub(super) fn disadvantage(self, retention: Retention) -> Option<String> {
        let max = self.ack_pending_max;
        self.is_narrow().then(|| match retention {
            Retention::Limits => {
                format!("its consumer_limits allow {max} messages without an ack: it is read without acks")
            }
            _ => format!(
                "its consumer_limits allow {max} messages without an ack: no more are read between two commits; raise \
                 max_ack_pending"
            ),
        })
    }

    fn is_narrow(self) -> bool {
        self.ack_pending_max < ACK_PENDING_MAX
    }
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::stream::ConsumerLimits;

    use super::*;

    fn bounded(max_ack_pending: i64, seconds: u64) -> Bounded {
        let limits = ConsumerLimits { inactive_threshold: Duration::from_secs(seconds), max_ack_pending };
        Bounded::of(&Config { consumer_limits: Some(limits), ..Config::default() })
    }

    #[test]
    fn no_more_is_asked_for_than_a_stream_allows() {
        let wanted = Duration::from_secs(300);
        for free in [Bounded::of(&Config::default()), bounded(0, 0), bounded(-1, 900)] {
            assert_eq!((free.ack_pending_max, free.inactive(wanted)), (ACK_PENDING_MAX, wanted));
            assert_eq!(free.acks(Retention::Limits, AckMode::All), Acks::Cumulative);
            assert_eq!(free.disadvantage(Retention::Limits), None);
        }
        let narrow = bounded(10, 60);
        assert_eq!((narrow.ack_pending_max, narrow.inactive(wanted)), (10, Duration::from_secs(60)));
        assert_eq!(narrow.acks(Retention::Limits, AckMode::All), Acks::None);
        assert_eq!(narrow.acks(Retention::WorkQueue, AckMode::All), Acks::Explicit);
        assert!(narrow.disadvantage(Retention::Interest).is_some_and(|text| text.contains("allow 10 messages")));
    }
}

//! Contiguity: the check that a consumer delivers every message, once, in order.
//!
//! Owns: the rule. Does not own: the reaction to a breach (the subscription ends; its owner subscribes anew). Public
//! for the simulation, which applies the same rule to its model of a consumer.

pub use crate::ack_subject::DeliveryInfo;
use common::mutation;

/// The last accepted delivery.
#[derive(Debug)]
pub struct Contiguity {
    consumer_sequence: u64,
    /// The next stream sequence is at least this.
    position: u64,
}

impl Contiguity {
    /// The state before the first delivery of a new consumer that starts at `from_offset`.
    pub fn new(from_offset: u64) -> Self {
        Self { consumer_sequence: 0, position: from_offset }
    }

    /// The first offset that was not yet accepted.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Accepts a delivery.
    ///
    /// # Errors
    /// The reason why the delivery cannot be trusted.
    pub fn accept(&mut self, info: &DeliveryInfo) -> Result<(), String> {
        if mutation::is_off("queue.contiguity") {
            (self.consumer_sequence, self.position) = (info.consumer_sequence, info.stream_sequence + 1);
            return Ok(());
        }
        if info.delivered_count != 1 {
            return Err(format!("offset {} was delivered {} times", info.stream_sequence, info.delivered_count));
        }
        if info.consumer_sequence != self.consumer_sequence + 1 {
            let (seen, came) = (self.consumer_sequence, info.consumer_sequence);
            return Err(format!("delivery {came} came after delivery {seen}: some were lost"));
        }
        if info.stream_sequence < self.position {
            let (came, position) = (info.stream_sequence, self.position);
            return Err(format!("offset {came} came at position {position}: the stream went back"));
        }
        self.consumer_sequence = info.consumer_sequence;
        self.position = info.stream_sequence + 1;
        Ok(())
    }

    /// Checks the last delivery sent, as a heartbeat reports it. Deliveries and heartbeats travel in one order, so
    /// that every delivery sent before the heartbeat must have arrived.
    ///
    /// # Errors
    /// The missing deliveries.
    pub fn check_sent(&self, last_consumer_sequence: u64) -> Result<(), String> {
        if last_consumer_sequence > self.consumer_sequence && !mutation::is_off("queue.contiguity") {
            let seen = self.consumer_sequence;
            return Err(format!("the server sent {last_consumer_sequence} messages, {seen} arrived"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn delivery(delivered_count: u64, stream_sequence: u64, consumer_sequence: u64) -> DeliveryInfo {
        DeliveryInfo { delivered_count, stream_sequence, consumer_sequence, timestamp_ns: 0 }
    }

    #[test]
    fn gaps_in_the_stream_are_fine_and_gaps_in_the_deliveries_are_not() {
        let mut seen = Contiguity::new(5);
        seen.accept(&delivery(1, 5, 1)).expect("first");
        seen.accept(&delivery(1, 900, 2)).expect("a gap in the stream");
        assert_eq!(seen.position(), 901);
        assert!(seen.accept(&delivery(1, 902, 4)).is_err(), "a lost delivery");
        assert!(seen.accept(&delivery(2, 902, 3)).is_err(), "a redelivery");
        assert!(seen.accept(&delivery(1, 900, 3)).is_err(), "backwards");
        assert!(Contiguity::new(5).accept(&delivery(1, 4, 1)).is_err(), "below the start");
    }

    #[test]
    fn a_heartbeat_betrays_a_lost_tail() {
        let mut seen = Contiguity::new(1);
        seen.check_sent(0).expect("nothing sent");
        seen.accept(&delivery(1, 1, 1)).expect("first");
        seen.check_sent(1).expect("all arrived");
        assert!(seen.check_sent(2).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_lost_repeated_or_swapped_nothing_wrong_is_accepted(
            order in prop::collection::vec(0_u64..20, 0..60)
        ) {
            let mut seen = Contiguity::new(10);
            let mut accepted = Vec::new();
            for index in order {
                if seen.accept(&delivery(1, 10 + 2 * index, index + 1)).is_ok() {
                    accepted.push(index);
                }
            }
            let expected: Vec<u64> = (0..accepted.len() as u64).collect();
            prop_assert_eq!(accepted, expected);
        }
    }
}

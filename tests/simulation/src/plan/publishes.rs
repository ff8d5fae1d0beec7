//! The messages of a run.
//!
//! Owns: the times and sizes of publishes. Does not own: faults, carrying them out (`world`).

use std::time::Duration;

use super::Action;
use crate::chance::Chance;

/// Publishes until the end of the faults, in the order of time.
pub(super) fn publishes(chance: &Chance, partition_count: u32, end_ms: u64) -> Vec<(Duration, Action)> {
    let mut actions = Vec::new();
    let most = chance.pick(&[4, 12]);
    let mut at_ms = 0;
    while at_ms < end_ms {
        let publish = Action::Publish {
            partition_id: chance.below(u64::from(partition_count)) as u32,
            count: chance.between(1..most),
            is_repeated: chance.below(4) > 0,
        };
        actions.push((Duration::from_millis(at_ms), publish));
        at_ms += chance.between(50..1_500);
    }
    actions
}

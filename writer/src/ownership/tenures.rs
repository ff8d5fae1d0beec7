//! Tenures: the state of every partition in this writer.
//!
//! Owns: the only map from partition to [`Tenure`], and the assertion that no transition is refused.
//! Does not own: the transitions (`tenure`), the steps that follow them (`supervise`).

use std::collections::BTreeMap;

use catalog::{Ownership, PartitionOwner, PartitionState};
use common::TopicPartition;
use tokio::time::Instant;

use crate::ownership::tenure::{Event, Step, Tenure};

/// The state of every partition; a free one has no entry.
#[derive(Debug, Default)]
pub(crate) struct Tenures {
    tenures: BTreeMap<TopicPartition, Tenure>,
}

impl Tenures {
    /// Changes the state of `partition` by `event`, and returns the step that follows.
    ///
    /// # Panics
    /// If the event cannot occur in this state: continuing could run two pipelines for one partition.
    pub(crate) fn apply(&mut self, partition: &TopicPartition, event: Event) -> Step {
        let tenure = self.tenures.remove(partition).unwrap_or(Tenure::Free);
        let (tenure, step) = match tenure.after(event) {
            Ok(after) => after,
            Err(refused) => panic!("partition {partition}: {refused}"),
        };
        if !matches!(tenure, Tenure::Free) {
            self.tenures.insert(partition.clone(), tenure);
        }
        step
    }

    /// Compares a row of the ownership view with the partition's state. `committed` is the watermark that the catalog
    /// confirmed to this writer, read before the view; zero if there is none.
    pub(crate) fn look(&mut self, row: &PartitionOwner, committed: u64) -> Step {
        let Some(tenure) = self.tenures.get(&row.partition) else { return Step::Nothing };
        match tenure.loss(row, committed) {
            Some(loss) => self.apply(&row.partition, Event::Lost(loss)),
            None if row.state == PartitionState::Active => self.apply(&row.partition, Event::SeenActive),
            None => Step::Nothing,
        }
    }

    /// Frees every partition whose rest is over at `now`.
    pub(crate) fn end_rests(&mut self, now: Instant) {
        let resting = |(partition, tenure): (&TopicPartition, &Tenure)| {
            matches!(tenure, Tenure::Resting { .. }).then(|| partition.clone())
        };
        let resting: Vec<TopicPartition> = self.tenures.iter().filter_map(resting).collect();
        for partition in resting {
            let step = self.apply(&partition, Event::Time(now));
            assert!(matches!(step, Step::Nothing), "the end of a rest needs no step: {step:?}");
        }
    }

    /// True if this writer may acquire `partition`.
    pub(crate) fn is_free(&self, partition: &TopicPartition) -> bool {
        !self.tenures.contains_key(partition)
    }

    /// The ownerships to give back, by partition.
    pub(crate) fn drained(&self) -> Vec<Ownership> {
        let drained = |tenure: &Tenure| match tenure {
            Tenure::Drained(ownership) => Some(ownership.clone()),
            _ => None,
        };
        self.tenures.values().filter_map(drained).collect()
    }

    /// Applies the catalog's confirmation that it released these ownerships, which [`Tenures::drained`] returned.
    pub(crate) fn released(&mut self, ownerships: &[Ownership]) {
        for ownership in ownerships {
            let step = self.apply(&ownership.partition, Event::Released);
            assert!(matches!(step, Step::Nothing), "a release needs no further step: {step:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use common::{Epoch, Incarnation, OwnerId, TopicName};
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    use super::*;
    use crate::ownership::tenure::REST_AFTER_DEFECT;
    use crate::pipeline::context::Stop;

    fn acquired(partition_id: u32) -> (TopicPartition, Event) {
        let partition = TopicPartition::new(TopicName::new("orders").expect("valid"), partition_id);
        let ownership = Ownership {
            partition: partition.clone(),
            owner: OwnerId(Uuid::from_u128(1)),
            epoch: Epoch(1),
            incarnation: Incarnation(1),
            high_watermark: 0,
            anchor: None,
            takeovers: 0,
            suspect: None,
        };
        (partition, Event::Acquired { ownership, stop: CancellationToken::new() })
    }

    #[tokio::test]
    async fn a_partition_is_free_again_after_its_release_and_after_its_rest() {
        let (mut tenures, now) = (Tenures::default(), Instant::now());
        let [(first, one), (second, two)] = [acquired(1), acquired(2)];
        tenures.apply(&first, one);
        tenures.apply(&second, two);
        assert!(!tenures.is_free(&first) && !tenures.is_free(&second));
        tenures.apply(&first, Event::Ended { end: Ok(()), now });
        tenures.apply(&second, Event::Ended { end: Err(Stop::Internal("a panic".to_owned())), now });
        let drained = tenures.drained();
        assert_eq!(drained.iter().map(|ownership| &ownership.partition).collect::<Vec<_>>(), [&first]);
        assert!(!tenures.is_free(&first), "it is given back before it is asked for again");
        tenures.released(&drained);
        tenures.end_rests(now + REST_AFTER_DEFECT - Duration::from_secs(1));
        assert!(tenures.is_free(&first) && !tenures.is_free(&second));
        tenures.end_rests(now + REST_AFTER_DEFECT);
        assert!(tenures.is_free(&second) && tenures.drained().is_empty());
    }

    #[tokio::test]
    #[should_panic(expected = "cannot take the event")]
    async fn a_second_pipeline_for_a_partition_is_a_defect() {
        let mut tenures = Tenures::default();
        let (partition, event) = acquired(1);
        tenures.apply(&partition, event.clone());
        tenures.apply(&partition, event);
    }
}

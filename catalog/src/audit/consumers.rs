//! Offsets of consumer groups against the partition that they count in.
//!
//! Owns: the check that no group is ahead of the records. Does not own: reading offsets and the queue's end (the writer's
//! audit).

use common::TopicPartition;

use super::problem::{Check, Problem};
use crate::model::{ConsumerOffset, Partition};

const AHEAD: &str =
    "the group would pass over the records that get these offsets: set its offsets with `siltstone groups reset`";

/// Problems of these offsets, of which each is one of the partition. `queue_end` is the offset of the next message; without
/// it, offsets of the current history are not judged, because a group may be ahead of the watermark.
pub fn check_consumers(partition: &Partition, offsets: &[ConsumerOffset], queue_end: Option<u64>) -> Vec<Problem> {
    let of = TopicPartition::new(partition.topic.clone(), partition.partition_id);
    let end = queue_end.map(|end| end.max(partition.high_watermark));
    let problem = |offset: &ConsumerOffset| {
        let (group, now) = (&offset.group_id, partition.incarnation);
        let found = match end {
            _ if offset.incarnation > now => {
                format!("group {group} is at incarnation {}, the partition at {now}", offset.incarnation)
            }
            Some(end) if offset.incarnation == now && offset.committed_offset > end => {
                format!("group {group} is at offset {}, the next message gets {end}", offset.committed_offset)
            }
            _ => return None,
        };
        let problem = Problem::new(Check::Consumers, &of, offset.incarnation, found, AHEAD);
        Some(problem.at(offset.committed_offset))
    };
    offsets.iter().filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use common::{Epoch, Incarnation, TopicName};

    use super::*;
    use crate::model::PartitionState;

    #[test]
    fn a_group_ahead_of_its_history_is_a_problem() {
        let topic = TopicName::new("t").expect("valid");
        let partition = Partition {
            topic: topic.clone(),
            partition_id: 3,
            high_watermark: 40,
            incarnation: Incarnation(1),
            epoch: Epoch(1),
            owner: None,
            state: PartitionState::Active,
            halt_reason: None,
            anchor: None,
            commit_no: 1,
            created_at: 0,
            updated_at: 0,
        };
        let found = |incarnation, committed_offset, queue_end| {
            let offset = ConsumerOffset {
                group_id: "g".to_owned(),
                topic: topic.clone(),
                partition_id: 3,
                incarnation: Incarnation(incarnation),
                committed_offset,
                metadata: None,
            };
            check_consumers(&partition, &[offset], queue_end)
                .into_iter()
                .map(|problem| problem.found)
                .collect::<Vec<_>>()
        };
        assert_eq!(found(1, 40, None), Vec::<String>::new());
        assert_eq!(found(1, 41, None), Vec::<String>::new(), "it may have read the queue");
        assert_eq!(found(1, 50, Some(50)), Vec::<String>::new());
        assert_eq!(found(1, 51, Some(50)), ["group g is at offset 51, the next message gets 50"]);
        assert_eq!(found(1, 41, Some(7)), ["group g is at offset 41, the next message gets 40"]);
        assert_eq!(found(0, 900, Some(50)), Vec::<String>::new(), "an earlier history, perhaps ahead of its commits");
        assert_eq!(found(2, 0, None), ["group g is at incarnation 2, the partition at 1"]);
    }
}

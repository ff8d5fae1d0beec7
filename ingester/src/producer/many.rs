//! Sending many messages in one call.
//!
//! Owns: their division by partition, and the outcomes in the order of the call. Does not own: the partition of a message
//! (`routing`), the order in a partition (`lane`).

use std::collections::BTreeMap;
use std::time::Duration;

use common::{OutgoingMessage, TopicName, TopicPartition};
use tokio::time::Instant;

use super::Producer;
use super::batch::{Origin, SendHandle};
use super::routing::{Group, compute_partition};
use crate::error::Result;
use crate::outcome::SendOutcome;
use crate::topics::KnownTopic;

impl Producer {
    /// Sends messages at once, each to the partition of its key or in turn; returns one outcome each, in order. Messages
    /// of one partition keep their order; partitions are sent concurrently, and the failure of one message or partition
    /// does not hide the outcome of another.
    ///
    /// # Errors
    /// An error of the whole call sends nothing: the topic is absent, or cannot be looked up or opened.
    pub async fn send_batch(&self, topic: &TopicName, messages: Vec<OutgoingMessage>) -> Result<Vec<SendOutcome>> {
        self.send_batch_to(topic, None, messages).await
    }

    /// The same with all messages to `partition`, if given.
    ///
    /// # Errors
    /// As [`Producer::send_batch`], and if the topic has no such partition.
    pub async fn send_batch_to(
        &self,
        topic: &TopicName,
        partition: Option<u32>,
        messages: Vec<OutgoingMessage>,
    ) -> Result<Vec<SendOutcome>> {
        self.send_batch_aged(topic, partition, messages, None).await
    }

    /// The same with messages whose first attempt, elsewhere, was so long ago: the queue knows their ids for so much less.
    ///
    /// # Errors
    /// As [`Producer::send_batch_to`].
    pub(crate) async fn send_batch_aged(
        &self,
        topic: &TopicName,
        partition: Option<u32>,
        messages: Vec<OutgoingMessage>,
        age: Option<Duration>,
    ) -> Result<Vec<SendOutcome>> {
        let since = age.and_then(|age| Instant::now().checked_sub(age));
        let known = self.topics().get(topic).await?;
        let mut handles: Vec<Option<SendHandle>> = vec![None; messages.len()];
        let groups = self.group_by_partition(&known, partition, messages, Origin { since, ..Origin::default() })?;
        for (partition, group) in groups {
            let memory = self.room(group.bytes).await;
            let partition = TopicPartition::new(topic.clone(), partition);
            let pushed = self.lanes.push(partition, group.messages.into_iter(), memory, true);
            group.places.into_iter().zip(pushed).for_each(|(place, handle)| handles[place] = Some(handle));
        }
        let mut outcomes = Vec::with_capacity(handles.len());
        for handle in handles {
            outcomes.push(handle.expect("every message is in one group").await);
        }
        Ok(outcomes)
    }

    fn group_by_partition(
        &self,
        known: &KnownTopic,
        chosen: Option<u32>,
        messages: Vec<OutgoingMessage>,
        origin: Origin,
    ) -> Result<BTreeMap<u32, Group>> {
        let mut groups: BTreeMap<u32, Group> = BTreeMap::new();
        for (place, message) in messages.into_iter().enumerate() {
            let group = groups.entry(compute_partition(known, message.key.as_deref(), chosen)?).or_default();
            group.places.push(place);
            group.bytes += message.memory_bytes();
            group.messages.push(self.identified(message, origin));
        }
        Ok(groups)
    }
}

//! Calls on topics, segments, ingesters, replays, consumer groups and tokens.
//!
//! Owns: the transaction of each of them. Does not own: the calls of writers (`client`).

use std::time::Duration;

use ::catalog::{
    AgentStore, ColumnStatistics, CommitRecord, ConsumerOffset, ConsumerStore, Exceptions, Expiration, Expired,
    ExpiredBefore, FileId, ImportedSegment, IncarnationStart, Ingester, LakeSnapshot, NewToken, ObjectsPlace,
    OpenTables, Partition, Position, ReadAhead, ReadFrom, RecordedGap, RegisteredAgent, Replay, ReplayStore, Result,
    RetiredObject, SegmentInfo, SegmentKind, SegmentStore, SnapshotId, TableStore, Token, TokenStore, Topic,
    TopicConfig, TopicSnapshot, TopicStore, View, ViewRequest, ViewStore,
};
use async_trait::async_trait;
use common::topic::TopicOptions;
use common::{OffsetRange, OwnerId, TopicName, TopicPartition};

use super::{Client, Door, Rows};
use crate::catalog::state::CatalogState;

#[async_trait]
impl<D: Door> TopicStore for Client<D> {
    async fn create_topic(&self, topic: TopicConfig) -> Result<Topic> {
        self.write("create_topic", Rows::None, |state| state.create_topic(topic)).await
    }

    async fn delete_topic(&self, name: &TopicName) -> Result<()> {
        let name = name.clone();
        self.write("delete_topic", Rows::OfTopic(name.clone()), move |state| state.delete_topic(&name)).await
    }

    async fn get_topic(&self, name: &TopicName) -> Result<Option<Topic>> {
        let name = name.clone();
        self.read("get_topic", move |state| Ok(state.topics.get(&name).cloned())).await
    }

    async fn list_topics(&self) -> Result<Vec<Topic>> {
        self.read("list_topics", |state| Ok(state.topics.values().cloned().collect())).await
    }

    async fn update_topic_config(
        &self,
        name: &TopicName,
        seen_version: u32,
        retention_ms: Option<u64>,
        config: TopicOptions,
    ) -> Result<Topic> {
        let name = name.clone();
        self.write("update_topic_config", Rows::None, move |state| {
            state.update_topic(&name, seen_version, Some(retention_ms), config)
        })
        .await
    }

    async fn update_topic_options(&self, name: &TopicName, seen_version: u32, config: TopicOptions) -> Result<Topic> {
        let name = name.clone();
        let update = move |state: &mut CatalogState| state.update_topic(&name, seen_version, None, config);
        self.write("update_topic_options", Rows::None, update).await
    }

    async fn get_partition(&self, partition: &TopicPartition) -> Result<Option<Partition>> {
        let partition = partition.clone();
        self.read("get_partition", move |state| Ok(state.get_partition(&partition))).await
    }

    async fn list_partitions(&self, topic: &TopicName) -> Result<Vec<Partition>> {
        let topic = topic.clone();
        self.read("list_partitions", move |state| Ok(state.list_partitions(&topic))).await
    }

    async fn update_high_watermark(&self, partition: &TopicPartition, high_watermark: u64) -> Result<()> {
        let (rows, partition) = (Rows::of(partition), partition.clone());
        self.write("update_high_watermark", rows, move |state| state.update_high_watermark(&partition, high_watermark))
            .await
    }
}

#[async_trait]
impl<D: Door> SegmentStore for Client<D> {
    async fn add_segment(&self, segment: ImportedSegment) -> Result<()> {
        let rows = Rows::of(&segment.partition);
        self.write("add_segment", rows, move |state| state.add_segment(&segment)).await
    }

    async fn get_segments(&self, partition: &TopicPartition) -> Result<Vec<SegmentInfo>> {
        let partition = partition.clone();
        self.read("get_segments", move |state| Ok(state.segments_of(&partition).to_vec())).await
    }

    async fn find_segment_for_offset(&self, partition: &TopicPartition, offset: u64) -> Result<Option<SegmentInfo>> {
        let partition = partition.clone();
        self.read("find_segment_for_offset", move |state| state.find_segment_for_offset(&partition, offset)).await
    }

    async fn segments_from(&self, partition: &TopicPartition, from: ReadFrom, limit: u32) -> Result<Option<ReadAhead>> {
        let partition = partition.clone();
        self.read("segments_from", move |state| state.segments_from(&partition, from, limit)).await
    }

    async fn expire_segments(&self, topic: &TopicName, before: &[ExpiredBefore]) -> Result<u64> {
        let of = |before: &ExpiredBefore| TopicPartition::new(topic.clone(), before.partition_id);
        let rows = Rows::These(before.iter().map(of).collect());
        let (topic, before) = (topic.clone(), before.to_vec());
        self.write("expire_segments", rows, move |state| state.expire_segments(&topic, &before)).await
    }

    async fn expire_by_age(&self, topic: &TopicName) -> Result<Expired> {
        let name = topic.clone();
        self.write("expire_by_age", Rows::OfTopic(name.clone()), move |state| state.expire_by_age(&name)).await
    }

    async fn due_by_age(&self, topic: &TopicName) -> Result<Expired> {
        let topic = topic.clone();
        self.read("due_by_age", move |state| Ok(state.due_by_age(&topic))).await
    }

    async fn snapshot(&self, topic: &TopicName) -> Result<TopicSnapshot> {
        let topic = topic.clone();
        self.read("snapshot", move |state| state.snapshot(&topic)).await
    }

    async fn list_retired(&self, topic: &TopicName) -> Result<Vec<RetiredObject>> {
        let topic = topic.clone();
        self.read("list_retired", move |state| Ok(state.list_retired(&topic))).await
    }

    async fn list_snapshots(&self) -> Result<Vec<LakeSnapshot>> {
        self.read("list_snapshots", |state| Ok(state.list_snapshots())).await
    }

    async fn object_statistics(
        &self,
        topic: &TopicName,
        kind: SegmentKind,
        field_ids: &[i32],
        after: Option<SnapshotId>,
    ) -> Result<Vec<(FileId, ColumnStatistics)>> {
        let (topic, field_ids) = (topic.clone(), field_ids.to_vec());
        self.read("object_statistics", move |state| Ok(state.object_statistics(&topic, kind, &field_ids, after))).await
    }

    async fn exceptions(&self, partition: &TopicPartition, range: OffsetRange) -> Result<Option<Exceptions>> {
        let partition = partition.clone();
        self.read("exceptions", move |state| state.exceptions(&partition, range)).await
    }

    async fn list_gaps(&self, partition: &TopicPartition) -> Result<Vec<RecordedGap>> {
        let partition = partition.clone();
        self.read("list_gaps", move |state| Ok(state.list_gaps(&partition))).await
    }

    async fn list_commits(&self, partition: &TopicPartition) -> Result<Vec<CommitRecord>> {
        let partition = partition.clone();
        self.read("list_commits", move |state| Ok(state.list_commits(&partition))).await
    }

    async fn list_incarnations(&self, partition: &TopicPartition) -> Result<Vec<IncarnationStart>> {
        let partition = partition.clone();
        self.read("list_incarnations", move |state| Ok(state.list_incarnations(&partition))).await
    }

    async fn list_expirations(&self, partition: &TopicPartition) -> Result<Vec<Expiration>> {
        let partition = partition.clone();
        self.read("list_expirations", move |state| Ok(state.list_expirations(&partition))).await
    }
}

#[async_trait]
impl<D: Door> ViewStore for Client<D> {
    async fn view(&self, request: &ViewRequest) -> Result<View> {
        let request = request.clone();
        self.read("view", move |state| Ok(state.view(&request))).await
    }
}

#[async_trait]
impl<D: Door> TableStore for Client<D> {
    async fn record_root(&self, bucket: &str, root: &str) -> Result<()> {
        let (bucket, root) = (bucket.to_owned(), root.to_owned());
        self.write("record_root", Rows::None, move |state| {
            state.roots.insert(bucket, root);
            Ok(())
        })
        .await
    }

    async fn objects_place(&self, bucket: &str) -> Result<ObjectsPlace> {
        let bucket = bucket.to_owned();
        self.read("objects_place", move |state| Ok(state.objects_place(&bucket))).await
    }

    async fn open_tables(&self, topic: Option<&TopicName>) -> Result<OpenTables> {
        let topic = topic.cloned();
        self.read("open_tables", move |state| Ok(state.open_tables(topic.as_ref()))).await
    }
}

#[async_trait]
impl<D: Door> ReplayStore for Client<D> {
    async fn mark_replayed(&self, replays: &[Replay]) -> Result<()> {
        let replays = replays.to_vec();
        self.write("mark_replayed", Rows::None, move |state| state.mark_replayed(&replays)).await
    }

    async fn list_replays(&self, partition: &TopicPartition) -> Result<Vec<Replay>> {
        let partition = partition.clone();
        self.read("list_replays", move |state| Ok(state.list_replays(&partition))).await
    }
}

#[async_trait]
impl<D: Door> ConsumerStore for Client<D> {
    async fn ensure_consumer_group(&self, group_id: &str) -> Result<()> {
        let group_id = group_id.to_owned();
        self.write("ensure_consumer_group", Rows::None, move |state| state.ensure_consumer_group(&group_id)).await
    }

    async fn commit_offset(&self, offset: ConsumerOffset) -> Result<()> {
        self.write("commit_offset", Rows::None, |state| state.commit_offset(offset)).await
    }

    async fn get_committed_offset(&self, group_id: &str, partition: &TopicPartition) -> Result<Option<Position>> {
        let (group_id, partition) = (group_id.to_owned(), partition.clone());
        self.read("get_committed_offset", move |state| state.get_committed_offset(&group_id, &partition)).await
    }

    async fn get_consumer_offsets(&self, group_id: &str) -> Result<Vec<ConsumerOffset>> {
        let group_id = group_id.to_owned();
        self.read("get_consumer_offsets", move |state| state.get_consumer_offsets(&group_id)).await
    }

    async fn delete_consumer_group(&self, group_id: &str) -> Result<()> {
        let group_id = group_id.to_owned();
        self.write("delete_consumer_group", Rows::None, move |state| state.delete_consumer_group(&group_id)).await
    }
}

#[async_trait]
impl<D: Door> TokenStore for Client<D> {
    async fn create_token(&self, token: NewToken) -> Result<Token> {
        self.write("create_token", Rows::None, |state| state.create_token(token)).await
    }

    async fn list_tokens(&self) -> Result<Vec<Token>> {
        self.read("list_tokens", |state| Ok(state.list_tokens())).await
    }

    async fn revoke_token(&self, name: &str) -> Result<Token> {
        let name = name.to_owned();
        self.write("revoke_token", Rows::None, move |state| state.revoke_token(&name)).await
    }
}

#[async_trait]
impl<D: Door> AgentStore for Client<D> {
    async fn announce(&self, ingester: &Ingester) -> Result<()> {
        let ingester = ingester.clone();
        self.write("announce", Rows::None, move |state| state.announce(&ingester)).await
    }

    async fn withdraw(&self, id: OwnerId) -> Result<()> {
        self.write("withdraw", Rows::None, move |state| {
            state.withdraw(id);
            Ok(())
        })
        .await
    }

    async fn list_registered(&self, writer_lease: Duration) -> Result<Vec<RegisteredAgent>> {
        self.read("list_registered", move |state| Ok(state.list_registered(writer_lease))).await
    }
}

//! Transactions on topics and partitions.
//!
//! Owns: creating and deleting them, their options, moves of the watermark outside commits.
//! Does not own: moves of the watermark in commits (`commit`).

use std::collections::BTreeSet;

use ::catalog::{CatalogError, FileId, Partition, PartitionState, Result, Topic, TopicConfig};
use common::topic::{TopicDefinition, TopicOptions};
use common::{Epoch, Incarnation, TopicName, TopicPartition};

use super::event::Change;
use super::lake::Word;
use super::limits;
use super::state::{CatalogState, PartitionRow};

impl CatalogState {
    pub(crate) fn create_topic(&mut self, topic: TopicConfig) -> Result<Topic> {
        storable(topic.retention_ms)?;
        valid(&topic.name, topic.partition_count, &topic.config)?;
        if self.topics.contains_key(&topic.name) {
            return Err(CatalogError::TopicAlreadyExists(topic.name.to_string()));
        }
        if let Some(existing) = self.topic_names.get(&folded(&topic.name)) {
            let (name, existing) = (topic.name.to_string(), existing.to_string());
            return Err(CatalogError::TopicExistsAs { name, existing });
        }
        let created = Topic {
            name: topic.name,
            partition_count: topic.partition_count,
            retention_ms: topic.retention_ms,
            config: topic.config,
            schema_version: 1,
            created_at: self.now_ms,
            updated_at: self.now_ms,
        };
        let epoch = self.retired_epochs.get(&created.name).copied().unwrap_or_default();
        for partition_id in 0..created.partition_count {
            let partition = TopicPartition::new(created.name.clone(), partition_id);
            let row = new_partition(&partition, epoch, self.now_ms);
            self.partitions.insert(partition, row);
        }
        let quoted = format!("\"{}\"", created.name.as_str().replace('"', "\"\""));
        let tables = self.snapshot_of_new_tables(&quoted);
        self.tables.insert(created.name.clone(), tables);
        self.topic_names.insert(folded(&created.name), created.name.clone());
        self.topics.insert(created.name.clone(), created.clone());
        self.changed(Change::TopicCreated(created.name.clone()));
        Ok(created)
    }

    pub(crate) fn delete_topic(&mut self, name: &TopicName) -> Result<()> {
        if !self.topics.contains_key(name) {
            return Err(CatalogError::TopicNotFound(name.to_string()));
        }
        let partitions: Vec<TopicPartition> = self.partitions_of(name).map(|(of, _)| of.clone()).collect();
        let live: Vec<FileId> =
            self.objects.iter().filter(|(_, row)| &row.topic == name).map(|(file_id, _)| *file_id).collect();
        self.refuse_known_uploads(&live)?;
        self.doom_pending(|upload| &upload.topic == name);
        let ids = self.ids_by_object(name);
        let tables = self.tables.remove(name).map(|tables| BTreeSet::from([tables.data, tables.quarantine]));
        let tables = tables.unwrap_or_default();
        let listing = self.snapshot_of(Word::Dropped, &tables, 0);
        self.drop_published(name, &tables);
        let epoch = partitions.iter().map(|of| self.partitions[of].partition.epoch).max().unwrap_or_default();
        self.retired_epochs.insert(name.clone(), epoch);
        for of in &partitions {
            self.drop_segments(of, |_| true);
            self.partitions.remove(of);
            self.segments.remove(of);
            self.commits.remove(of);
            self.gaps.remove(of);
            self.incarnations.remove(of);
            self.expirations.remove(of);
        }
        self.retire(&live, listing.snapshot_id, &ids);
        self.offsets.retain(|(_, of), _| &of.topic != name);
        self.claims.retain(|(_, of), _| &of.topic != name);
        self.replays.retain(|(of, ..), _| &of.topic != name);
        self.topics.remove(name);
        self.forget_name(name);
        self.changed(Change::TopicDeleted(name.clone()));
        Ok(())
    }

    /// Without `retention_ms` the retention stays as it is.
    pub(crate) fn update_topic(
        &mut self,
        name: &TopicName,
        seen_version: u32,
        retention_ms: Option<Option<u64>>,
        options: TopicOptions,
    ) -> Result<Topic> {
        let Some(topic) = self.topics.get_mut(name) else {
            return Err(CatalogError::TopicNotFound(name.to_string()));
        };
        if topic.schema_version != seen_version {
            let (seen, now) = (seen_version, topic.schema_version);
            return Err(CatalogError::TopicChanged { topic: name.clone(), seen, now });
        }
        valid(name, topic.partition_count, &options)?;
        let retention_ms = retention_ms.unwrap_or(topic.retention_ms);
        storable(retention_ms)?;
        topic.schema_version += u32::from(topic.config != options);
        topic.config = options;
        topic.retention_ms = retention_ms;
        topic.updated_at = self.now_ms;
        let topic = topic.clone();
        if topic.schema_version != seen_version {
            let tables = self.tables[name];
            self.snapshot_of(Word::Altered, &BTreeSet::from([tables.data, tables.quarantine]), 0);
        }
        self.changed(Change::Other("update_topic_config"));
        Ok(topic)
    }

    /// Another topic whose name differs only in case, if there is one, blocks new ones from now on.
    fn forget_name(&mut self, name: &TopicName) {
        let folded_name = folded(name);
        self.topic_names.remove(&folded_name);
        if let Some(other) = self.topics.keys().find(|other| folded(other) == folded_name) {
            self.topic_names.insert(folded_name, other.clone());
        }
    }

    pub(crate) fn get_partition(&self, partition: &TopicPartition) -> Option<Partition> {
        self.partitions.get(partition).map(|row| row.partition.clone())
    }

    pub(crate) fn list_partitions(&self, topic: &TopicName) -> Vec<Partition> {
        self.partitions_of(topic).map(|(_, row)| row.partition.clone()).collect()
    }

    pub(crate) fn update_high_watermark(&mut self, partition: &TopicPartition, high_watermark: u64) -> Result<()> {
        limits::offset(high_watermark)?;
        let now = &self.row(partition)?.partition;
        if let Some(owner) = now.owner {
            let reason = format!("it is owned by {owner}; stop that writer first");
            return Err(CatalogError::Fenced { partition: partition.clone(), reason });
        }
        if high_watermark < now.high_watermark {
            let reason = format!("the watermark is {} and never moves back", now.high_watermark);
            return Err(CatalogError::InvalidOffset { offset: high_watermark, reason });
        }
        if high_watermark == now.high_watermark {
            return Ok(());
        }
        let now_ms = self.now_ms;
        let row = self.partitions.get_mut(partition).expect("it was read above");
        row.partition.high_watermark = high_watermark;
        // The message before the new watermark is unknown.
        row.partition.anchor = None;
        row.partition.updated_at = now_ms;
        self.changed(Change::WatermarkMoved(partition.clone(), high_watermark));
        Ok(())
    }
}

fn new_partition(partition: &TopicPartition, epoch: Epoch, now_ms: i64) -> PartitionRow {
    let partition = Partition {
        topic: partition.topic.clone(),
        partition_id: partition.partition_id,
        high_watermark: 0,
        incarnation: Incarnation(0),
        epoch,
        owner: None,
        state: PartitionState::Active,
        halt_reason: None,
        anchor: None,
        commit_no: 0,
        created_at: now_ms,
        updated_at: now_ms,
    };
    PartitionRow { partition, takeovers: 0, suspect: None }
}

/// The name without regard to the case of ASCII letters.
fn folded(name: &TopicName) -> String {
    name.as_str().to_ascii_lowercase()
}

fn storable(retention_ms: Option<u64>) -> Result<()> {
    retention_ms.map_or(Ok(()), |value| limits::number("retention_ms", value))
}

fn valid(name: &TopicName, partition_count: u32, options: &TopicOptions) -> Result<()> {
    TopicDefinition { name: name.clone(), partition_count, options: options.clone() }
        .validate()
        .map_err(|error| CatalogError::Refused(error.to_string()))
}

//! Random histories of a topic: commits, replacements, retention, columns, a janitor without patience, and two publishers at
//! once that are killed at any step. After each step, readers find what the catalog says they find.

mod failover;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use catalog::{
    Agent, CommitStore, ImportedSegment, JanitorStore, MetadataStore, NewObject, NewSegment, ObjectInfo,
    OwnershipStore, PublishScope, ReplaceOutcome, Replacement, Scope, SegmentKind, SegmentStore, TableStore,
    TopicConfig, TopicStore,
};
use common::clock::DAY_US;
use common::{Incarnation, OffsetRange, OwnerId, TopicName, TopicPartition};
use lake::Storage;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use simulation::catalog::{Guards, ModelCatalog, VirtualClock};
use uuid::Uuid;

use crate::manifest::{self, ListedFile};
use crate::manifest_list;
use crate::metadata::Metadata;
use crate::place::key_of;
use crate::{Done, Extent, Publisher};
use crate::{Error, inspect};

const DATA: SegmentKind = SegmentKind::Data;

/// A topic and those who work on it.
struct World {
    random: fastrand::Rng,
    model: ModelCatalog,
    catalog: Arc<dyn MetadataStore>,
    storage: Storage,
    topic: TopicName,
    owner: OwnerId,
    next_offset: u64,
    columns: u32,
    _directory: tempfile::TempDir,
}

impl World {
    async fn new(seed: u64, guards: Guards) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let storage = Storage::local(directory.path().to_owned()).expect("a store");
        let model = ModelCatalog::new(VirtualClock::shared(), guards);
        let topic = TopicName::new("a%b").expect("valid");
        let config =
            TopicConfig { name: topic.clone(), partition_count: 1, retention_ms: None, config: Default::default() };
        model.create_topic(config).await.expect("created");
        model.record_root("", &storage.reader_root().expect("a directory")).await.expect("recorded");
        let owner = OwnerId(Uuid::from_u128(1));
        let agent = Agent { owner, name: "one".to_owned(), scope: Scope::Nothing, contact: Default::default() };
        model.heartbeat(&agent).await.expect("registered");
        let (random, catalog) = (fastrand::Rng::with_seed(seed), Arc::new(model.clone()));
        Self { random, model, catalog, storage, topic, owner, next_offset: 0, columns: 0, _directory: directory }
    }

    fn publisher(&self) -> Publisher {
        Publisher { catalog: Arc::clone(&self.catalog), storage: self.storage.clone(), owner: self.owner }
    }

    async fn put(&self, rows: u64) -> NewObject {
        let key = format!("{}/{}.parquet", self.topic.encoded(), Uuid::now_v7());
        let path = Path::parse(&key).expect("a path");
        self.storage.store.put(&path, "rows".into()).await.expect("put");
        NewObject {
            bucket: String::new(),
            key,
            record_count: rows,
            size_bytes: 4,
            footer_bytes: 1,
            checksum: 7,
            schema_version: 1,
            statistics: Vec::new(),
        }
    }

    async fn step(&mut self) -> Result<(), Error> {
        match self.random.u32(0..12) {
            0..4 => self.list().await,
            4 => self.replace().await,
            5 => self.expire().await,
            6 => self.alter().await,
            7 | 8 => self.sweep().await,
            9 => return self.publish_twice().await,
            10 => self.publish_and_die().await,
            _ => {
                let extent = if self.random.bool() { Extent::Changes } else { Extent::Mended };
                self.publisher().publish(&self.topic, DATA, extent).await?;
            }
        }
        Ok(())
    }

    async fn list(&mut self) {
        let (rows, day) = (self.random.u64(1..10), self.random.i64(-3..3));
        let first = day * DAY_US + self.random.i64(0..DAY_US);
        let last = if self.random.bool() { first } else { first + DAY_US / 2 };
        let range = OffsetRange::new(self.next_offset, self.next_offset + rows - 1).expect("in order");
        let segment = NewSegment {
            id: Uuid::now_v7().to_string(),
            kind: DATA,
            record_count: rows,
            min_timestamp_us: first,
            max_timestamp_us: last,
            object: Arc::new(self.put(rows).await),
        };
        let partition = TopicPartition::new(self.topic.clone(), 0);
        let import = ImportedSegment { partition, incarnation: Incarnation(0), range, segment };
        self.model.add_segment(import).await.expect("listed");
        self.next_offset += rows;
    }

    async fn live(&self) -> Vec<Arc<ObjectInfo>> {
        self.model.snapshot(&self.topic).await.expect("read").objects
    }

    async fn replace(&mut self) {
        let live = self.live().await;
        if live.is_empty() {
            return;
        }
        let first = self.random.usize(0..live.len());
        let inputs = &live[first..(first + 1 + self.random.usize(0..3)).min(live.len())];
        let rows = inputs.iter().map(|object| object.record_count).sum();
        let inputs = inputs.iter().map(|object| object.as_ref().into()).collect();
        let (topic, output) = (self.topic.clone(), self.put(rows).await);
        let replacement = Replacement { topic, kind: DATA, owner: self.owner, inputs, output };
        self.model.record_replacement_intent(&replacement.intent()).await.expect("recorded");
        let outcome = self.model.replace(&replacement).await;
        assert!(matches!(outcome, ReplaceOutcome::Done(_)), "{outcome:?}");
    }

    async fn expire(&mut self) {
        let partition = TopicPartition::new(self.topic.clone(), 0);
        let before = self.random.u64(0..=self.next_offset);
        self.model.delete_segments_before(&partition, before).await.expect("expired");
    }

    async fn alter(&mut self) {
        self.columns += 1;
        let names = (0..self.columns).map(|number| format!(r#"{{"name":"c{number}","type":"int32"}}"#));
        let text = format!(r#"{{"format":"json","columns":[{}]}}"#, names.collect::<Vec<_>>().join(","));
        let options = serde_json::from_str(&text).expect("valid");
        self.model.update_topic_config(&self.topic, self.columns, None, options).await.expect("altered");
    }

    /// A janitor that deletes everything that is due without any hold.
    async fn sweep(&mut self) {
        tokio::time::advance(Duration::from_millis(5)).await;
        self.model.fold_history(Duration::ZERO).await.expect("folded");
        let due = self.model.due_objects("", Duration::ZERO, Duration::ZERO, 1_000).await.expect("read");
        for upload in &due {
            self.storage.store.delete(&Path::parse(&upload.key).expect("a path")).await.ok();
        }
        self.model.swept(&due).await.expect("noted");
    }

    /// Two publishers at once, with a janitor among them.
    async fn publish_twice(&mut self) -> Result<(), Error> {
        let (one, two) = (self.publisher(), self.publisher());
        let topic = self.topic.clone();
        let (one, two, ()) = tokio::join!(
            one.publish(&topic, DATA, Extent::Changes),
            two.publish(&topic, DATA, Extent::Changes),
            async {
                self.replace().await;
                self.sweep().await;
            }
        );
        one.and(two).map(drop)
    }

    /// A publisher that is killed at some step.
    async fn publish_and_die(&mut self) {
        let (publisher, topic) = (self.publisher(), self.topic.clone());
        let task = tokio::spawn(async move { publisher.publish(&topic, DATA, Extent::Changes).await });
        for _ in 0..self.random.u32(0..60) {
            tokio::task::yield_now().await;
            std::thread::yield_now();
        }
        task.abort();
        task.await.ok();
    }

    /// The differences between what readers find in each kept snapshot and what is there.
    async fn differences(&self) -> Vec<String> {
        let found = inspect(self.catalog.as_ref(), &self.storage, &self.topic, DATA).await.expect("read");
        let Some(inspection) = found else { return Vec::new() };
        let mut found: Vec<String> = inspection.discrepancies.into_iter().map(|of| of.found).collect();
        let head = self.catalog.find_published(&self.topic, DATA).await.expect("read").expect("published");
        let metadata: Metadata = serde_json::from_str(&head.metadata).expect("valid");
        let mut needed = BTreeSet::from([key_of(&head.root, &head.metadata_location).expect("a key").to_owned()]);
        let mut numbers = BTreeSet::new();
        for snapshot in &metadata.snapshots {
            if !numbers.insert(snapshot.sequence_number) {
                found.push(format!("sequence number {} twice", snapshot.sequence_number));
            }
            let read = self.files(&head.root, &snapshot.manifest_list).await;
            let (keys, files) = match read {
                Ok(read) => read,
                Err(missing) => {
                    found.push(format!("snapshot {}: {missing} is gone", snapshot.sequence_number));
                    continue;
                }
            };
            if Some(snapshot.snapshot_id) == metadata.current_snapshot_id {
                needed.extend(keys);
            }
            for file in files {
                let key = Path::parse(key_of(&head.root, &file.path).expect("a key")).expect("a path");
                if self.storage.store.head(&key).await.is_err() {
                    found.push(format!("snapshot {}: {key} is gone", snapshot.sequence_number));
                }
            }
        }
        let listed = self.catalog.metadata_objects(&self.topic, DATA).await.expect("read");
        let listed: BTreeSet<String> = listed.into_iter().map(|object| object.key).collect();
        if listed != needed {
            found.push(format!("{} objects of metadata are listed, {} are needed", listed.len(), needed.len()));
        }
        found
    }

    /// The keys of the list and the manifests of a snapshot, and its objects; the key that is missing otherwise.
    async fn files(&self, root: &str, list: &str) -> Result<(Vec<String>, Vec<ListedFile>), String> {
        let list_key = key_of(root, list).expect("a key").to_owned();
        let (mut keys, mut files) = (vec![list_key.clone()], Vec::new());
        for manifest in manifest_list::read(&self.bytes(&list_key).await?).expect("well formed") {
            let key = key_of(root, &manifest).expect("a key").to_owned();
            files.extend(manifest::read(&self.bytes(&key).await?).expect("well formed"));
            keys.push(key);
        }
        Ok((keys, files))
    }

    async fn bytes(&self, key: &str) -> Result<bytes::Bytes, String> {
        let path = Path::parse(key).expect("a path");
        let found = self.storage.store.get(&path).await.map_err(|_| key.to_owned())?;
        found.bytes().await.map_err(|_| key.to_owned())
    }
}

/// Runs a history; gives the first difference.
async fn run(seed: u64, guards: Guards) -> Result<(), String> {
    let mut world = World::new(seed, guards).await;
    for step in 0..40 {
        if let Err(error) = world.step().await {
            return Err(format!("seed {seed}, step {step}: {error}"));
        }
        if let Some(first) = world.differences().await.first() {
            return Err(format!("seed {seed}, step {step}: {first}"));
        }
    }
    world.publisher().publish(&world.topic, DATA, Extent::Changes).await.map_err(|error| error.to_string())?;
    let again =
        world.publisher().publish(&world.topic, DATA, Extent::Mended).await.map_err(|error| error.to_string())?;
    assert!(matches!(again, Done::Unchanged(_)), "nothing new is nothing written: {again:?}");
    let state = world.catalog.table_state(&world.topic, DATA, PublishScope::All).await.expect("read").expect("exists");
    assert_eq!(state.head.expect("published").lake_snapshot, state.lake_snapshot, "seed {seed}");
    assert!(world.differences().await.is_empty(), "seed {seed}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn readers_find_what_the_catalog_says_at_every_moment() {
    for seed in 0..40 {
        run(seed, Guards::default()).await.unwrap_or_else(|found| panic!("{found}"));
    }
}

/// True if a history without a compare is noticed.
async fn is_noticed(off: fn(&mut Guards)) -> bool {
    let mut guards = Guards::default();
    off(&mut guards);
    for seed in 0..60 {
        if run(seed, guards).await.is_err() {
            return true;
        }
    }
    false
}

#[tokio::test(start_paused = true)]
async fn a_janitor_that_forgets_readers_of_iceberg_is_noticed() {
    assert!(is_noticed(|guards| guards.gc_iceberg_check = false).await);
}

#[tokio::test(start_paused = true)]
async fn a_publication_without_the_compare_of_the_last_version_is_noticed() {
    assert!(is_noticed(|guards| guards.publish_compare = false).await);
}

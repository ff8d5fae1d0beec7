//! A publication: from the catalog's state to a version that readers see.
//!
//! Owns: the order of its steps, and the next attempt after another publisher or a compaction was faster. Does not own:
//! what the version says (`plan`, `metadata`), the compare that makes it the newest (crate `catalog`).
//!
//! Killed at any step, it leaves objects with intents, which the janitor deletes; the next run publishes the same state.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{
    MetadataStore, Publication, PublishOutcome, PublishScope, PublishedFile, PublishedHead, SegmentKind, StateFile,
    TableState, iceberg_namespace,
};
use common::{OwnerId, TopicName, failpoint};
use lake::Storage;
use lake::object::{Found, Keep, ListedObject};
use object_store::path::Path;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::manifest::{self, ManifestSchema};
use crate::manifest_list::{self, Manifest};
use crate::metadata::{Metadata, Snapshot, Subject};
use crate::outcome::{Done, Extent, Published};
use crate::place::{Place, address, key_of, new_snapshot_id, version_of};
use crate::plan::{Last, NewSnapshot, Plan, Stored, has_fields, numbers};
use crate::schema;
use crate::store::Objects;

/// Attempts until a publication is left to the next run.
const ATTEMPTS: u32 = 5;

/// Publishes tables of topics.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// Says what is live, and which version is the newest.
    pub catalog: Arc<dyn MetadataStore>,
    /// Takes the metadata.
    pub storage: Storage,
    /// The owner of its intents, which sends heartbeats as an agent.
    pub owner: OwnerId,
}

impl Publisher {
    /// Publishes a table as it is now.
    ///
    /// # Errors
    /// If catalog or store fail, or others were faster in each attempt. What was stored is given up.
    pub async fn publish(&self, topic: &TopicName, kind: SegmentKind, extent: Extent) -> Result<Done> {
        let mut is_rebuilt = extent == Extent::Mended && self.is_damaged(topic, kind).await?;
        for _ in 0..ATTEMPTS {
            let scope = if is_rebuilt { PublishScope::All } else { PublishScope::Changes };
            let Some(state) = self.catalog.table_state(topic, kind, scope).await? else { return Ok(Done::Gone) };
            let place = Place::of(&self.storage, topic, kind, &state)?;
            let last = state.head.as_ref().and_then(last).filter(|_| !is_rebuilt);
            let is_moved =
                state.head.as_ref().is_some_and(|head| (&head.root, &head.bucket) != (&place.root, &place.bucket));
            if state.head.is_some() && !is_rebuilt && (last.is_none() || is_moved) {
                // The addresses in it are wrong, or its text cannot be read: all of it is written again.
                is_rebuilt = true;
                continue;
            }
            let objects = Objects::new(&self.catalog, &self.storage, topic, self.owner);
            let mut attempt = Attempt { publisher: self, kind, state: &state, place, last: last.as_ref(), objects };
            let done = attempt.run().await;
            match done {
                Ok(Some(done)) => return Ok(done),
                Ok(None) => attempt.objects.abandon().await,
                Err(error) => {
                    attempt.objects.abandon().await;
                    return Err(error);
                }
            }
        }
        Err(Error::Busy(ATTEMPTS))
    }

    /// True if the store lacks an object of the newest version, or has another one in its place.
    async fn is_damaged(&self, topic: &TopicName, kind: SegmentKind) -> Result<bool> {
        for object in self.catalog.metadata_objects(topic, kind).await? {
            let unusable = |error: &dyn std::fmt::Display| Error::Store(error.to_string());
            let key = Path::parse(&object.key).map_err(|error| unusable(&error))?;
            let listed = ListedObject { key, size_bytes: object.size_bytes, checksum: object.checksum };
            match listed.find(self.storage.store.as_ref(), Keep::Nothing).await {
                Found::Same(_) => {}
                Found::Absent(_) | Found::OtherSize { .. } | Found::OtherChecksum { .. } => return Ok(true),
                Found::Unreadable(error) => return Err(unusable(&error)),
            }
        }
        Ok(false)
    }
}

/// The last version, if its texts can be read.
pub(crate) fn last(head: &PublishedHead) -> Option<Last> {
    let metadata = serde_json::from_str(&head.metadata).ok()?;
    Some(Last { metadata, manifests: serde_json::from_str(&head.manifests).ok()? })
}

/// One attempt at a table's next version.
struct Attempt<'a> {
    publisher: &'a Publisher,
    kind: SegmentKind,
    state: &'a TableState,
    place: Place,
    /// The version to build on; `None` for the first one, and if all is written again.
    last: Option<&'a Last>,
    objects: Objects<'a>,
}

impl Attempt<'_> {
    /// `None` if another one was faster.
    async fn run(&mut self) -> Result<Option<Done>> {
        let fields = schema::fields(&self.state.columns)?;
        let version = self.state.head.as_ref().map_or(0, |head| head.version) + 1;
        let mut metadata = self.metadata(fields.clone());
        let new = NewSnapshot { id: new_snapshot_id(), sequence_number: metadata.last_sequence_number + 1 };
        let plan = Plan::of(self.state, self.last, new);
        if let (None, Some(head), true) = (&plan, &self.state.head, has_fields(self.last, &fields))
            && head.expires_at.is_none_or(|at| at >= self.state.now_ms)
            && head.schema_version == self.state.schema_version
        {
            return Ok(Some(Done::Unchanged(head.clone())));
        }
        let manifests = match &plan {
            Some(plan) => self.snapshot(plan, &mut metadata, version, &fields).await?,
            None => self.last.map(|last| last.manifests.clone()).unwrap_or_default(),
        };
        metadata.thin_out(version, version_of);
        let text = serde_json::to_string(&metadata).expect("metadata is JSON");
        let place = &self.place;
        let key = self.objects.put(text.clone().into_bytes(), &|| place.metadata(version)).await?;
        let head = PublishedHead {
            version,
            metadata_location: self.place.address(&key),
            bucket: self.place.bucket.clone(),
            root: self.place.root.clone(),
            lake_snapshot: self.state.lake_snapshot,
            next_file_id: self.state.next_file_id,
            schema_version: self.state.schema_version,
            metadata: text,
            manifests: serde_json::to_string(&manifests).expect("manifests are JSON"),
            expires_at: metadata.expires_at(),
        };
        let publication = self.publication(head, plan.as_ref(), &manifests, metadata.oldest_version(version));
        failpoint::hit("publish.before").await;
        match self.publisher.catalog.publish(&publication).await? {
            PublishOutcome::Published => {
                failpoint::hit("publish.done").await;
                Ok(Some(Done::Published(summary(&publication))))
            }
            PublishOutcome::TableGone => {
                self.objects.abandon().await;
                Ok(Some(Done::Gone))
            }
            PublishOutcome::StateLost
            | PublishOutcome::Overtaken
            | PublishOutcome::ObjectGone
            | PublishOutcome::IntentLost => Ok(None),
        }
    }

    fn metadata(&self, fields: Value) -> Metadata {
        let head = self.state.head.as_ref();
        // Numbers go on even if nothing else of the last version is kept.
        let before = head.and_then(last);
        let before = before.as_ref().map(|last| &last.metadata);
        let subject = Subject {
            now_ms: self.state.now_ms,
            uuid: &self.state.uuid,
            location: self.place.location(),
            last_column_id: self.state.columns.iter().map(|column| column.id).max().unwrap_or_default(),
            fields,
            properties: BTreeMap::from([
                ("siltstone.namespace".to_owned(), iceberg_namespace(self.kind).to_owned()),
                ("siltstone.table-id".to_owned(), self.state.table.to_string()),
            ]),
        };
        let location = head.map(|head| head.metadata_location.as_str());
        let mut metadata = Metadata::following(before, location, subject);
        if self.last.is_none() {
            metadata.forget_snapshots();
        }
        metadata
    }

    /// Stores the manifests of a new snapshot and their list, adds the snapshot, and returns all of its manifests.
    async fn snapshot(
        &mut self,
        plan: &Plan<'_>,
        metadata: &mut Metadata,
        version: u64,
        fields: &Value,
    ) -> Result<Vec<Manifest>> {
        let table = serde_json::json!({
            "type": "struct", "schema-id": metadata.current_schema_id, "fields": fields,
        });
        let mut manifests = plan.carried.clone();
        for (group, files) in &plan.groups {
            let entries = plan.entries(files, |file| self.path(file));
            let schema = ManifestSchema {
                table: &table,
                schema_id: metadata.current_schema_id,
                columns: &self.state.columns,
                spec_id: group.spec_id,
                day: group.day,
            };
            let bytes = manifest::write(schema, &entries);
            let (length, place) = (bytes.len() as u64, &self.place);
            let key = self.objects.put(bytes, &|| place.manifest()).await?;
            let stored = Stored { path: self.place.address(&key), key, length };
            manifests.push(plan.manifest(*group, &entries, stored));
        }
        failpoint::hit("publish.manifests").await;
        let place = manifest_list::Place {
            snapshot_id: plan.snapshot_id,
            parent_id: metadata.current_snapshot_id,
            sequence_number: plan.sequence_number,
        };
        let (bytes, of_table) = (manifest_list::write(place, &manifests), &self.place);
        let key = self.objects.put(bytes, &|| of_table.manifest_list(plan.snapshot_id)).await?;
        let snapshot = Snapshot {
            snapshot_id: plan.snapshot_id,
            parent_snapshot_id: None,
            sequence_number: plan.sequence_number,
            timestamp_ms: 0,
            manifest_list: self.place.address(&key),
            summary: plan.summary(self.state, &manifests),
            schema_id: 0,
        };
        metadata.add(snapshot, version);
        failpoint::hit("publish.list").await;
        Ok(manifests)
    }

    /// The address of an object: its bucket may be an earlier one.
    fn path(&self, file: &StateFile) -> String {
        let known = self.state.roots.iter().find(|(bucket, _)| *bucket == file.object.bucket);
        address(known.map_or(self.place.root.as_str(), |(_, root)| root), &file.object.key)
    }

    fn publication(
        &self,
        head: PublishedHead,
        plan: Option<&Plan<'_>>,
        manifests: &[Manifest],
        oldest_version: u64,
    ) -> Publication {
        let last = self.last.map_or(&[][..], |last| last.manifests.as_slice());
        let unused = last.iter().filter(|manifest| manifests.iter().all(|kept| kept.key != manifest.key));
        let mut replaced: Vec<String> = unused.map(|manifest| manifest.key.clone()).collect();
        if let Some((before, last)) = self.state.head.as_ref().zip(self.last) {
            let list = last.metadata.current().map(|snapshot| snapshot.manifest_list.as_str());
            let list = list.filter(|_| plan.is_some());
            let gone = list.into_iter().chain([before.metadata_location.as_str()]);
            replaced.extend(gone.filter_map(|location| key_of(&before.root, location)).map(str::to_owned));
        }
        Publication {
            topic: self.objects.topic.clone(),
            kind: self.kind,
            table: self.state.table,
            owner: self.publisher.owner,
            follows: self.state.head.as_ref().map(|head| head.metadata_location.clone()),
            snapshot: plan
                .map(|plan| PublishedFile { snapshot_id: plan.snapshot_id, sequence_number: plan.sequence_number }),
            objects: self.objects.stored(),
            replaced,
            added: plan.map(|plan| numbers(&plan.added)).unwrap_or_default(),
            removed: plan.map(|plan| numbers(&plan.removed)).unwrap_or_default(),
            oldest_version,
            is_rebuilt: self.last.is_none(),
            snapshot_time_us: self.state.snapshot_time_us,
            head,
        }
    }
}

fn summary(publication: &Publication) -> Published {
    Published {
        lake_snapshot: publication.head.lake_snapshot,
        metadata_location: publication.head.metadata_location.clone(),
        added_objects: publication.added.len() as u64,
        removed_objects: publication.removed.len() as u64,
        written: publication.objects.len() as u64,
        is_rebuilt: publication.is_rebuilt && publication.follows.is_some(),
    }
}

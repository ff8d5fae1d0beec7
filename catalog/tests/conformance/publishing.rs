//! Publications for the cases.
//!
//! Owns: a publication of a table as it is now, with metadata that nobody reads. Does not own: cases.

use catalog::{
    FileId, MetadataObject, MetadataStore, Publication, PublishOutcome, PublishScope, PublishedFile, PublishedHead,
    SegmentKind, TableState,
};
use common::{OwnerId, TopicName};
use uuid::Uuid;

/// A publication that keeps only its own snapshot, with an object of metadata in place of all others; its intents are not
/// recorded yet. `None` if there is no such topic.
pub(crate) async fn publication(
    store: &dyn MetadataStore,
    (topic, kind): (&TopicName, SegmentKind),
    owner: OwnerId,
    is_rebuilt: bool,
) -> Option<Publication> {
    let scope = if is_rebuilt { PublishScope::All } else { PublishScope::Changes };
    let state = store.table_state(topic, kind, scope).await.expect("read")?;
    let replaced = store.metadata_objects(topic, kind).await.expect("read");
    let version = state.head.as_ref().map_or(0, |head| head.version) + 1;
    let key = format!("{topic}.iceberg/{}.json", Uuid::now_v7());
    let of = |is_wanted: &dyn Fn(bool, bool) -> bool| -> Vec<FileId> {
        let wanted = state.files.iter().filter(|file| is_wanted(file.is_live, file.published.is_some() && !is_rebuilt));
        wanted.map(|file| file.object.file_id).collect()
    };
    Some(Publication {
        topic: topic.clone(),
        kind,
        table: state.table,
        owner,
        follows: state.head.as_ref().map(|head| head.metadata_location.clone()),
        added: of(&|is_live, is_published| is_live && !is_published),
        removed: of(&|is_live, _| !is_live),
        snapshot: Some(PublishedFile { snapshot_id: 7, sequence_number: version.cast_signed() }),
        objects: vec![MetadataObject { key: key.clone(), size_bytes: 5, checksum: 6 }],
        replaced: replaced.into_iter().map(|object| object.key).collect(),
        oldest_version: version,
        is_rebuilt,
        snapshot_time_us: state.snapshot_time_us,
        head: head(&state, version, &key),
    })
}

fn head(state: &TableState, version: u64, key: &str) -> PublishedHead {
    PublishedHead {
        version,
        metadata_location: format!("s3://lake/{key}"),
        bucket: "lake".to_owned(),
        root: "s3://lake/".to_owned(),
        lake_snapshot: state.lake_snapshot,
        next_file_id: state.next_file_id,
        schema_version: state.schema_version,
        metadata: "{}".to_owned(),
        manifests: "[]".to_owned(),
        expires_at: None,
    }
}

/// Records the intents of the publication.
pub(crate) async fn intend_publication(store: &dyn MetadataStore, publication: &Publication) {
    for intent in publication.intents() {
        store.record_replacement_intent(&intent).await.expect("recorded");
    }
}

/// Publishes the table as it is now.
pub(crate) async fn publish_now(
    store: &dyn MetadataStore,
    table: (&TopicName, SegmentKind),
    owner: OwnerId,
) -> Publication {
    let publication = publication(store, table, owner, false).await.expect("the topic exists");
    intend_publication(store, &publication).await;
    assert_eq!(store.publish(&publication).await.expect("published"), PublishOutcome::Published);
    publication
}

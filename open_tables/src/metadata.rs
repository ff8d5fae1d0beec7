//! The metadata of a table: its schemas, its snapshots, its history.
//!
//! Owns: its form, and the next version after the last one. Does not own: the objects of a snapshot (`plan`), its place.
//!
//! Source: the Iceberg table specification, version 2, Appendix C, "Table Metadata and Snapshots".

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::manifest::{DAY_FIELD_ID, SPEC_BY_DAY, SPEC_WHOLE_TABLE, spec_fields};

/// Snapshots older than this go with the next version.
const SNAPSHOT_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Most snapshots of a table: each makes the metadata longer, which every reader reads whole.
const SNAPSHOTS_MAX: usize = 100;

/// The entry of a snapshot's summary with the lake snapshot that it shows.
pub(crate) const LAKE_SNAPSHOT: &str = "siltstone.snapshot";
/// The entry with the version of the metadata that brought it.
const VERSION: &str = "siltstone.version";

/// A version of the metadata, as in its object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Metadata {
    pub(crate) format_version: u32,
    pub(crate) table_uuid: String,
    pub(crate) location: String,
    pub(crate) last_sequence_number: i64,
    pub(crate) last_updated_ms: i64,
    pub(crate) last_column_id: i32,
    pub(crate) schemas: Vec<Value>,
    pub(crate) current_schema_id: i32,
    pub(crate) partition_specs: Value,
    pub(crate) default_spec_id: i32,
    pub(crate) last_partition_id: i32,
    pub(crate) sort_orders: Value,
    pub(crate) default_sort_order_id: i32,
    pub(crate) properties: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current_snapshot_id: Option<i64>,
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) snapshot_log: Vec<LoggedSnapshot>,
    pub(crate) metadata_log: Vec<LoggedMetadata>,
    pub(crate) refs: BTreeMap<String, Reference>,
}

/// A snapshot of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Snapshot {
    pub(crate) snapshot_id: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent_snapshot_id: Option<i64>,
    pub(crate) sequence_number: i64,
    pub(crate) timestamp_ms: i64,
    pub(crate) manifest_list: String,
    pub(crate) summary: BTreeMap<String, String>,
    pub(crate) schema_id: i32,
}

/// An entry of the history of snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct LoggedSnapshot {
    snapshot_id: i64,
    timestamp_ms: i64,
}

/// An entry of the history of metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct LoggedMetadata {
    metadata_file: String,
    timestamp_ms: i64,
}

/// The branch that readers follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Reference {
    snapshot_id: i64,
    #[serde(rename = "type")]
    kind: String,
}

/// What a new version has to say, apart from its snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) now_ms: i64,
    pub(crate) uuid: &'a str,
    pub(crate) location: String,
    /// The fields of the schema, and the highest id among them.
    pub(crate) fields: Value,
    pub(crate) last_column_id: i32,
    pub(crate) properties: BTreeMap<String, String>,
}

impl Snapshot {
    /// The version of the metadata that brought it.
    pub(crate) fn version(&self) -> u64 {
        self.summary.get(VERSION).and_then(|text| text.parse().ok()).unwrap_or_default()
    }
}

impl Metadata {
    /// The next version, with the snapshots of the last one; without snapshots if `last` is of another place or absent.
    pub(crate) fn following(last: Option<&Self>, last_location: Option<&str>, subject: Subject<'_>) -> Self {
        let Subject { now_ms, uuid, location, fields, last_column_id, properties, .. } = subject;
        let is_same = |schema: &&Value| schema["fields"] == fields;
        let schemas = last.map(|last| last.schemas.clone()).unwrap_or_default();
        let known = last.and_then(|last| last.schemas.iter().rev().find(is_same)).and_then(schema_id);
        let next = schemas.iter().filter_map(schema_id).max().map_or(0, |highest| highest + 1);
        let current_schema_id = known.unwrap_or(next);
        let new =
            known.is_none().then(|| json!({ "type": "struct", "schema-id": current_schema_id, "fields": fields }));
        let log = last.map(|last| last.metadata_log.clone()).unwrap_or_default();
        let logged = last.zip(last_location).map(|(last, location)| LoggedMetadata {
            metadata_file: location.to_owned(),
            timestamp_ms: last.last_updated_ms,
        });
        Self {
            format_version: 2,
            table_uuid: uuid.to_owned(),
            location,
            last_sequence_number: last.map_or(0, |last| last.last_sequence_number),
            // Readers refuse a history whose times fall.
            last_updated_ms: last.map_or(now_ms, |last| last.last_updated_ms.max(now_ms)),
            last_column_id: last.map_or(last_column_id, |last| last.last_column_id.max(last_column_id)),
            schemas: schemas.into_iter().chain(new).collect(),
            current_schema_id,
            partition_specs: json!(
                [SPEC_WHOLE_TABLE, SPEC_BY_DAY].map(|spec| json!({ "spec-id": spec, "fields": spec_fields(spec) }))
            ),
            default_spec_id: SPEC_BY_DAY,
            last_partition_id: DAY_FIELD_ID,
            sort_orders: json!([{ "order-id": 0, "fields": [] }]),
            default_sort_order_id: 0,
            properties,
            current_snapshot_id: last.and_then(|last| last.current_snapshot_id),
            snapshots: last.map(|last| last.snapshots.clone()).unwrap_or_default(),
            snapshot_log: last.map(|last| last.snapshot_log.clone()).unwrap_or_default(),
            metadata_log: log.into_iter().chain(logged).collect(),
            refs: last.map(|last| last.refs.clone()).unwrap_or_default(),
        }
    }

    /// The newest snapshot.
    pub(crate) fn current(&self) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| Some(snapshot.snapshot_id) == self.current_snapshot_id)
    }

    /// The fields of the current schema.
    pub(crate) fn fields(&self) -> Option<&Value> {
        let current = self.schemas.iter().find(|schema| schema_id(schema) == Some(self.current_schema_id));
        current.map(|schema| &schema["fields"])
    }

    /// Addresses of the earlier metadata in its history.
    pub(crate) fn earlier(&self) -> Vec<String> {
        self.metadata_log.iter().map(|entry| entry.metadata_file.clone()).collect()
    }

    /// Adds a snapshot, which is the newest from now on. Its number and its place in time are set here.
    pub(crate) fn add(&mut self, mut snapshot: Snapshot, version: u64) {
        self.last_sequence_number = snapshot.sequence_number;
        snapshot.parent_snapshot_id = self.current_snapshot_id;
        snapshot.timestamp_ms = self.last_updated_ms;
        snapshot.schema_id = self.current_schema_id;
        snapshot.summary.insert(VERSION.to_owned(), version.to_string());
        let id = snapshot.snapshot_id;
        self.snapshot_log.push(LoggedSnapshot { snapshot_id: id, timestamp_ms: snapshot.timestamp_ms });
        self.refs = BTreeMap::from([("main".to_owned(), Reference { snapshot_id: id, kind: "branch".to_owned() })]);
        self.current_snapshot_id = Some(id);
        self.snapshots.push(snapshot);
    }

    /// Forgets all snapshots, and every version before.
    pub(crate) fn forget_snapshots(&mut self) {
        self.snapshots.clear();
        self.snapshot_log.clear();
        self.metadata_log.clear();
        self.refs.clear();
        self.current_snapshot_id = None;
    }

    /// Leaves out snapshots that are too old or too many, and what only they needed; `version_of` gives the version of the
    /// metadata at an address.
    pub(crate) fn thin_out(&mut self, version: u64, version_of: impl Fn(&str) -> Option<u64>) {
        let oldest = self.last_updated_ms - age_max_ms();
        let excess = self.snapshots.len().saturating_sub(SNAPSHOTS_MAX);
        let current = self.current_snapshot_id;
        let mut place = 0;
        self.snapshots.retain(|snapshot| {
            place += 1;
            Some(snapshot.snapshot_id) == current || (place > excess && snapshot.timestamp_ms >= oldest)
        });
        let kept: BTreeSet<i64> = self.snapshots.iter().map(|snapshot| snapshot.snapshot_id).collect();
        self.snapshot_log.retain(|entry| kept.contains(&entry.snapshot_id));
        let schemas: BTreeSet<i32> = self.snapshots.iter().map(|snapshot| snapshot.schema_id).collect();
        let newest = self.current_schema_id;
        self.schemas.retain(|schema| schema_id(schema).is_some_and(|id| id == newest || schemas.contains(&id)));
        let oldest_version = self.oldest_version(version);
        self.metadata_log.retain(|entry| version_of(&entry.metadata_file).is_some_and(|of| of >= oldest_version));
    }

    /// The version that brought the oldest kept snapshot; `version` is this one's.
    pub(crate) fn oldest_version(&self, version: u64) -> u64 {
        self.snapshots.iter().map(Snapshot::version).min().unwrap_or(version)
    }

    /// Time from which the oldest kept snapshot may go; `None` if only the newest is kept.
    pub(crate) fn expires_at(&self) -> Option<i64> {
        let older = self.snapshots.iter().filter(|snapshot| Some(snapshot.snapshot_id) != self.current_snapshot_id);
        older.map(|snapshot| snapshot.timestamp_ms + age_max_ms()).min()
    }
}

fn age_max_ms() -> i64 {
    i64::try_from(SNAPSHOT_AGE_MAX.as_millis()).expect("a day")
}

fn schema_id(schema: &Value) -> Option<i32> {
    i32::try_from(schema["schema-id"].as_i64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn subject(now_ms: i64, fields: Value, last_column_id: i32) -> Subject<'static> {
        let location = "s3://lake/t.iceberg/u".to_owned();
        Subject { now_ms, uuid: "u", location, fields, last_column_id, properties: BTreeMap::new() }
    }

    fn version_of(location: &str) -> Option<u64> {
        location.parse().ok()
    }

    fn snapshot(id: i64) -> Snapshot {
        Snapshot {
            snapshot_id: id,
            parent_snapshot_id: None,
            sequence_number: id,
            timestamp_ms: 0,
            manifest_list: String::new(),
            summary: BTreeMap::new(),
            schema_id: 0,
        }
    }

    #[test]
    fn ids_of_columns_never_fall_and_a_schema_that_comes_back_keeps_its_number() {
        let (one, two) = (json!([{"id": 1}]), json!([{"id": 1}, {"id": 100}]));
        let first = Metadata::following(None, None, subject(5, two.clone(), 100));
        let second = Metadata::following(Some(&first), Some("1"), subject(4, one.clone(), 1));
        assert_eq!((second.last_column_id, second.current_schema_id, second.schemas.len()), (100, 1, 2));
        assert_eq!(second.last_updated_ms, 5, "times never fall");
        assert_eq!(second.fields(), Some(&one));
        let third = Metadata::following(Some(&second), Some("2"), subject(6, two, 100));
        assert_eq!((third.current_schema_id, third.schemas.len(), third.metadata_log.len()), (0, 2, 2));
    }

    #[test]
    fn at_most_a_hundred_snapshots_of_a_day_are_kept_and_the_newest_always() {
        let fields = json!([]);
        let mut last: Option<Metadata> = None;
        for version in 1..=150_u64 {
            let now_ms = version.cast_signed() * HOUR_MS / 10;
            let location = (version - 1).to_string();
            let subject = subject(now_ms, fields.clone(), 1);
            let mut next = Metadata::following(last.as_ref(), last.as_ref().map(|_| location.as_str()), subject);
            next.add(snapshot(version.cast_signed()), version);
            next.thin_out(version, version_of);
            assert_eq!(next.snapshots.len() as u64, version.min(100));
            assert_eq!(next.oldest_version(version), version.saturating_sub(99).max(1));
            assert_eq!(next.metadata_log.len() as u64, version.min(100) - 1);
            last = Some(next);
        }
        let last = last.expect("published");
        assert_eq!(last.current().expect("newest").snapshot_id, 150);
        let expires_at = last.expires_at().expect("older ones are kept");
        assert_eq!(expires_at, 51 * HOUR_MS / 10 + 24 * HOUR_MS);
        let mut later = Metadata::following(Some(&last), Some("150"), subject(1_000 * HOUR_MS, fields, 1));
        later.thin_out(151, version_of);
        assert_eq!((later.snapshots.len(), later.snapshot_log.len(), later.expires_at()), (1, 1, None));
        assert_eq!(later.oldest_version(151), 150);
        let text = serde_json::to_string(&later).expect("JSON");
        assert_eq!(serde_json::from_str::<Metadata>(&text).expect("reads back"), later);
    }
}

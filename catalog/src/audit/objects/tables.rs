//! The tables that readers of DuckLake see, against the list of objects and the topic's options.
//!
//! Owns: these checks. A writer may commit and an operator may change the topic while an audit reads: only facts are judged
//! that hold before and after the tables were read. Does not own: reading the records (`objects`).

use std::collections::{BTreeMap, BTreeSet};

use common::{Incarnation, TopicPartition};

use super::ObjectRecords;
use crate::audit::problem::{Check, Problem};
use crate::model::{ObjectInfo, SegmentKind, TableColumn, TableId, TopicSnapshot, quarantine_columns, table_columns};

const FILES: &str = "readers of DuckLake see other rows than the catalog lists: a view or the table lake_roots was changed by \
    hand; restore the catalog from a backup";
const COLUMNS: &str = "readers of DuckLake see other columns than the topic has: the table lake_columns was changed by hand, \
    or the database lost writes; restore the catalog from a backup";

/// Checks that readers see the live objects, each once and with its rows, and the topic's columns.
pub(super) fn check(records: &ObjectRecords<'_>) -> Vec<Problem> {
    let place = TopicPartition::new(records.snapshot.topic.name.clone(), 0);
    let problem = |found: String, advice| Problem::new(Check::Segments, &place, Incarnation::default(), found, advice);
    let tables = records.snapshot.tables;
    if records.later.tables != tables {
        // The topic was deleted and made again.
        return Vec::new();
    }
    let mut problems = Vec::new();
    for (table, kind) in [(tables.data, SegmentKind::Data), (tables.quarantine, SegmentKind::Quarantine)] {
        problems.extend(columns(records, table, kind).map(|found| problem(found, COLUMNS)));
        problems.extend(files(records, table, kind).into_iter().map(|found| problem(found, FILES)));
    }
    problems
}

fn columns(records: &ObjectRecords<'_>, table: TableId, kind: SegmentKind) -> Option<String> {
    let (before, after) = (&records.snapshot.topic, &records.later.topic);
    if kind == SegmentKind::Data && before.schema_version != after.schema_version {
        return None;
    }
    let wanted = match kind {
        SegmentKind::Data => table_columns(&before.config),
        SegmentKind::Quarantine => quarantine_columns(),
    };
    let seen = records.tables.columns.iter().filter(|(of, _)| *of == table).map(|(_, column)| column);
    let seen: BTreeMap<i32, &TableColumn> = seen.map(|column| (column.id, column)).collect();
    let differs = wanted.iter().find(|column| seen.get(&column.id) != Some(column));
    let of_kind = kind.as_str();
    match differs {
        Some(column) => {
            Some(format!("the {of_kind} table of readers lacks column {} or has it otherwise", column.name))
        }
        None if seen.len() != wanted.len() => Some(format!("the {of_kind} table of readers has columns too many")),
        None => None,
    }
}

/// The live objects of a kind with their rows, by key.
fn objects(snapshot: &TopicSnapshot, kind: SegmentKind) -> BTreeMap<&str, &ObjectInfo> {
    let of_kind = snapshot.objects.iter().filter(|object| object.kind == kind);
    of_kind.map(|object| (object.key.as_str(), &**object)).collect()
}

fn files(records: &ObjectRecords<'_>, table: TableId, kind: SegmentKind) -> Vec<String> {
    let Some(files) = &records.tables.files else { return Vec::new() };
    let (before, after) = (objects(records.snapshot, kind), objects(&records.later, kind));
    let retired: BTreeSet<&str> = records.retired.iter().map(|retired| retired.object.key.as_str()).collect();
    let roots: BTreeMap<&str, &str> =
        records.tables.roots.iter().map(|(bucket, root)| (bucket.as_str(), root.as_str())).collect();
    let address = |object: &ObjectInfo| {
        format!("{}{}", roots.get(object.bucket.as_str()).copied().unwrap_or("/unknown/"), object.key)
    };
    let mut seen: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.table_id == table) {
        seen.entry(&file.path).or_default().push(file.record_count);
    }
    let mut found = Vec::new();
    for object in before.values().filter(|object| after.contains_key(object.key.as_str())) {
        let address = address(object);
        let rows = seen.remove(address.as_str()).unwrap_or_default();
        if rows != [object.record_count] {
            found.push(format!("readers see {address} with rows {rows:?}, it has {}", object.record_count));
        }
    }
    let known = |path: &str| {
        let mut later = before.values().chain(after.values());
        later.any(|object| address(object) == path) || retired.iter().any(|key| path.ends_with(key))
    };
    found
        .extend(seen.keys().filter(|path| !known(path)).map(|path| format!("readers see {path}, which is not listed")));
    found
}

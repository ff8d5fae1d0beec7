//! Tables as readers of DuckLake see them.
//!
//! Owns: their list. Does not own: changes of topics and objects (`topics`, `objects`).

use std::collections::BTreeSet;

use ::catalog::{ObjectsPlace, OpenTables, TableFile, quarantine_columns, table_columns};
use common::TopicName;

use super::state::CatalogState;

impl CatalogState {
    pub(crate) fn objects_place(&self, bucket: &str) -> ObjectsPlace {
        let buckets: BTreeSet<&str> = self.objects.values().map(|row| row.object.bucket.as_str()).collect();
        let other = [buckets.first(), buckets.last()].into_iter().flatten().find(|other| **other != bucket);
        let own = self.objects.values().map(|row| &row.object).filter(|object| object.bucket == bucket);
        ObjectsPlace {
            root: self.roots.get(bucket).cloned(),
            object: own.map(|object| object.key.clone()).min(),
            other_bucket: other.map(|other| (*other).to_owned()),
            other_root: other.and_then(|other| self.roots.get(*other).cloned()),
        }
    }

    pub(crate) fn open_tables(&self, topic: Option<&TopicName>) -> OpenTables {
        let is_wanted = |name: &TopicName| topic.is_none_or(|topic| topic == name);
        let of_topics = self.tables.iter().filter(|(name, _)| is_wanted(name));
        let topics: Vec<_> = of_topics.map(|(name, tables)| (name.clone(), *tables)).collect();
        let columns = topics.iter().flat_map(|(name, tables)| {
            let data = table_columns(&self.topics[name].config).into_iter().map(|column| (tables.data, column));
            data.chain(quarantine_columns().into_iter().map(|column| (tables.quarantine, column)))
        });
        let mut columns: Vec<_> = columns.collect();
        columns.sort_by_key(|(table, column)| (*table, column.id));
        let mut files: Vec<_> = self
            .objects
            .values()
            .filter(|row| is_wanted(&row.topic))
            .map(|row| TableFile {
                table_id: row.table,
                path: self.roots.get(&row.object.bucket).map_or("/unknown/", String::as_str).to_owned()
                    + &row.object.key,
                record_count: row.object.record_count,
            })
            .collect();
        files.sort();
        let roots = self.roots.iter().map(|(bucket, root)| (bucket.clone(), root.clone())).collect();
        OpenTables { schema: None, roots, topics, columns, files: Some(files) }
    }
}

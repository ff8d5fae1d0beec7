//! What an audit knows of a topic's objects besides their segments.
//!
//! Owns: the objects that are already counted, and the statistics of columns that the catalog records, by object.
//! Does not own: comparing statistics (`lake::statistics` with the object, `catalog::audit` with the catalog).

use std::collections::{BTreeSet, HashMap};

use arrow_schema::{DataType, Field, Fields};
use catalog::{ColumnStatistics, FileId, MetadataStore, SegmentKind, Topic};
use lake::schema::{field_id, quarantine_schema, table_schema};

use super::work::Work;
use crate::error::Result;

/// Columns asked for at once: a statement takes only so many values.
const COLUMNS_AT_ONCE: usize = 100;

/// The objects of a topic.
#[derive(Default)]
pub(super) struct TopicObjects {
    /// Objects that are already counted.
    pub(super) seen: BTreeSet<FileId>,
    statistics: HashMap<FileId, Vec<ColumnStatistics>>,
}

impl TopicObjects {
    /// Reads the statistics that the catalog records.
    ///
    /// # Errors
    /// The catalog's.
    pub(super) async fn load(catalog: &dyn MetadataStore, topic: &Topic) -> Result<Self> {
        let mut objects = Self::default();
        for kind in SegmentKind::ALL {
            let schema = match kind {
                SegmentKind::Data => table_schema(&topic.config),
                SegmentKind::Quarantine => quarantine_schema(),
            };
            for ids in ids_of(schema.fields()).chunks(COLUMNS_AT_ONCE) {
                for (file_id, column) in catalog.object_statistics(&topic.name, kind, ids, None).await? {
                    objects.statistics.entry(file_id).or_default().push(column);
                }
            }
        }
        Ok(objects)
    }

    /// Lets the statistics of each object be compared with it when it is decoded. Those of layout 1 were not computed from
    /// the object.
    pub(super) fn add_statistics(&self, work: &mut [Work<'_>]) {
        for wanted in work.iter_mut().flat_map(|work| &mut work.objects).filter(|wanted| wanted.object().layout > 1) {
            wanted.statistics = self.statistics.get(&wanted.object().file_id).cloned().unwrap_or_default();
        }
    }
}

/// The ids of these columns, and of their members and elements.
fn ids_of(fields: &Fields) -> Vec<i32> {
    fields.iter().flat_map(|field| field_id(field).into_iter().chain(inner(field))).collect()
}

fn inner(field: &Field) -> Vec<i32> {
    match field.data_type() {
        DataType::Struct(members) => ids_of(members),
        DataType::List(element) | DataType::Map(element, _) => ids_of(&Fields::from(vec![element.clone()])),
        _ => Vec::new(),
    }
}

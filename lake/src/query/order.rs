//! The order of the rows of a scan.
//!
//! Owns: what the catalog says of it. Does not own: its use, and the check that files which are read one after the other do not
//! overlap (DataFusion), sorting (`merge`).
//!
//! A segment as it was written has the rows of a partition by offset. A merged object is sorted by the columns that its topic
//! says, then by time; the catalog knows which those were, if the object has the topic's present schema version.

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::Schema;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};

use super::layout::LakeObject;
use crate::schema::{OFFSET, TIMESTAMP};
use catalog::{SegmentKind, Topic};

/// Objects of a scan whose order is declared, at most: the check reads the statistics of each.
const OBJECTS_MAX: usize = 1_000;

/// The order of the rows in each of `objects`.
pub(super) fn declared(
    objects: &[&LakeObject],
    (topic, kind): (&Topic, SegmentKind),
    schema: &Schema,
) -> Vec<LexOrdering> {
    if objects.len() > OBJECTS_MAX {
        return Vec::new();
    }
    let by_offset = objects.iter().all(|object| object.info.level == 0 && is_of_one_history(object, objects[0]));
    let is_merged_now =
        |object: &&LakeObject| object.info.level > 0 && object.info.schema_version == topic.schema_version;
    let columns: Vec<&str> = if by_offset {
        vec![OFFSET]
    } else if objects.iter().all(is_merged_now) {
        match kind {
            SegmentKind::Data => topic.config.sort.iter().map(String::as_str).chain([TIMESTAMP]).collect(),
            SegmentKind::Quarantine => vec![TIMESTAMP],
        }
    } else {
        return Vec::new();
    };
    let rising = |name: &str| {
        let place = schema.index_of(name).ok()?;
        // Floats are settled as they are read: NaN of any sign becomes the greatest.
        let is_sorted = !schema.field(place).data_type().is_floating();
        let options = SortOptions { descending: false, nulls_first: false };
        is_sorted.then(|| PhysicalSortExpr::new(Arc::new(Column::new(name, place)), options))
    };
    let known = columns.into_iter().map_while(rising);
    LexOrdering::new(known).into_iter().collect()
}

/// True when the rows of both are of the same partition and incarnation.
fn is_of_one_history(object: &LakeObject, other: &LakeObject) -> bool {
    let partition = other.info.min_partition_id;
    let incarnation = other.min_incarnation;
    (object.info.min_partition_id, object.info.max_partition_id) == (partition, partition)
        && (object.min_incarnation, object.max_incarnation) == (incarnation, incarnation)
}

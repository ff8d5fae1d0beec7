//! Leaving out objects that a query's filters exclude, before any object is opened.
//!
//! Owns: the catalog's bounds on the rows of an object: `_partition_id`, `_offset`, `_timestamp` and `_incarnation`,
//! and the recorded statistics of other columns.
//! Does not own: reading those statistics (`recorded`), pruning inside objects (DataFusion, by Parquet's own
//! statistics).

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, TimestampMicrosecondArray, UInt64Array,
};
use datafusion::catalog::Session;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_optimizer::pruning::PruningPredicate;

use super::chains::balanced;
use super::layout::LakeObject;
use super::recorded::{End, Recorded};
use crate::schema::{INCARNATION, OFFSET, PARTITION, TIMESTAMP};
use catalog::ObjectInfo;

/// The objects that may hold a row for which all of `filters` are true.
pub(super) fn prune<'a>(
    objects: Vec<&'a LakeObject>,
    recorded: &Recorded,
    schema: &DFSchema,
    filters: &[Expr],
    session: &dyn Session,
) -> Result<Vec<&'a LakeObject>> {
    let Some(filter) = conjunction(filters.iter().cloned()) else { return Ok(objects) };
    let filter = session.create_physical_expr(balanced(filter)?, schema)?;
    let predicate = PruningPredicate::try_new(filter, Arc::clone(schema.inner()))?;
    if predicate.always_true() {
        return Ok(objects);
    }
    let may_match = predicate.prune(&ObjectBounds { objects: &objects, recorded })?;
    Ok(objects.iter().zip(may_match).filter_map(|(object, may_match)| may_match.then_some(*object)).collect())
}

struct ObjectBounds<'a> {
    objects: &'a [&'a LakeObject],
    recorded: &'a Recorded,
}

impl ObjectBounds<'_> {
    fn infos(&self) -> impl Iterator<Item = &ObjectInfo> {
        self.objects.iter().map(|object| object.info.as_ref())
    }

    fn numbers(&self, number: impl Fn(&LakeObject) -> u32) -> ArrayRef {
        Arc::new(self.objects.iter().map(|object| i32::try_from(number(object)).ok()).collect::<Int32Array>())
    }

    fn offsets(&self, offset: impl Fn(&ObjectInfo) -> u64) -> ArrayRef {
        Arc::new(self.infos().map(|object| i64::try_from(offset(object)).ok()).collect::<Int64Array>())
    }

    fn timestamps(&self, timestamp: impl Fn(&ObjectInfo) -> i64) -> ArrayRef {
        let timestamps: TimestampMicrosecondArray = self.infos().map(|object| Some(timestamp(object))).collect();
        Arc::new(timestamps.with_timezone("UTC"))
    }

    /// For each object: false where none of the listed values can be in it, true where only they can be.
    fn listed(&self, values: &HashSet<i64>, bounds: impl Fn(&LakeObject) -> (u64, u64)) -> BooleanArray {
        let answer = |object: &&LakeObject| {
            let (min, max) = bounds(object);
            let is_inside = |value: &i64| u64::try_from(*value).is_ok_and(|value| (min..=max).contains(&value));
            (!values.iter().any(is_inside)).then_some(false).or((min == max).then_some(true))
        };
        self.objects.iter().map(answer).collect()
    }
}

impl PruningStatistics for ObjectBounds<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        match column.name.as_str() {
            PARTITION => Some(self.numbers(|object| object.info.min_partition_id)),
            INCARNATION => Some(self.numbers(|object| object.min_incarnation)),
            OFFSET => Some(self.offsets(|object| object.min_offset)),
            TIMESTAMP => Some(self.timestamps(|object| object.min_timestamp_us)),
            other => self.recorded.bounds(other, End::Min, self.objects),
        }
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        match column.name.as_str() {
            PARTITION => Some(self.numbers(|object| object.info.max_partition_id)),
            INCARNATION => Some(self.numbers(|object| object.max_incarnation)),
            OFFSET => Some(self.offsets(|object| object.max_offset)),
            TIMESTAMP => Some(self.timestamps(|object| object.max_timestamp_us)),
            other => self.recorded.bounds(other, End::Max, self.objects),
        }
    }

    fn num_containers(&self) -> usize {
        self.objects.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        match column.name.as_str() {
            PARTITION | INCARNATION | OFFSET | TIMESTAMP => {
                Some(Arc::new(UInt64Array::from(vec![0; self.objects.len()])))
            }
            other => self.recorded.null_counts(other, self.objects),
        }
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.infos().map(|object| Some(object.record_count)).collect::<UInt64Array>()))
    }

    /// For lists of values. An object certainly holds *only* these if its bounds are one value.
    #[allow(clippy::mutable_key_type, reason = "the signature DataFusion asks for")]
    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        let both = |min: u32, max: u32| (u64::from(min), u64::from(max));
        let bounds: &dyn Fn(&LakeObject) -> (u64, u64) = match column.name.as_str() {
            PARTITION => &|object| both(object.info.min_partition_id, object.info.max_partition_id),
            INCARNATION => &|object| both(object.min_incarnation, object.max_incarnation),
            OFFSET => &|object| (object.info.min_offset, object.info.max_offset),
            _ => return None,
        };
        Some(self.listed(&integers(values)?, bounds))
    }
}

/// The values as integers; `None` when one is anything else.
#[allow(clippy::mutable_key_type, reason = "the signature DataFusion asks for")]
fn integers(values: &HashSet<ScalarValue>) -> Option<HashSet<i64>> {
    let integer = |value: &ScalarValue| match value {
        ScalarValue::Int32(Some(value)) => Some(i64::from(*value)),
        ScalarValue::Int64(Some(value)) => Some(*value),
        _ => None,
    };
    values.iter().map(integer).collect()
}

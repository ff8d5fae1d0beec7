//! Leaving out segments that a query's filters exclude, before any object is opened.
//!
//! Owns: what a listed range says about the rows in it: bounds on `_partition`, `_offset` and `_timestamp`.
//! Does not own: pruning inside objects (DataFusion does that by Parquet's own statistics).

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

use crate::schema::{OFFSET, PARTITION, TIMESTAMP};
use catalog::SegmentInfo;

/// The segments that may hold a row for which all of `filters` are true.
pub(super) fn prune<'a>(
    segments: Vec<&'a SegmentInfo>,
    schema: &DFSchema,
    filters: &[Expr],
    session: &dyn Session,
) -> Result<Vec<&'a SegmentInfo>> {
    let Some(filter) = conjunction(filters.iter().cloned()) else { return Ok(segments) };
    let filter = session.create_physical_expr(filter, schema)?;
    let predicate = PruningPredicate::try_new(filter, Arc::clone(schema.inner()))?;
    if predicate.always_true() {
        return Ok(segments);
    }
    let may_match = predicate.prune(&SegmentBounds(&segments))?;
    Ok(segments.iter().zip(may_match).filter_map(|(segment, may_match)| may_match.then_some(*segment)).collect())
}

struct SegmentBounds<'a>(&'a [&'a SegmentInfo]);

impl SegmentBounds<'_> {
    fn partitions(&self) -> ArrayRef {
        Arc::new(self.0.iter().map(|segment| i32::try_from(segment.partition_id).ok()).collect::<Int32Array>())
    }

    fn offsets(&self, offset: impl Fn(&SegmentInfo) -> u64) -> ArrayRef {
        Arc::new(self.0.iter().map(|segment| i64::try_from(offset(segment)).ok()).collect::<Int64Array>())
    }

    fn timestamps(&self, timestamp: impl Fn(&SegmentInfo) -> i64) -> ArrayRef {
        let timestamps: TimestampMicrosecondArray = self.0.iter().map(|segment| Some(timestamp(segment))).collect();
        Arc::new(timestamps.with_timezone("UTC"))
    }
}

impl PruningStatistics for SegmentBounds<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        match column.name.as_str() {
            PARTITION => Some(self.partitions()),
            OFFSET => Some(self.offsets(|segment| segment.base_offset)),
            TIMESTAMP => Some(self.timestamps(|segment| segment.min_timestamp_us)),
            _ => None,
        }
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        match column.name.as_str() {
            PARTITION => Some(self.partitions()),
            OFFSET => Some(self.offsets(|segment| segment.end_offset)),
            TIMESTAMP => Some(self.timestamps(|segment| segment.max_timestamp_us)),
            _ => None,
        }
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let never_null = [PARTITION, OFFSET, TIMESTAMP].contains(&column.name.as_str());
        never_null.then(|| Arc::new(UInt64Array::from(vec![0; self.0.len()])) as ArrayRef)
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.0.iter().map(|segment| Some(segment.record_count)).collect::<UInt64Array>()))
    }

    /// For lists of values: false where none of them can be in the segment. An answer of "true" would claim that
    /// *only* they are in it, which is known of `_partition` alone.
    #[allow(clippy::mutable_key_type, reason = "the signature DataFusion asks for")]
    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        match column.name.as_str() {
            PARTITION => {
                let listed = integers(values)?;
                Some(self.0.iter().map(|segment| Some(listed.contains(&i64::from(segment.partition_id)))).collect())
            }
            OFFSET => {
                let listed = integers(values)?;
                let none_inside = |segment: &SegmentInfo| {
                    !listed.iter().any(|value| {
                        u64::try_from(*value).is_ok_and(|v| (segment.base_offset..=segment.end_offset).contains(&v))
                    })
                };
                Some(self.0.iter().map(|segment| none_inside(segment).then_some(false)).collect())
            }
            _ => None,
        }
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

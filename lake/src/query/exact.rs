//! The extremes of a table's columns that the catalog knows exactly.
//!
//! Owns: the decision that a bound is a value of the table, so that `min` and `max` are answered without opening an object.
//! Does not own: the bounds (`recorded`, `statistics`), the choice of queries (`binding`).
//!
//! A recorded bound of a column of fixed width is a value of its object. That of text or bytes may be cut off, and a column
//! with NaN has none. The range of a segment only encloses its offsets: its first offset may be of a gap or of a quarantined
//! message. So the catalog is asked for the exceptions at that one offset, unless its object has a recorded bound.

use std::collections::HashMap;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::error::{DataFusionError, Result};

use super::known::KnownTopic;
use super::layout::LakeObject;
use super::recorded::{End, ObjectFigures, Recorded};
use super::statistics::offset_value;
use crate::schema::{INCARNATION, OFFSET, PARTITION, TIMESTAMP, field_id};
use catalog::{MetadataStore, SegmentKind};
use common::{OffsetRange, TopicPartition};

/// Partitions whose exceptions are asked for, at most.
const PARTITIONS_ASKED: usize = 16;

/// Makes the figures of these columns in `statistics` exact where they are known to be. The statistics are those of
/// `objects`, for the columns of `schema`.
pub(super) async fn make_exact(
    statistics: &mut Statistics,
    columns: &[String],
    table: (&KnownTopic, SegmentKind, &Schema),
    (catalog, objects): (&dyn MetadataStore, &[&LakeObject]),
) -> Result<()> {
    let (topic, kind, schema) = table;
    // Those of the others are exact already, or known of no object.
    let wanted = |field: &Field| {
        let name = field.name();
        columns.contains(name) && ![PARTITION, TIMESTAMP, INCARNATION].contains(&name.as_str())
    };
    let fields = schema.fields().iter().enumerate().filter(|(_, field)| wanted(field) && field_id(field).is_some());
    let fields: Vec<(usize, &Field)> = fields.map(|(place, field)| (place, field.as_ref())).collect();
    let recorded = Recorded::of_columns(topic, (catalog, kind), fields.iter().map(|(_, field)| *field)).await?;
    for (place, field) in fields {
        let Some(figures) = recorded.figures(field.name(), objects) else { continue };
        let column = &mut statistics.column_statistics[place];
        if field.name() == OFFSET {
            for end in [End::Min, End::Max] {
                if let Some(value) = offset_extreme(topic, catalog, kind, (&figures, objects), end).await? {
                    *side(column, end) = Precision::Exact(value);
                }
            }
        } else if let Some(figures) = figures.into_iter().collect::<Option<Vec<_>>>() {
            set_all(column, field, figures);
        }
    }
    Ok(())
}

fn side(column: &mut ColumnStatistics, end: End) -> &mut Precision<ScalarValue> {
    match end {
        End::Min => &mut column.min_value,
        End::Max => &mut column.max_value,
    }
}

/// The figures of a column of which every object has recorded ones.
fn set_all(column: &mut ColumnStatistics, field: &Field, figures: Vec<ObjectFigures>) {
    let nulls: u64 = figures.iter().map(|figures| figures.null_count).sum();
    column.null_count = usize::try_from(nulls).map_or(Precision::Absent, Precision::Exact);
    if matches!(field.data_type(), DataType::Utf8 | DataType::Binary) {
        return;
    }
    for end in [End::Min, End::Max] {
        let values = figures.iter().filter(|figures| figures.value_count > 0).map(|figures| match end {
            End::Min => figures.min.clone(),
            End::Max => figures.max.clone(),
        });
        if let Some(value) = values.collect::<Option<Vec<_>>>().and_then(|values| extreme(values, end)) {
            *side(column, end) = Precision::Exact(value);
        }
    }
}

fn extreme(values: Vec<ScalarValue>, end: End) -> Option<ScalarValue> {
    let mut values = values.into_iter();
    let first = values.next()?;
    values.try_fold(first, |best, value| {
        let order = value.partial_cmp(&best)?;
        let is_better = match end {
            End::Min => order.is_lt(),
            End::Max => order.is_gt(),
        };
        Some(if is_better { value } else { best })
    })
}

/// The least or greatest offset of the rows, if it is certain.
async fn offset_extreme(
    topic: &KnownTopic,
    catalog: &dyn MetadataStore,
    kind: SegmentKind,
    (figures, objects): (&[Option<ObjectFigures>], &[&LakeObject]),
    end: End,
) -> Result<Option<ScalarValue>> {
    let recorded = |figures: &Option<ObjectFigures>| {
        let figures = figures.as_ref()?;
        match if matches!(end, End::Min) { &figures.min } else { &figures.max } {
            Some(ScalarValue::Int64(Some(value))) => u64::try_from(*value).ok(),
            _ => None,
        }
    };
    let mut values: HashMap<u64, bool> = HashMap::new();
    for (figures, object) in figures.iter().zip(objects) {
        let exact = recorded(figures);
        let bound =
            exact.unwrap_or(if matches!(end, End::Min) { object.info.min_offset } else { object.info.max_offset });
        *values.entry(bound).or_default() |= exact.is_some();
    }
    let found = if matches!(end, End::Min) { values.iter().min() } else { values.iter().max() };
    let Some((&offset, &is_exact)) = found else { return Ok(None) };
    let is_exact = is_exact || (kind == SegmentKind::Data && has_row_at(topic, catalog, offset, end).await?);
    Ok(offset_value(offset).filter(|_| is_exact))
}

/// True when a message at this end of a listed data segment is certainly in the table.
async fn has_row_at(topic: &KnownTopic, catalog: &dyn MetadataStore, offset: u64, end: End) -> Result<bool> {
    let snapshot = &topic.snapshot;
    let is_at_end = |range: OffsetRange| match end {
        End::Min => range.base() == offset,
        End::Max => range.end() == offset,
    };
    let at_end = snapshot.segments.iter().filter(|s| s.kind == SegmentKind::Data && is_at_end(s.range));
    let current = at_end.filter(|segment| {
        let partition = snapshot.partitions.iter().find(|row| row.partition_id == segment.partition_id);
        partition.is_some_and(|row| row.incarnation == segment.incarnation && offset < row.high_watermark)
    });
    let Some(range) = OffsetRange::new(offset, offset) else { return Ok(false) };
    for segment in current.take(PARTITIONS_ASKED) {
        let partition = TopicPartition::new(snapshot.topic.name.clone(), segment.partition_id);
        let asked = catalog.exceptions(&partition, range).await;
        let asked = asked.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let is_row = asked.is_some_and(|found| {
            found.partition.incarnation == segment.incarnation
                && found.gaps.is_empty()
                && found.quarantine.is_empty()
                && found.start_offset.max(found.expired_before) <= offset
        });
        if is_row {
            return Ok(true);
        }
    }
    Ok(false)
}

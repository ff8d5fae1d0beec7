//! The extremes of a table's columns that the catalog knows exactly.
//!
//! Owns: the decision that a bound is a value of the table, so that `min` and `max` are answered without opening an object.
//! Does not own: the bounds (`recorded`, `statistics`), the choice of queries (`binding`).
//!
//! A recorded bound of a column of fixed width is a value of its object. That of text or bytes may be cut off, and a column
//! with NaN has none. The range of a segment only encloses its offsets: its first one may be of a gap, of a quarantined message,
//! or of none at all, such as 0 in JetStream. Where that is so, the catalog has recorded the offsets of the rows.

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::error::Result;

use super::known::KnownTopic;
use super::layout::LakeObject;
use super::recorded::{End, ObjectFigures, Recorded};
use super::statistics::offset_value;
use crate::schema::{INCARNATION, OFFSET, PARTITION, TIMESTAMP, field_id};
use catalog::{LAYOUT_NOW, MetadataStore, SegmentKind};

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
                if let Some(value) = offset_extreme(&figures, objects, end) {
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
fn offset_extreme(figures: &[Option<ObjectFigures>], objects: &[&LakeObject], end: End) -> Option<ScalarValue> {
    let recorded = |figures: &Option<ObjectFigures>| {
        let figures = figures.as_ref()?;
        match if matches!(end, End::Min) { &figures.min } else { &figures.max } {
            Some(ScalarValue::Int64(Some(value))) => u64::try_from(*value).ok(),
            _ => None,
        }
    };
    let mut offsets = Vec::with_capacity(objects.len());
    for (figures, object) in figures.iter().zip(objects) {
        let info = &object.info;
        // Version 0.1.0 recorded nothing.
        let of_object = if matches!(end, End::Min) { info.min_offset } else { info.max_offset };
        offsets.push(recorded(figures).or((info.layout >= LAYOUT_NOW).then_some(of_object))?);
    }
    let offset = if matches!(end, End::Min) { offsets.into_iter().min() } else { offsets.into_iter().max() };
    offset.and_then(offset_value)
}

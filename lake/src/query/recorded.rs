//! The statistics of objects that the catalog records, for the columns that a query's filters name.
//!
//! Owns: the choice of columns to load, and reading a bound from its text. An unreadable bound is no bound: it prunes
//! no object. Does not own: pruning (`pruning`), keeping statistics between queries (`kept`), the rules of the texts (`catalog::ColumnStatistics`).

mod kept;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{NaiveDate, NaiveDateTime};
use datafusion::arrow::array::{ArrayRef, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;

use self::kept::KeptColumn;
pub(super) use self::kept::RecordedColumns;
use super::known::KnownTopic;
use super::layout::LakeObject;
use super::settled::settled_f64;
use crate::schema::{INCARNATION, OFFSET, PARTITION, TIMESTAMP, field_id};
use catalog::{MetadataStore, SegmentKind};

/// The recorded statistics of some columns, by name.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    columns: HashMap<String, RecordedColumn>,
}

#[derive(Debug)]
struct RecordedColumn {
    data_type: DataType,
    kept: Arc<KeptColumn>,
}

/// The recorded figures of a column in one object.
#[derive(Clone, Debug)]
pub(super) struct ObjectFigures {
    pub(super) value_count: u64,
    pub(super) null_count: u64,
    pub(super) min: Option<ScalarValue>,
    pub(super) max: Option<ScalarValue>,
}

/// The lower or the upper bound.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Min,
    Max,
}

impl Recorded {
    /// Loads statistics for the columns of `filters` that the catalog's rows of objects do not bound.
    pub(super) async fn load(
        topic: &KnownTopic,
        (catalog, kind): (&dyn MetadataStore, SegmentKind),
        schema: &Schema,
        filters: &[Expr],
    ) -> Result<Self> {
        let named: BTreeSet<&str> = filters.iter().flat_map(Expr::column_refs).map(|c| c.name.as_str()).collect();
        let bounded = [PARTITION, OFFSET, TIMESTAMP, INCARNATION];
        let unbounded = named.into_iter().filter(|name| !bounded.contains(name));
        let fields = unbounded.filter_map(|name| schema.field_with_name(name).ok());
        Self::of_columns(topic, (catalog, kind), fields).await
    }

    /// Loads statistics for these columns; those that are nested have none.
    pub(super) async fn of_columns(
        topic: &KnownTopic,
        (catalog, kind): (&dyn MetadataStore, SegmentKind),
        fields: impl Iterator<Item = &Field>,
    ) -> Result<Self> {
        let with_id = |field| Some((field, field_id(field).filter(|_| !field.data_type().is_nested())?));
        let (fields, ids): (Vec<&Field>, Vec<i32>) = fields.filter_map(with_id).unzip();
        let kept = topic.statistics(catalog, kind, &ids).await?;
        let column = |(field, kept): (&Field, _)| {
            (field.name().clone(), RecordedColumn { data_type: field.data_type().clone(), kept })
        };
        Ok(Self { columns: fields.into_iter().zip(kept).map(column).collect() })
    }

    /// The figures of a column in each of `objects`, where they are recorded; `None` when the column was not loaded.
    pub(super) fn figures(&self, column: &str, objects: &[&LakeObject]) -> Option<Vec<Option<ObjectFigures>>> {
        let RecordedColumn { data_type, kept } = self.columns.get(column)?;
        let figures = |object: &&LakeObject| {
            let found = kept.objects.get(&object.info.file_id)?;
            let (value_count, null_count) = (found.value_count, found.null_count);
            let value = |text: &Option<String>| parse(text.as_deref()?, data_type);
            let figures = ObjectFigures { value_count, null_count, min: value(&found.min), max: value(&found.max) };
            (value_count + null_count == object.info.record_count).then_some(figures)
        };
        Some(objects.iter().map(figures).collect())
    }

    /// A bound of the column in each of `objects`, null where none is known; `None` when nothing is known of the column.
    pub(super) fn bounds(&self, column: &str, end: End, objects: &[&LakeObject]) -> Option<ArrayRef> {
        let RecordedColumn { data_type, kept } = self.columns.get(column)?;
        let unknown = ScalarValue::try_from(data_type).ok()?;
        let bound = |object: &&LakeObject| {
            let statistics = kept.objects.get(&object.info.file_id)?;
            let text = match end {
                End::Min => statistics.min.as_deref(),
                End::Max => statistics.max.as_deref(),
            };
            parse(text?, data_type)
        };
        let bounds = objects.iter().map(|object| bound(object).unwrap_or_else(|| unknown.clone()));
        ScalarValue::iter_to_array(bounds).ok()
    }

    /// Nulls of the column in each of `objects`.
    pub(super) fn null_counts(&self, column: &str, objects: &[&LakeObject]) -> Option<ArrayRef> {
        let known = &self.columns.get(column)?.kept.objects;
        let counts = objects.iter().map(|object| Some(known.get(&object.info.file_id)?.null_count));
        Some(Arc::new(counts.collect::<UInt64Array>()))
    }
}

/// The value of a bound's text in a column of this type.
fn parse(text: &str, data_type: &DataType) -> Option<ScalarValue> {
    Some(match data_type {
        DataType::Boolean => ScalarValue::Boolean(Some(match text {
            "0" => false,
            "1" => true,
            _ => return None,
        })),
        DataType::Int32 => ScalarValue::Int32(Some(text.parse().ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(text.parse().ok()?)),
        DataType::Float64 => {
            let value: f64 = text.parse().ok()?;
            ScalarValue::Float64((!value.is_nan()).then(|| settled_f64(value)).map(Some)?)
        }
        DataType::Date32 => {
            let days = text.parse::<NaiveDate>().ok()?.signed_duration_since(NaiveDate::default()).num_days();
            ScalarValue::Date32(Some(i32::try_from(days).ok()?))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let time = NaiveDateTime::parse_from_str(text.strip_suffix("+00")?, "%Y-%m-%d %H:%M:%S%.f").ok()?;
            ScalarValue::TimestampMicrosecond(Some(time.and_utc().timestamp_micros()), zone.clone())
        }
        DataType::Decimal128(precision, scale) => {
            ScalarValue::Decimal128(Some(unscaled(text, usize::try_from(*scale).ok()?)?), *precision, *scale)
        }
        DataType::Utf8 => ScalarValue::Utf8(Some(text.to_owned())),
        DataType::Binary => ScalarValue::Binary(Some(bytes(text)?)),
        _ => return None,
    })
}

/// The digits of a decimal that has exactly `scale` of them behind the point.
fn unscaled(text: &str, scale: usize) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() != scale || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    format!("{whole}{fraction}").parse().ok()
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_by_the_type_of_their_column() {
        let utc = || Some(Arc::from("UTC"));
        let time = DataType::Timestamp(TimeUnit::Microsecond, utc());
        let micros = |micros| ScalarValue::TimestampMicrosecond(Some(micros), utc());
        for (text, data_type, value) in [
            ("1", DataType::Boolean, ScalarValue::from(true)),
            ("-7", DataType::Int32, ScalarValue::from(-7_i32)),
            ("9000000000", DataType::Int64, ScalarValue::from(9_000_000_000_i64)),
            ("-0.0", DataType::Float64, ScalarValue::from(0.0)),
            ("inf", DataType::Float64, ScalarValue::from(f64::INFINITY)),
            ("1e300", DataType::Float64, ScalarValue::from(1e300)),
            ("2026-11-20", DataType::Date32, ScalarValue::Date32(Some(20_777))),
            ("2026-11-20 00:01:39.000099+00", time.clone(), micros(1_795_132_899_000_099)),
            ("1969-12-31 23:59:59.999999+00", time.clone(), micros(-1)),
            ("1970-01-01 00:00:00+00", time.clone(), micros(0)),
            ("-50.00", DataType::Decimal128(7, 2), ScalarValue::Decimal128(Some(-5_000), 7, 2)),
            ("-0.05", DataType::Decimal128(7, 2), ScalarValue::Decimal128(Some(-5), 7, 2)),
            ("12", DataType::Decimal128(7, 0), ScalarValue::Decimal128(Some(12), 7, 0)),
            ("00AB", DataType::Binary, ScalarValue::Binary(Some(vec![0, 0xAB]))),
            ("", DataType::Utf8, ScalarValue::from("")),
        ] {
            assert_eq!(parse(text, &data_type), Some(value), "{text}");
        }
    }

    #[test]
    fn a_text_that_cannot_be_read_is_no_bound() {
        let time = DataType::Timestamp(TimeUnit::Microsecond, None);
        for (text, data_type) in [
            ("true", DataType::Boolean),
            ("3000000000", DataType::Int32),
            ("1.5", DataType::Int64),
            ("NaN", DataType::Float64),
            ("2026-13-01", DataType::Date32),
            ("2026-11-20 00:01:39", time.clone()),
            ("2026-11-20T00:01:39+00", time),
            ("1.5", DataType::Decimal128(7, 2)),
            ("1.+5", DataType::Decimal128(7, 2)),
            ("ABC", DataType::Binary),
            ("+1", DataType::Binary),
            ("1", DataType::Int8),
        ] {
            assert_eq!(parse(text, &data_type), None, "{text} as {data_type}");
        }
    }
}

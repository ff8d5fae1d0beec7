//! The statistics of objects that the catalog records, for the columns that a query's filters name.
//!
//! Owns: the choice of columns to load, and reading a bound from its text. An unreadable bound is no bound: it prunes
//! no object. Does not own: pruning (`pruning`), the rules of the texts (`catalog::ColumnStatistics`).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{NaiveDate, NaiveDateTime};
use datafusion::arrow::array::{ArrayRef, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;

use super::layout::LakeObject;
use super::settled::settled_f64;
use crate::schema::{INCARNATION, OFFSET, PARTITION, TIMESTAMP, field_id};
use catalog::{ColumnStatistics, FileId, MetadataStore, SegmentKind};
use common::TopicName;

/// The recorded statistics of some columns, by name.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    columns: HashMap<String, RecordedColumn>,
}

#[derive(Debug)]
struct RecordedColumn {
    data_type: DataType,
    objects: HashMap<FileId, ColumnStatistics>,
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
        catalog: &dyn MetadataStore,
        (topic, kind): (&TopicName, SegmentKind),
        schema: &Schema,
        filters: &[Expr],
    ) -> Result<Self> {
        let named: BTreeSet<&str> = filters.iter().flat_map(Expr::column_refs).map(|c| c.name.as_str()).collect();
        let bounded = [PARTITION, OFFSET, TIMESTAMP, INCARNATION];
        let (mut columns, mut names, mut ids) = (HashMap::new(), HashMap::new(), Vec::new());
        for name in named.into_iter().filter(|name| !bounded.contains(name)) {
            let Ok(field) = schema.field_with_name(name) else { continue };
            let Some(id) = field_id(field).filter(|_| !field.data_type().is_nested()) else { continue };
            let (data_type, objects) = (field.data_type().clone(), HashMap::new());
            columns.insert(name.to_owned(), RecordedColumn { data_type, objects });
            names.insert(id, name);
            ids.push(id);
        }
        if ids.is_empty() {
            return Ok(Self::default());
        }
        let answer = catalog.object_statistics(topic, kind, &ids).await;
        for (file_id, statistics) in answer.map_err(|error| DataFusionError::External(Box::new(error)))? {
            let column = names.get(&statistics.field_id).and_then(|name| columns.get_mut(*name));
            if let Some(column) = column {
                column.objects.insert(file_id, statistics);
            }
        }
        Ok(Self { columns })
    }

    /// A bound of the column in each of `objects`, null where none is known; `None` when nothing is known of the column.
    pub(super) fn bounds(&self, column: &str, end: End, objects: &[&LakeObject]) -> Option<ArrayRef> {
        let RecordedColumn { data_type, objects: known } = self.columns.get(column)?;
        let unknown = ScalarValue::try_from(data_type).ok()?;
        let bound = |object: &&LakeObject| {
            let statistics = known.get(&object.info.file_id)?;
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
        let known = &self.columns.get(column)?.objects;
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

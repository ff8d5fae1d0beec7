//! Rows of an answer as messages of PostgreSQL.
//!
//! Owns: the type of each column, here and in PostgreSQL's own tables, and its values, in both formats: lists of plain values
//! are arrays, other nested values JSON, decimals of any size `numeric`. Does not own: the encoding of plain values (arrow-pg), the
//! form of arrays (`lists`).

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal128Type, Decimal256Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_pg::encoder::{Encoder, encode_value};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use pgwire::api::Type;
use pgwire::api::portal::Format;
use pgwire::api::results::{DataRowEncoder, FieldInfo};
use pgwire::error::PgWireResult;
use pgwire::messages::data::DataRow;

use super::failure::printable;
use super::formats;
use super::lists::{Lists, array_of};
use super::numeric::Numeric;
use super::plain::{written, written_type};
use crate::error::QueryFailure;
use crate::flat::{is_nested, texts};

/// Seconds since 1970 of the year 1 and of the end of the calendar here; drivers and the engine disagree beyond.
const SECONDS_MIN: i64 = -62_135_596_800;
const SECONDS_END: i64 = 8_210_266_876_800;
const DAY_SECONDS: i64 = 86_400;

/// The columns of an answer.
///
/// # Errors
/// A type that PostgreSQL does not have.
pub(super) fn fields(schema: &Schema, format: &Format) -> PgWireResult<Vec<FieldInfo>> {
    let field = |(index, field): (usize, &Arc<Field>)| {
        let datatype = pg_type(field.data_type())?;
        Ok(FieldInfo::new(printable(field.name()), None, None, datatype, formats::of(format, index)))
    };
    schema.fields().iter().enumerate().map(field).collect()
}

/// The type of PostgreSQL for a type of the engine.
///
/// # Errors
/// There is none.
pub(super) fn pg_type(data_type: &DataType) -> PgWireResult<Type> {
    match data_type {
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            let element = pg_type(element.data_type()).ok();
            return Ok(element.as_ref().and_then(array_of).unwrap_or(Type::JSON));
        }
        nested if is_nested(nested) => return Ok(Type::JSON),
        _ => {}
    }
    match written_type(data_type) {
        DataType::Null => Ok(Type::TEXT),
        decimal if decimal.is_decimal() => Ok(Type::NUMERIC),
        other => arrow_pg::datatypes::into_pg_type(&other),
    }
}

/// A column in the form that its values are written from.
#[derive(Debug)]
pub(super) enum Column {
    /// As arrow-pg writes it.
    Plain(ArrayRef, Field),
    /// Digits.
    Numeric(ArrayRef),
    /// JSON.
    Text(StringArray),
    /// Arrays.
    Lists(Lists),
}

/// The rows of a batch.
///
/// # Errors
/// A value has no place in the protocol.
pub(super) fn encoded(batch: &RecordBatch, fields: &Arc<Vec<FieldInfo>>) -> PgWireResult<Vec<DataRow>> {
    let schema = batch.schema();
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, array) in schema.fields().iter().zip(batch.columns()) {
        columns.push(column(field, array)?);
    }
    let mut rows = Vec::with_capacity(batch.num_rows());
    let mut encoder = DataRowEncoder::new(Arc::clone(fields));
    for row in 0..batch.num_rows() {
        for (column, field) in columns.iter().zip(fields.iter()) {
            write(&mut encoder, column, row, field)?;
        }
        rows.push(encoder.take_row());
    }
    Ok(rows)
}

fn column(field: &Field, array: &ArrayRef) -> PgWireResult<Column> {
    if pg_type(array.data_type())? == Type::JSON {
        return Ok(Column::Text(texts(array)?));
    }
    let array = written(array)?;
    let Some(lists) = array.as_list_opt::<i32>() else {
        in_calendar(field.name(), &array)?;
        return Ok(plain(field.name(), array));
    };
    // Behind a null there may be values that nobody sees.
    lists.iter().flatten().try_for_each(|values| in_calendar(field.name(), &values))?;
    let elements = plain(field.name(), Arc::clone(lists.values()));
    Ok(Column::Lists(Lists::new(lists.clone(), elements, pg_type(&lists.value_type())?)))
}

/// A column without lists.
fn plain(name: &str, array: ArrayRef) -> Column {
    if array.data_type().is_decimal() {
        return Column::Numeric(array);
    }
    let field = Field::new(name, array.data_type().clone(), true);
    Column::Plain(array, field)
}

/// Writes a value of a column, or of its lists.
///
/// # Errors
/// It has no place in the protocol.
pub(super) fn write<E: Encoder>(
    encoder: &mut E,
    column: &Column,
    row: usize,
    pg_field: &FieldInfo,
) -> PgWireResult<()> {
    match column {
        // Not every type is asked for its nulls there.
        Column::Plain(array, _) if array.is_null(row) => encoder.encode_field(&None::<i8>, pg_field),
        Column::Plain(array, field) => encode_value(encoder, array, row, field, pg_field),
        Column::Numeric(array) => {
            let value = array.is_valid(row).then(|| Numeric(digits(array, row)));
            encoder.encode_field(&value, pg_field)
        }
        Column::Text(texts) => {
            let value = texts.is_valid(row).then(|| Json(texts.value(row).to_owned()));
            encoder.encode_field(&value, pg_field)
        }
        Column::Lists(lists) => encoder.encode_field(&lists.row(row), pg_field),
    }
}

fn digits(array: &ArrayRef, row: usize) -> String {
    match array.data_type() {
        DataType::Decimal32(..) => array.as_primitive::<arrow_array::types::Decimal32Type>().value_as_string(row),
        DataType::Decimal64(..) => array.as_primitive::<arrow_array::types::Decimal64Type>().value_as_string(row),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        _ => array.as_primitive::<Decimal256Type>().value_as_string(row),
    }
}

/// Refuses times that the encoder would write as null, or that a client would read as others.
fn in_calendar(name: &str, array: &ArrayRef) -> PgWireResult<()> {
    let is_outside = |seconds: i64| !(SECONDS_MIN..SECONDS_END).contains(&seconds);
    let any = |mut values: &mut dyn Iterator<Item = i64>| Iterator::any(&mut values, is_outside);
    let outside = match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            any(&mut array.as_primitive::<TimestampSecondType>().iter().flatten())
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            any(&mut array.as_primitive::<TimestampMillisecondType>().iter().flatten().map(|v| v.div_euclid(1000)))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            any(&mut array.as_primitive::<TimestampMicrosecondType>().iter().flatten().map(|v| v.div_euclid(1_000_000)))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => any(&mut array
            .as_primitive::<TimestampNanosecondType>()
            .iter()
            .flatten()
            .map(|v| v.div_euclid(1_000_000_000))),
        DataType::Date32 => {
            any(&mut array.as_primitive::<Date32Type>().iter().flatten().map(|days| i64::from(days) * DAY_SECONDS))
        }
        DataType::Date64 => any(&mut array.as_primitive::<Date64Type>().iter().flatten().map(|v| v.div_euclid(1000))),
        _ => false,
    };
    if outside {
        return Err(QueryFailure::invalid(format!(
            "column {name:?} holds a time outside the years 1 to 262142; CAST it to varchar or bigint"
        ))
        .into());
    }
    Ok(())
}

/// Text of type `json`, which is the same in both formats.
#[derive(Debug)]
struct Json(String);

impl postgres_types::ToSql for Json {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<postgres_types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(postgres_types::IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSON
    }

    postgres_types::to_sql_checked!();
}

impl pgwire::types::ToSqlText for Json {
    fn to_sql_text(
        &self,
        _: &Type,
        out: &mut bytes::BytesMut,
        _: &pgwire::types::format::FormatOptions,
    ) -> Result<postgres_types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(postgres_types::IsNull::No)
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{IntervalDayTimeArray, IntervalMonthDayNanoArray, IntervalYearMonthArray};

    use super::*;

    #[test]
    fn a_null_interval_is_null_in_both_formats() {
        let columns: [(&str, ArrayRef); 3] = [
            ("months", Arc::new(IntervalYearMonthArray::from(vec![None::<i32>]))),
            ("days", Arc::new(IntervalDayTimeArray::from(vec![None]))),
            ("nanos", Arc::new(IntervalMonthDayNanoArray::from(vec![None]))),
        ];
        let columns = columns.map(|(name, values)| (name, values, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
        for format in [Format::UnifiedText, Format::UnifiedBinary] {
            let fields = Arc::new(fields(&batch.schema(), &format).expect("each has a type"));
            let rows = encoded(&batch, &fields).expect("written");
            assert_eq!(rows[0].data[..], [0xff; 12], "{format:?}");
        }
    }

    #[test]
    fn a_name_does_not_end_early() {
        let schema = Schema::new(vec![Field::new("a\0b", DataType::Int64, true)]);
        assert_eq!(fields(&schema, &Format::UnifiedText).expect("a type")[0].name(), "a\u{FFFD}b");
    }
}

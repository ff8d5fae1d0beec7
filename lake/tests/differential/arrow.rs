//! Values as Arrow arrays, and Arrow arrays as values.
//!
//! Owns: both directions for every type of the product. Does not own: the schema (crate `lake`).

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array,
    Int64Array, ListArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray, new_null_array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::Decimal256Type;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, DecimalType, Field, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};

use crate::value::{Number, Value};

/// A column of the field's type.
pub(crate) fn array(field: &Field, values: &[&Value]) -> ArrayRef {
    match field.data_type() {
        DataType::Boolean => {
            let value = |value: &&Value| if let Value::Bool(value) = value { Some(*value) } else { None };
            Arc::new(values.iter().map(value).collect::<BooleanArray>())
        }
        DataType::Int32 => {
            let narrow = |value: &&Value| integer(value).map(|value| i32::try_from(value).expect("32 bits"));
            Arc::new(values.iter().map(narrow).collect::<Int32Array>())
        }
        DataType::Int64 => Arc::new(values.iter().map(|value| integer(value)).collect::<Int64Array>()),
        DataType::Float64 => {
            let value = |value: &&Value| if let Value::Float(value) = value { Some(*value) } else { None };
            Arc::new(values.iter().map(value).collect::<Float64Array>())
        }
        DataType::Utf8 => {
            let value = |value: &&Value| if let Value::Text(text) = value { Some(text.clone()) } else { None };
            Arc::new(values.iter().map(value).collect::<StringArray>())
        }
        DataType::Binary => {
            let value = |value: &&Value| if let Value::Bytes(bytes) = value { Some(bytes.clone()) } else { None };
            Arc::new(values.iter().map(value).collect::<BinaryArray>())
        }
        DataType::Date32 => {
            let days = |value: &&Value| if let Value::Date(days) = value { i32::try_from(*days).ok() } else { None };
            Arc::new(values.iter().map(days).collect::<Date32Array>())
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            let time = |value: &&Value| if let Value::Time(time) = value { Some(*time) } else { None };
            Arc::new(values.iter().map(time).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
        DataType::Decimal128(precision, scale) => {
            let unscaled = values.iter().map(|value| unscaled(value, *scale));
            let array = unscaled.collect::<Decimal128Array>().with_precision_and_scale(*precision, *scale);
            Arc::new(array.expect("a valid decimal"))
        }
        DataType::List(element) => list(element, values),
        DataType::Struct(_) => structs(field, values),
        other => new_null_array(other, values.len()),
    }
}

fn integer(value: &Value) -> Option<i64> {
    let Value::Number(number) = value else { return None };
    Some(Value::Number(number.clone()).to_string().parse().expect("64 bits"))
}

fn unscaled(value: &Value, scale: i8) -> Option<i128> {
    let Value::Number(_) = value else { return None };
    let text = value.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let scale = usize::try_from(scale).expect("not negative");
    Some(format!("{whole}{fraction:0<scale$}").parse().expect("38 digits"))
}

fn list(element: &Arc<Field>, values: &[&Value]) -> ArrayRef {
    let items = |value: &&Value| if let Value::List(items) = value { items.clone() } else { Vec::new() };
    let lists: Vec<Vec<Value>> = values.iter().map(items).collect();
    let flat: Vec<&Value> = lists.iter().flatten().collect();
    let offsets = OffsetBuffer::from_lengths(lists.iter().map(Vec::len));
    Arc::new(ListArray::new(Arc::clone(element), offsets, array(element, &flat), presence(values)))
}

/// Members of an absent struct are null, the required ones as well, as the writer stores them.
fn structs(field: &Field, values: &[&Value]) -> ArrayRef {
    let DataType::Struct(fields) = field.data_type() else { panic!("a struct") };
    let member = |place: usize| {
        let of = |value: &&Value| match value {
            Value::Struct(members) => members[place].1.clone(),
            _ => Value::Null,
        };
        let members: Vec<Value> = values.iter().map(of).collect();
        array(&fields[place], &members.iter().collect::<Vec<_>>())
    };
    Arc::new(StructArray::new(fields.clone(), (0..fields.len()).map(member).collect(), presence(values)))
}

fn presence(values: &[&Value]) -> Option<NullBuffer> {
    Some(NullBuffer::from_iter(values.iter().map(|value| **value != Value::Null)))
}

/// The rows of batches.
pub(crate) fn rows(batches: &[RecordBatch]) -> Vec<Vec<Value>> {
    let of_batch = |batch: &RecordBatch| {
        let columns: Vec<Vec<Value>> = batch.columns().iter().map(values).collect();
        (0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect::<Vec<_>>()
    };
    batches.iter().flat_map(of_batch).collect()
}

fn values(array: &ArrayRef) -> Vec<Value> {
    let cast_to = |to: &DataType| cast(array, to).expect("a wider type");
    match array.data_type() {
        DataType::Null => vec![Value::Null; array.len()],
        DataType::Boolean => array.as_boolean().iter().map(|value| value.map_or(Value::Null, Value::Bool)).collect(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => {
            values(&cast_to(&DataType::Int64))
        }
        DataType::Int64 => {
            let numbers = array.as_primitive::<Int64Type>().iter();
            numbers.map(|number| present(number, |number| Value::Number(Number::parse(&number.to_string())))).collect()
        }
        DataType::UInt64 => values(&cast_to(&DataType::Decimal128(20, 0))),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            values(&cast_to(&DataType::Decimal128(*precision, *scale)))
        }
        DataType::Decimal128(precision, scale) => {
            let text = |number| Number::parse(&Decimal128Type::format_decimal(number, *precision, *scale));
            let numbers = array.as_primitive::<Decimal128Type>().iter();
            numbers.map(|number| present(number, |number| Value::Number(text(number)))).collect()
        }
        DataType::Decimal256(precision, scale) => {
            let text = |number| Number::parse(&Decimal256Type::format_decimal(number, *precision, *scale));
            let numbers = array.as_primitive::<Decimal256Type>().iter();
            numbers.map(|number| present(number, |number| Value::Number(text(number)))).collect()
        }
        DataType::Float64 => array.as_primitive::<Float64Type>().iter().map(|f| present(f, Value::Float)).collect(),
        DataType::Utf8 => array.as_string::<i32>().iter().map(|t| present(t, |t| Value::Text(t.to_owned()))).collect(),
        DataType::LargeUtf8 | DataType::Utf8View => values(&cast_to(&DataType::Utf8)),
        DataType::Binary => array.as_binary::<i32>().iter().map(|b| present(b, |b| Value::Bytes(b.to_vec()))).collect(),
        DataType::LargeBinary | DataType::BinaryView => values(&cast_to(&DataType::Binary)),
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().iter();
            days.map(|day| present(day, |day| Value::Date(i64::from(day)))).collect()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().iter().map(|time| present(time, Value::Time)).collect()
        }
        DataType::Timestamp(_, zone) => values(&cast_to(&DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))),
        DataType::List(_) | DataType::Struct(_) => nested(array),
        DataType::LargeList(element) => values(&cast_to(&DataType::List(Arc::clone(element)))),
        DataType::FixedSizeList(element, _) => values(&cast_to(&DataType::List(Arc::clone(element)))),
        other => {
            let of_row = |row| if array.is_null(row) { Value::Null } else { Value::Other(other.to_string()) };
            (0..array.len()).map(of_row).collect()
        }
    }
}

fn present<T>(value: Option<T>, made: impl Fn(T) -> Value) -> Value {
    value.map_or(Value::Null, made)
}

fn nested(array: &ArrayRef) -> Vec<Value> {
    if let Some(lists) = array.as_list_opt::<i32>() {
        return lists.iter().map(|list| present(list, |list| Value::List(values(&list)))).collect();
    }
    let structs = array.as_struct();
    let columns: Vec<Vec<Value>> = structs.columns().iter().map(values).collect();
    let of_row = |row: usize| {
        let members = structs.fields().iter().zip(&columns);
        Value::Struct(members.map(|(field, column)| (field.name().clone(), column[row].clone())).collect())
    };
    (0..array.len()).map(|row| if structs.is_null(row) { Value::Null } else { of_row(row) }).collect()
}

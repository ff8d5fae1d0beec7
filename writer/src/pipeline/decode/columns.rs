//! Column buffers that can take back a half-written row, which Arrow's builders cannot.
//!
//! Owns: growing and truncating columns, and turning them into Arrow arrays.
//! Does not own: which values a type takes (`typed`), the schema (crate `lake`).

use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, ListArray, PrimitiveArray, StringArray, StructArray};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};

/// One column, with the schema's field it fills.
pub(super) struct Column {
    pub(super) values: Values,
    pub(super) nullable: bool,
    nulls: NullBufferBuilder,
    /// Its rows: the length of `nulls`, which is needed too often for a call into another crate.
    rows: usize,
}

/// The values of a column; a null has a placeholder in all but `Struct`, whose members are null too.
pub(super) enum Values {
    Bool(BooleanBufferBuilder),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float64(Vec<f64>),
    Decimal(Vec<i128>),
    Bytes { ends: Vec<i32>, bytes: Vec<u8> },
    List { ends: Vec<i32>, element: Box<Column> },
    Struct(Vec<Column>),
}

impl Column {
    /// An empty column for values of `data_type`, which must be the type of a possible declared column.
    pub(super) fn new(data_type: &DataType, nullable: bool, capacity: usize) -> Self {
        let values = match data_type {
            DataType::Boolean => Values::Bool(BooleanBufferBuilder::new(capacity)),
            DataType::Int32 | DataType::Date32 => Values::Int32(Vec::with_capacity(capacity)),
            DataType::Int64 | DataType::Timestamp(_, _) => Values::Int64(Vec::with_capacity(capacity)),
            DataType::Float64 => Values::Float64(Vec::with_capacity(capacity)),
            DataType::Decimal128(_, _) => Values::Decimal(Vec::with_capacity(capacity)),
            DataType::Utf8 | DataType::Binary => Values::Bytes { ends: ends(capacity), bytes: Vec::new() },
            DataType::List(element) => Values::List {
                ends: ends(capacity),
                element: Box::new(Self::new(element.data_type(), element.is_nullable(), 0)),
            },
            DataType::Struct(members) => Values::Struct(
                members.iter().map(|member| Self::new(member.data_type(), member.is_nullable(), 0)).collect(),
            ),
            other => unreachable!("no declared column has type {other}"),
        };
        Self { values, nullable, nulls: NullBufferBuilder::new(capacity), rows: 0 }
    }

    /// Number of rows.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// Memory of one row without the text, bytes and elements of its value, in bytes.
    pub(super) fn fixed_bytes(&self) -> usize {
        match &self.values {
            Values::Bool(_) => 1,
            Values::Int32(_) => size_of::<i32>(),
            Values::Int64(_) | Values::Float64(_) => size_of::<i64>(),
            Values::Decimal(_) => size_of::<i128>(),
            Values::Bytes { .. } | Values::List { .. } => size_of::<i32>(),
            Values::Struct(members) => members.iter().map(Self::fixed_bytes).sum(),
        }
    }

    /// Makes room for `more` bytes of values in a column of text or bytes; other columns need none.
    pub(super) fn reserve_bytes(&mut self, more: usize) {
        if let Values::Bytes { bytes, .. } = &mut self.values {
            bytes.reserve(more);
        }
    }

    /// Completes a row whose value was just added to `values`.
    #[inline]
    pub(super) fn mark_valid(&mut self) {
        self.nulls.append_non_null();
        self.rows += 1;
    }

    /// Adds a null without checking that the column takes one: that is the caller's part.
    pub(super) fn append_null(&mut self) {
        match &mut self.values {
            Values::Bool(values) => values.append(false),
            Values::Int32(values) => values.push(0),
            Values::Int64(values) => values.push(0),
            Values::Float64(values) => values.push(0.0),
            Values::Decimal(values) => values.push(0),
            Values::Bytes { ends, bytes } => ends.push(bytes.len() as i32),
            Values::List { ends, element } => ends.push(element.len() as i32),
            Values::Struct(members) => members.iter_mut().for_each(Self::append_null),
        }
        self.nulls.append_null();
        self.rows += 1;
    }

    /// Removes everything after the first `rows` rows, including an unfinished one.
    pub(super) fn truncate(&mut self, rows: usize) {
        match &mut self.values {
            Values::Bool(values) => values.truncate(rows),
            Values::Int32(values) => values.truncate(rows),
            Values::Int64(values) => values.truncate(rows),
            Values::Float64(values) => values.truncate(rows),
            Values::Decimal(values) => values.truncate(rows),
            Values::Bytes { ends, bytes } => {
                ends.truncate(rows + 1);
                bytes.truncate(ends[rows] as usize);
            }
            Values::List { ends, element } => {
                ends.truncate(rows + 1);
                element.truncate(ends[rows] as usize);
            }
            Values::Struct(members) => members.iter_mut().for_each(|member| member.truncate(rows)),
        }
        self.nulls.truncate(rows);
        self.rows = self.rows.min(rows);
    }

    /// The Arrow array for `field`.
    pub(super) fn finish(mut self, field: &Field) -> ArrayRef {
        let nulls = self.nulls.finish();
        match (self.values, field.data_type()) {
            (Values::Bool(mut values), _) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            (Values::Int32(values), DataType::Date32) => primitive::<Date32Type>(values, nulls, field),
            (Values::Int32(values), _) => primitive::<Int32Type>(values, nulls, field),
            (Values::Int64(values), DataType::Timestamp(_, _)) => {
                primitive::<TimestampMicrosecondType>(values, nulls, field)
            }
            (Values::Int64(values), _) => primitive::<Int64Type>(values, nulls, field),
            (Values::Float64(values), _) => primitive::<Float64Type>(values, nulls, field),
            (Values::Decimal(values), _) => primitive::<Decimal128Type>(values, nulls, field),
            (Values::Bytes { ends, bytes }, DataType::Binary) => {
                Arc::new(BinaryArray::new(offsets(ends), Buffer::from_vec(bytes), nulls))
            }
            (Values::Bytes { ends, bytes }, _) => {
                Arc::new(StringArray::new(offsets(ends), Buffer::from_vec(bytes), nulls))
            }
            (Values::List { ends, element }, DataType::List(element_field)) => {
                let values = element.finish(element_field);
                Arc::new(ListArray::new(Arc::clone(element_field), offsets(ends), values, nulls))
            }
            (Values::Struct(members), DataType::Struct(fields)) => {
                let length = members.first().map_or(0, Self::len);
                let arrays = members.into_iter().zip(fields).map(|(member, field)| member.finish(field)).collect();
                let array = StructArray::try_new_with_length(fields.clone(), arrays, nulls, length);
                Arc::new(array.expect("members have one length"))
            }
            (_, data_type) => unreachable!("the column was made for its field, not for {data_type}"),
        }
    }
}

fn ends(capacity: usize) -> Vec<i32> {
    let mut ends = Vec::with_capacity(capacity + 1);
    ends.push(0);
    ends
}

fn offsets(ends: Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(ends))
}

fn primitive<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    nulls: Option<arrow_buffer::NullBuffer>,
    field: &Field,
) -> ArrayRef {
    let array = PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls);
    Arc::new(array.with_data_type(field.data_type().clone()))
}

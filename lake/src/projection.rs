//! Rows of an object of any age, in the columns of today's table.
//!
//! Owns: finding each column by its field id, types that were widened, columns and members that were added, and what
//! objects of layout 1 lack. Does not own: the table's schema (`schema`), the values of headers (`headers`).

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Int32Array, ListArray, MapArray, RecordBatch, StructArray, new_null_array};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, SchemaRef};
use catalog::SegmentInfo;

use crate::headers::with_unique_keys;
use crate::schema::{HEADERS, INCARNATION, field_id};

/// The way from an object's columns to those of a table.
#[derive(Clone, Debug)]
pub struct Projection {
    /// The table's columns.
    pub table: SchemaRef,
    /// The incarnation of all rows, in an object of layout 1, whose rows do not say it.
    pub unsaid_incarnation: Option<i32>,
}

impl Projection {
    /// The way from the object that holds this segment.
    pub fn of(segment: &SegmentInfo, table: SchemaRef) -> Self {
        let is_first_layout = segment.object.layout == 1;
        // An object of layout 1 holds one segment.
        let unsaid_incarnation = is_first_layout.then(|| i32::try_from(segment.incarnation.0).unwrap_or(i32::MAX));
        Self { table, unsaid_incarnation }
    }

    /// The same rows with the table's columns.
    ///
    /// # Errors
    /// When a value cannot have the table's type.
    pub fn apply(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        if rows.schema_ref() == &self.table && self.unsaid_incarnation.is_none() {
            return Ok(rows.clone());
        }
        let columns = self.table.fields().iter().map(|field| self.column(rows, field));
        RecordBatch::try_new(Arc::clone(&self.table), columns.collect::<Result<_, _>>()?)
    }

    fn column(&self, rows: &RecordBatch, field: &Field) -> Result<ArrayRef, ArrowError> {
        if let (INCARNATION, Some(number)) = (field.name().as_str(), self.unsaid_incarnation) {
            return Ok(Arc::new(Int32Array::from_value(number, rows.num_rows())));
        }
        let column = of_field(rows.schema_ref().fields(), rows.columns(), field, rows.num_rows())?;
        match (field.name().as_str(), self.unsaid_incarnation) {
            (HEADERS, Some(_)) => Ok(Arc::new(with_unique_keys(column.as_map())?)),
            _ => Ok(column),
        }
    }
}

/// The column, or member, of `wanted` among those of `fields`; nulls when there is none.
fn of_field(fields: &[FieldRef], columns: &[ArrayRef], wanted: &Field, rows: usize) -> Result<ArrayRef, ArrowError> {
    let id = field_id(wanted);
    let found = fields.iter().position(|field| match (id, field_id(field)) {
        (Some(id), Some(other)) => id == other,
        _ => field.name() == wanted.name(),
    });
    match found {
        Some(at) => adapted(&columns[at], wanted.data_type()),
        None if wanted.is_nullable() => Ok(new_null_array(wanted.data_type(), rows)),
        None => Err(ArrowError::SchemaError(format!("column {:?} must have values, and is not there", wanted.name()))),
    }
}

/// The same values in a type that is the same, wider, or has more members.
fn adapted(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), wanted) {
        (found, wanted) if found == wanted => Ok(Arc::clone(array)),
        (DataType::Struct(_), DataType::Struct(members)) => {
            let held = array.as_struct();
            let columns = members.iter().map(|member| of_field(held.fields(), held.columns(), member, held.len()));
            let (columns, nulls) = (columns.collect::<Result<Vec<_>, _>>()?, held.nulls().cloned());
            Ok(Arc::new(StructArray::try_new_with_length(members.clone(), columns, nulls, held.len())?))
        }
        (DataType::List(_), DataType::List(element)) => {
            let held = array.as_list::<i32>();
            let (values, nulls) = (adapted(held.values(), element.data_type())?, held.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(Arc::clone(element), held.offsets().clone(), values, nulls)?))
        }
        (DataType::Map(_, _), DataType::Map(entries, is_sorted)) => {
            let held = array.as_map();
            let pairs: ArrayRef = Arc::new(held.entries().clone());
            let pairs = adapted(&pairs, entries.data_type())?.as_struct().clone();
            let (offsets, nulls) = (held.offsets().clone(), held.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, pairs, nulls, *is_sorted)?))
        }
        _ => cast(array, wanted),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::types::{Int32Type, Int64Type};
    use arrow_array::{Int64Array, StringArray};
    use arrow_schema::{Fields, Schema};

    use super::*;

    fn field(name: &str, data_type: DataType, id: i32) -> Field {
        let metadata = [("PARQUET:field_id".to_owned(), id.to_string())];
        Field::new(name, data_type, true).with_metadata(metadata.into())
    }

    #[test]
    fn columns_are_found_by_their_ids_and_widened() {
        let inner = |data_type, id| DataType::Struct(Fields::from(vec![field("x", data_type, id)]));
        let list = |element: DataType| DataType::List(Arc::new(field("element", element, 103)));
        let old = Schema::new(vec![
            field("was", DataType::Int32, 100),
            field("gone", DataType::Utf8, 101),
            field("l", list(inner(DataType::Int32, 104)), 102),
        ]);
        let more =
            DataType::Struct(Fields::from(vec![field("y", DataType::Utf8, 105), field("x", DataType::Int64, 104)]));
        let new = Arc::new(Schema::new(vec![
            field("is", DataType::Int64, 100),
            field("l", list(more), 102),
            field("gone", DataType::Int64, 106),
        ]));
        let members: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
        let DataType::List(element) = old.field(2).data_type() else { panic!("a list") };
        let DataType::Struct(fields) = element.data_type() else { panic!("a struct") };
        let structs = StructArray::new(fields.clone(), vec![members], None);
        let offsets = arrow_buffer::OffsetBuffer::from_lengths([2, 0, 1]);
        let lists = ListArray::new(Arc::clone(element), offsets, Arc::new(structs), None);
        let numbers = Int32Array::from(vec![Some(7), None, Some(i32::MIN)]);
        let columns: Vec<ArrayRef> =
            vec![Arc::new(numbers), Arc::new(StringArray::from(vec!["a", "b", "c"])), Arc::new(lists)];
        let rows = RecordBatch::try_new(Arc::new(old), columns).expect("matches");
        let projection = Projection { table: Arc::clone(&new), unsaid_incarnation: None };
        let read = projection.apply(&rows).expect("projected");
        assert_eq!(read.schema(), new);
        let wide: Vec<_> = read.column(0).as_primitive::<Int64Type>().iter().collect();
        assert_eq!(wide, [Some(7), None, Some(i64::from(i32::MIN))]);
        let lists = read.column(1).as_list::<i32>();
        assert_eq!(lists.value_length(0), 2);
        let structs = lists.values().as_struct();
        assert_eq!(structs.column(0).null_count(), 3, "a member that was added is null in older rows");
        assert_eq!(structs.column(1).as_primitive::<Int64Type>().values(), &[1, 2, 3]);
        assert_eq!(read.column(2).null_count(), 3, "a column that was declared again is another one");
    }

    #[test]
    fn rows_that_do_not_say_their_incarnation_get_it() {
        let old = Arc::new(Schema::new(vec![field("_partition", DataType::Int32, 1)]));
        let rows = RecordBatch::try_new(old, vec![Arc::new(Int32Array::from(vec![4, 5]))]).expect("matches");
        let partition = field("_partition_id", DataType::Int32, 1).with_nullable(false);
        let incarnation = field(INCARNATION, DataType::Int32, 13).with_nullable(false);
        let table = Arc::new(Schema::new(vec![partition, incarnation]));
        let said = Projection { table: Arc::clone(&table), unsaid_incarnation: Some(3) };
        let read = said.apply(&rows).expect("projected");
        assert_eq!(read.column(0).as_primitive::<Int32Type>().values(), &[4, 5]);
        assert_eq!(read.column(1).as_primitive::<Int32Type>().values(), &[3, 3]);
        let unsaid = Projection { table, unsaid_incarnation: None };
        assert!(unsaid.apply(&rows).expect_err("not there").to_string().contains("_incarnation"));
    }

    #[test]
    fn rows_of_today_are_not_touched() {
        let table = Arc::new(Schema::new(vec![field("n", DataType::Int64, 100)]));
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let rows = RecordBatch::try_new(Arc::clone(&table), vec![Arc::clone(&column)]).expect("matches");
        let read = Projection { table, unsaid_incarnation: None }.apply(&rows).expect("projected");
        assert_eq!(read, rows);
    }
}

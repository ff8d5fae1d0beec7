//! Arrays as SQL is to see them.
//!
//! Owns: two rules of values. A member of an absent object is null. Zero has no sign, and there is one NaN: the kernels
//! of Arrow order floats by their bits, so that -0.0 and 0.0 would differ, as would NaNs of different signs.
//! Does not own: the places where arrays are settled (`settled_scan` for what is read, `checked` for what is computed).

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, FixedSizeListArray, GenericListArray, MapArray,
    OffsetSizeTrait, PrimitiveArray, StructArray,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::nullif;
use datafusion::arrow::datatypes::{DataType, Field, Float32Type, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;

/// True when arrays of the field may hold what [`settled`] changes.
pub(super) fn may_be_unsettled(field: &Field) -> bool {
    match field.data_type() {
        DataType::Struct(members) => {
            let hides_nulls = field.is_nullable() && members.iter().any(|member| !member.is_nullable());
            hides_nulls || members.iter().any(|member| may_be_unsettled(member))
        }
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::FixedSizeList(element, _)
        | DataType::Map(element, _) => may_be_unsettled(element),
        other => other.is_floating(),
    }
}

/// True when values of the type are floats or hold some.
pub(super) fn has_floats(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(members) => members.iter().any(|member| has_floats(member.data_type())),
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::FixedSizeList(element, _)
        | DataType::Map(element, _) => has_floats(element.data_type()),
        other => other.is_floating(),
    }
}

/// The array with the nulls of objects in their members too, without negative zeros, and with one NaN.
///
/// # Errors
/// When a part of the array does not fit its type, which is a defect.
pub(super) fn settled(array: &ArrayRef) -> Result<ArrayRef> {
    settled_under(array, None)
}

/// The same, null also where the object around it is.
fn settled_under(array: &ArrayRef, above: Option<&NullBuffer>) -> Result<ArrayRef> {
    let array = match above.filter(|nulls| nulls.null_count() > 0) {
        Some(nulls) => nullif(array, &BooleanArray::new(!nulls.inner(), None))?,
        None => Arc::clone(array),
    };
    match array.data_type() {
        DataType::Float32 => Ok(settled_floats::<Float32Type>(&array, settled_f32)),
        DataType::Float64 => Ok(settled_floats::<Float64Type>(&array, settled_f64)),
        DataType::Struct(members) if !members.is_empty() => Ok(Arc::new(settled_struct(array.as_struct())?)),
        DataType::List(_) => Ok(Arc::new(settled_list(array.as_list::<i32>())?)),
        DataType::LargeList(_) => Ok(Arc::new(settled_list(array.as_list::<i64>())?)),
        DataType::FixedSizeList(element, size) => {
            let list = array.as_fixed_size_list();
            let values = settled(list.values())?;
            let nulls = list.nulls().cloned();
            let list = FixedSizeListArray::try_new_with_length(Arc::clone(element), *size, values, nulls, list.len())?;
            Ok(Arc::new(list))
        }
        DataType::Map(entries, is_sorted) => {
            let map = array.as_map();
            let pairs = settled_struct(map.entries())?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, pairs, nulls, *is_sorted)?))
        }
        _ => Ok(array),
    }
}

fn settled_struct(objects: &StructArray) -> Result<StructArray> {
    let nulls = objects.nulls();
    let members = objects.columns().iter().map(|member| settled_under(member, nulls)).collect::<Result<_>>()?;
    Ok(StructArray::try_new_with_length(objects.fields().clone(), members, nulls.cloned(), objects.len())?)
}

fn settled_list<O: OffsetSizeTrait>(list: &GenericListArray<O>) -> Result<GenericListArray<O>> {
    let (DataType::List(element) | DataType::LargeList(element)) = list.data_type() else {
        unreachable!("the caller has matched the type of a list")
    };
    let values = settled(list.values())?;
    Ok(GenericListArray::try_new(Arc::clone(element), list.offsets().clone(), values, list.nulls().cloned())?)
}

/// The array itself where nothing is to be changed, which is so in nearly all batches.
fn settled_floats<T: ArrowPrimitiveType<Native: PartialEq + Copy + ToBits>>(
    array: &ArrayRef,
    settle: impl Fn(T::Native) -> T::Native,
) -> ArrayRef {
    let floats: &PrimitiveArray<T> = array.as_primitive();
    if floats.values().iter().all(|value| settle(*value).bits() == value.bits()) {
        return Arc::clone(array);
    }
    Arc::new(floats.unary::<_, T>(settle))
}

/// A float's bits, by which alone a zero's sign is seen.
trait ToBits {
    fn bits(self) -> u64;
}

impl ToBits for f32 {
    fn bits(self) -> u64 {
        u64::from(self.to_bits())
    }
}

impl ToBits for f64 {
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

fn settled_f32(value: f32) -> f32 {
    match value {
        nan if nan.is_nan() => f32::NAN,
        // The sum of zeros of both signs is positive.
        other => other + 0.0,
    }
}

/// The float, with a positive zero and the one NaN.
pub(super) fn settled_f64(value: f64) -> f64 {
    match value {
        nan if nan.is_nan() => f64::NAN,
        other => other + 0.0,
    }
}

/// The scalar, settled as an array of it is.
pub(super) fn settled_scalar(scalar: &ScalarValue) -> Result<ScalarValue> {
    ScalarValue::try_from_array(&settled(&scalar.to_array()?)?, 0)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Float32Array, Float64Array, Int64Array, ListArray};
    use datafusion::arrow::buffer::OffsetBuffer;
    use datafusion::arrow::datatypes::Fields;

    use super::*;

    /// An object with a required member, absent in row 1, where the member has a value all the same.
    fn hidden(inner: ArrayRef, nulls: Option<NullBuffer>) -> ArrayRef {
        let member = Field::new("x", inner.data_type().clone(), false);
        Arc::new(StructArray::new(Fields::from(vec![member]), vec![inner], nulls))
    }

    fn absent() -> Option<NullBuffer> {
        Some(NullBuffer::from(vec![true, false, true]))
    }

    #[test]
    fn members_of_absent_objects_are_null_at_any_depth() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let nested = settled(&hidden(hidden(Arc::clone(&numbers), None), absent())).expect("settles");
        let inner = nested.as_struct().column(0);
        assert!(inner.is_null(1) && inner.is_valid(0));
        assert_eq!(inner.as_struct().column(0).as_ref(), &Int64Array::from(vec![Some(1), None, Some(3)]) as &dyn Array);

        let element = Arc::new(Field::new("element", hidden(Arc::clone(&numbers), absent()).data_type().clone(), true));
        let list = ListArray::new(element, OffsetBuffer::from_lengths([2, 1]), hidden(numbers, absent()), None);
        let list = settled(&(Arc::new(list) as ArrayRef)).expect("settles");
        let members = list.as_list::<i32>().values().as_struct().column(0);
        assert_eq!(members.as_ref(), &Int64Array::from(vec![Some(1), None, Some(3)]) as &dyn Array);
    }

    #[test]
    fn zero_has_no_sign_and_there_is_one_nan() {
        let doubles: ArrayRef = Arc::new(Float64Array::from(vec![-0.0, -f64::NAN, -1.5]));
        let bits = |array: ArrayRef| array.as_primitive::<Float64Type>().values().iter().map(|v| v.to_bits()).collect();
        let seen: Vec<u64> = bits(settled(&doubles).expect("settles"));
        assert_eq!(seen, [0.0_f64.to_bits(), f64::NAN.to_bits(), (-1.5_f64).to_bits()]);
        let singles: ArrayRef = Arc::new(Float32Array::from(vec![-0.0]));
        assert!(settled(&singles).expect("settles").as_primitive::<Float32Type>().value(0).is_sign_positive());
    }

    #[test]
    fn only_floats_and_hidden_nulls_need_work() {
        let member = |nullable| Field::new("m", DataType::Int64, nullable);
        let object = |member, nullable| Field::new("o", DataType::Struct(Fields::from(vec![member])), nullable);
        assert!(may_be_unsettled(&object(member(false), true)));
        assert!(!may_be_unsettled(&object(member(true), true)));
        assert!(!may_be_unsettled(&object(member(false), false)));
        assert!(may_be_unsettled(&Field::new("f", DataType::Float64, true)));
    }
}

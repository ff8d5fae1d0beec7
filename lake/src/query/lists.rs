//! Nulls in lists.
//!
//! Owns: the function that is null where a list has a null, else false; so is `x OR` it where `x` is false.
//! Does not own: where it is needed (`comparisons`).

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The name of the function.
pub(super) const NULL_WITHIN: &str = "null_within";

/// The function.
pub(super) fn null_within() -> ScalarUDF {
    ScalarUDF::new_from_impl(NullWithin { signature: Signature::any(1, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct NullWithin {
    signature: Signature,
}

impl ScalarUDFImpl for NullWithin {
    fn name(&self) -> &'static str {
        NULL_WITHIN
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(match &args.args[0] {
            ColumnarValue::Array(lists) => ColumnarValue::Array(Arc::new(found(lists))),
            ColumnarValue::Scalar(list) => {
                ColumnarValue::Scalar(ScalarValue::try_from_array(&found(&list.to_array()?), 0)?)
            }
        })
    }
}

/// For each list, null where it is null or has a null, else false.
fn found(lists: &ArrayRef) -> BooleanArray {
    let has_null = |row: usize| {
        let elements = match lists.data_type() {
            DataType::List(_) => lists.as_list::<i32>().value(row),
            DataType::LargeList(_) => lists.as_list::<i64>().value(row),
            DataType::FixedSizeList(..) => lists.as_fixed_size_list().value(row),
            _ => return false,
        };
        elements.logical_null_count() > 0
    };
    (0..lists.len()).map(|row| (!lists.is_null(row) && !has_null(row)).then_some(false)).collect()
}

//! Headers of version 0.1.0, in which a name that occurs twice is a key that occurs twice.
//!
//! Owns: the expression that makes their map one with each key once. Does not own: that map (`lake::headers`), which objects
//! need it (`layout`).

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use crate::headers::with_unique_keys as unique;

const NAME: &str = "with_unique_keys";

/// The map column `headers` of a file, with each key once.
pub(super) fn with_unique_keys(headers: Arc<dyn PhysicalExpr>, field: FieldRef) -> Arc<dyn PhysicalExpr> {
    let function = Arc::new(ScalarUDF::from(UniqueKeys { signature: Signature::any(1, Volatility::Immutable) }));
    Arc::new(ScalarFunctionExpr::new(NAME, function, vec![headers], field, Arc::new(ConfigOptions::default())))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct UniqueKeys {
    signature: Signature,
}

impl ScalarUDFImpl for UniqueKeys {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = args.args[0].to_array(args.number_rows)?;
        let map = array.as_map_opt();
        let map = map.ok_or_else(|| DataFusionError::Internal(format!("headers are a {}", array.data_type())))?;
        Ok(ColumnarValue::Array(Arc::new(unique(map)?)))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, Int32Array, MapArray, RecordBatch, StringArray, StructArray};
    use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
    use datafusion::arrow::compute::cast;
    use datafusion::arrow::datatypes::{Field, Schema};
    use datafusion::physical_expr::expressions::Column;

    use super::super::adapter;
    use super::*;
    use crate::schema::{HEADERS, PARTITION_IN_LAYOUT_1, quarantine_schema};

    #[test]
    fn a_doubled_key_of_layout_1_is_read_as_one_with_both_values() {
        let table = quarantine_schema();
        let DataType::Map(entries, _) = table.field_with_name(HEADERS).expect("there").data_type() else {
            panic!("a map")
        };
        let DataType::Struct(pair) = entries.data_type() else { panic!("entries are structs") };
        let texts = |texts: [&str; 5]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
        let pairs = vec![texts(["T", "U", "T", "t", "T"]), texts(["b", "x", "c", "", "1"])];
        let pairs = StructArray::new(pair.clone(), pairs, None);
        let (offsets, nulls) = (OffsetBuffer::from_lengths([3, 0, 2]), NullBuffer::from(vec![true, false, true]));
        let maps = MapArray::new(Arc::clone(entries), offsets, pairs, Some(nulls), false);
        let partition = Field::new(PARTITION_IN_LAYOUT_1, DataType::Int32, false);
        let headers = Field::new(HEADERS, maps.data_type().clone(), true);
        let file = Arc::new(Schema::new(vec![partition, headers]));
        let partitions = Arc::new(Int32Array::from(vec![0; 3]));
        let batch = RecordBatch::try_new(Arc::clone(&file), vec![partitions, Arc::new(maps)]).expect("columns");
        let column = Arc::new(Column::new(HEADERS, table.index_of(HEADERS).expect("there")));
        let adapted = adapter(Some(0)).create(table, file).expect("an adapter").rewrite(column).expect("rewritten");
        let read = adapted.evaluate(&batch).expect("evaluated").into_array(3).expect("an array");
        let read = read.as_map();
        let pairs = |row: usize| {
            let entries = read.value(row);
            let text = |column: usize| cast(entries.column(column), &DataType::Utf8).expect("text");
            let (names, values) = (text(0), text(1));
            let (names, values) = (names.as_string::<i32>(), values.as_string::<i32>());
            (0..entries.len())
                .map(|entry| format!("{}={}", names.value(entry), values.value(entry)))
                .collect::<Vec<_>>()
        };
        assert_eq!(pairs(0), ["T=b\nc", "U=x"]);
        assert_eq!((read.is_null(1), read.is_null(2)), (true, false));
        assert_eq!(pairs(2), ["T=1", "t="]);
    }
}

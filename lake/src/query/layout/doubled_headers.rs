//! Headers of version 0.1.0, in which a name that occurs twice is a key that occurs twice.
//!
//! Owns: their map with each key once, as objects of now have it. Does not own: the values of one name as one text
//! (`lake::headers`), which objects need it (`layout`).

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayBuilder, ArrayRef, AsArray, MapArray, StringBuilder, StructArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use crate::headers::SEPARATOR;

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

/// The maps of `map`, each with its keys once and in order, and all values of a key as one text.
fn unique(map: &MapArray) -> Result<MapArray> {
    let (keys, values) = (cast(map.keys(), &DataType::Utf8)?, cast(map.values(), &DataType::Utf8)?);
    let (keys, values) = (keys.as_string::<i32>(), values.as_string::<i32>());
    let (mut names, mut texts) = (StringBuilder::new(), StringBuilder::new());
    let mut lengths = Vec::with_capacity(map.len());
    for bounds in map.value_offsets().windows(2) {
        let entries = bounds[0] as usize..bounds[1] as usize;
        let mut by_name: Vec<_> = entries.map(|entry| (keys.value(entry), values.value(entry))).collect();
        by_name.sort_by_key(|(name, _)| *name);
        let before = names.len();
        for of_one_name in by_name.chunk_by(|(one, _), (two, _)| one == two) {
            names.append_value(of_one_name[0].0);
            let sent: Vec<&str> = of_one_name.iter().map(|(_, value)| *value).collect();
            texts.append_value(sent.join(SEPARATOR));
        }
        lengths.push(names.len() - before);
    }
    let DataType::Map(field, is_sorted) = map.data_type() else { unreachable!("a map array has a map type") };
    let entries: [ArrayRef; 2] = [Arc::new(names.finish()), Arc::new(texts.finish())];
    let columns = entries.iter().zip(map.entries().columns()).map(|(new, old)| cast(new, old.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let entries = StructArray::try_new(map.entries().fields().clone(), columns, None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(MapArray::try_new(Arc::clone(field), offsets, entries, map.nulls().cloned(), *is_sorted)?)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int32Array, RecordBatch, StringArray};
    use datafusion::arrow::buffer::NullBuffer;
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

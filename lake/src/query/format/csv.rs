//! Rows of answers as CSV.
//!
//! Owns: lists, structs and maps, which are JSON. Does not own: quoting and plain values (`crate::csv`), the output.

use std::io::Write;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::Schema;
use datafusion::error::Result;

use super::json_texts;
use crate::csv;

/// Writes the names of the columns.
///
/// # Errors
/// Of `output`.
pub fn write_csv_header(output: impl Write, schema: &Schema) -> Result<()> {
    Ok(csv::write_header(output, schema)?)
}

/// Writes rows.
///
/// # Errors
/// Of `output`, or when a value cannot be formatted.
pub fn write_csv(output: impl Write, rows: &RecordBatch) -> Result<()> {
    let columns = rows.columns().iter().map(column).collect::<Result<Vec<_>>>()?;
    Ok(csv::write_rows(output, rows.num_rows(), &columns)?)
}

/// The fields of a column, quoted where they must be.
fn column(values: &ArrayRef) -> Result<Vec<String>> {
    if values.data_type().is_nested() {
        let texts = json_texts(values)?.into_iter();
        return Ok(texts.map(|text| text.as_deref().map_or_else(String::new, csv::quoted)).collect());
    }
    Ok(csv::plain(values.as_ref())?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        BinaryArray, Int64Array, ListArray, NullArray, StringArray, TimestampMicrosecondArray,
    };
    use datafusion::arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn every_value_is_read_back_as_it_was() {
        let texts = StringArray::from(vec![Some("a,b"), Some(""), None, Some("say \"hi\"\n")]);
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>([
            Some(vec![Some(1), None]),
            Some(vec![]),
            None,
            Some(vec![Some(2)]),
        ]);
        let times = TimestampMicrosecondArray::from(vec![Some(0), None, Some(1), Some(-1)]).with_timezone("UTC");
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("n", Arc::new(Int64Array::from(vec![Some(1), None, Some(-3), Some(4)]))),
            ("a,b", Arc::new(texts)),
            ("l", Arc::new(list)),
            ("x", Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), Some(b""), None, Some(b"a")]))),
            ("t", Arc::new(times)),
            ("z", Arc::new(NullArray::new(4))),
        ];
        let rows = RecordBatch::try_from_iter(columns).expect("columns");
        let mut out = Vec::new();
        write_csv_header(&mut out, &rows.schema()).expect("in memory");
        write_csv(&mut out, &rows).expect("in memory");
        let expected = "n,\"a,b\",l,x,t,z\n\
                        1,\"a,b\",\"[1,null]\",00ff,1970-01-01T00:00:00Z,\n\
                        ,\"\",[],\"\",,\n\
                        -3,,,,1970-01-01T00:00:00.000001Z,\n\
                        4,\"say \"\"hi\"\"\n\",[2],61,1969-12-31T23:59:59.999999Z,\n";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }
}

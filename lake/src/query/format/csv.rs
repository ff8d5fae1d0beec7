//! Rows as CSV, as in RFC 4180 with line feeds.
//!
//! Owns: quoting, and the text of each value. A null is an empty field and an empty text is `""`; times are as in ISO 8601,
//! binary values hexadecimal; lists, structs and maps are JSON. Does not own: the output.

use std::io::Write;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::Result;

use super::json_texts;

/// Writes the names of the columns.
///
/// # Errors
/// Of `output`.
pub fn write_csv_header(mut output: impl Write, schema: &Schema) -> Result<()> {
    let names: Vec<String> = schema.fields().iter().map(|field| quoted(field.name())).collect();
    Ok(writeln!(output, "{}", names.join(","))?)
}

/// Writes rows.
///
/// # Errors
/// Of `output`, or when a value cannot be formatted.
pub fn write_csv(mut output: impl Write, rows: &RecordBatch) -> Result<()> {
    let columns = rows.columns().iter().map(column).collect::<Result<Vec<_>>>()?;
    for row in 0..rows.num_rows() {
        let fields: Vec<&str> = columns.iter().map(|column| column[row].as_str()).collect();
        writeln!(output, "{}", fields.join(","))?;
    }
    Ok(())
}

/// The fields of a column, quoted where they must be.
fn column(values: &ArrayRef) -> Result<Vec<String>> {
    if values.data_type().is_nested() {
        let texts = json_texts(values)?.into_iter();
        return Ok(texts.map(|text| text.as_deref().map_or_else(String::new, quoted)).collect());
    }
    let options = FormatOptions::default();
    let shown = ArrayFormatter::try_new(values.as_ref(), &options)?;
    // Those of dictionaries and of a column of nothing but nulls too.
    let nulls = values.logical_nulls();
    let field = |row| match nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
        true => Ok(String::new()),
        false => Ok(quoted(&shown.value(row).try_to_string()?)),
    };
    (0..values.len()).map(field).collect()
}

fn quoted(text: &str) -> String {
    if !text.is_empty() && !text.contains([',', '"', '\n', '\r']) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('"', "\"\""))
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

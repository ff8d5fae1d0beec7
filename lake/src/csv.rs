//! CSV as in RFC 4180 with line feeds, for answers of queries and for records of consumers.
//!
//! Owns: quoting, and the fields of plain columns. A null is an empty field and an empty text is `""`; times are as in ISO
//! 8601, binary values hexadecimal. Does not own: lists, structs and maps, whose texts their users choose.

use std::io::{self, Write};

use arrow_array::Array;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, Schema};

/// Writes the names of the columns.
///
/// # Errors
/// Of `output`.
pub fn write_header(mut output: impl Write, schema: &Schema) -> io::Result<()> {
    let names: Vec<String> = schema.fields().iter().map(|field| quoted(field.name())).collect();
    writeln!(output, "{}", names.join(","))
}

/// Writes so many rows of columns, whose fields are quoted.
///
/// # Errors
/// Of `output`.
pub fn write_rows(mut output: impl Write, rows: usize, columns: &[Vec<String>]) -> io::Result<()> {
    for row in 0..rows {
        let fields: Vec<&str> = columns.iter().map(|column| column[row].as_str()).collect();
        writeln!(output, "{}", fields.join(","))?;
    }
    Ok(())
}

/// The fields of a column that holds no lists, structs and maps.
///
/// # Errors
/// When a value cannot be formatted.
pub fn plain(values: &dyn Array) -> Result<Vec<String>, ArrowError> {
    let options = FormatOptions::default();
    let shown = ArrayFormatter::try_new(values, &options)?;
    // Those of dictionaries and of a column of nothing but nulls too.
    let nulls = values.logical_nulls();
    let field = |row| match nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
        true => Ok(String::new()),
        false => Ok(quoted(&shown.value(row).try_to_string()?)),
    };
    (0..values.len()).map(field).collect()
}

/// The text as a field.
pub fn quoted(text: &str) -> String {
    if !text.is_empty() && !text.contains([',', '"', '\n', '\r']) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn a_null_an_empty_text_and_a_text_with_marks_are_told_apart() {
        let texts = StringArray::from(vec![Some("a,b"), Some(""), None, Some("say \"hi\"\n")]);
        let times = TimestampMicrosecondArray::from(vec![Some(0), None, Some(1), Some(-1)]).with_timezone("UTC");
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("n", Arc::new(Int64Array::from(vec![Some(1), None, Some(-3), Some(4)]))),
            ("a,b", Arc::new(texts)),
            ("t", Arc::new(times)),
        ];
        let rows = RecordBatch::try_from_iter(columns).expect("columns");
        let mut output = Vec::new();
        write_header(&mut output, rows.schema_ref()).expect("in memory");
        let fields: Vec<_> = rows.columns().iter().map(|column| plain(column.as_ref()).expect("shown")).collect();
        write_rows(&mut output, rows.num_rows(), &fields).expect("in memory");
        let expected = "n,\"a,b\",t\n\
                        1,\"a,b\",1970-01-01T00:00:00Z\n\
                        ,\"\",\n\
                        -3,,1970-01-01T00:00:00.000001Z\n\
                        4,\"say \"\"hi\"\"\n\",1969-12-31T23:59:59.999999Z\n";
        assert_eq!(String::from_utf8(output).expect("text"), expected);
    }
}

//! Plain values as CSV, as in RFC 4180 with line feeds.
//!
//! Owns: quoting. A null is an empty field and an empty text is `""`, as in the answers of queries. Does not own: values that
//! CSV has no form for (`format`).

use std::io::Write;

use arrow_array::{Array, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, Schema};

/// Writes the names of the columns.
pub(super) fn write_header(mut output: impl Write, schema: &Schema) -> Result<(), ArrowError> {
    let names: Vec<String> = schema.fields().iter().map(|field| quoted(field.name())).collect();
    Ok(writeln!(output, "{}", names.join(","))?)
}

/// Writes rows whose columns hold no lists and no structs.
pub(super) fn write_rows(mut output: impl Write, rows: &RecordBatch) -> Result<(), ArrowError> {
    let options = FormatOptions::default();
    let shown = |column| ArrayFormatter::try_new(column, &options);
    let columns = rows.columns().iter().map(|column| shown(column.as_ref())).collect::<Result<Vec<_>, _>>()?;
    for row in 0..rows.num_rows() {
        let field = |(column, shown): (&arrow_array::ArrayRef, &ArrayFormatter<'_>)| match column.is_null(row) {
            true => Ok(String::new()),
            false => Ok(quoted(&shown.value(row).try_to_string()?)),
        };
        let fields = rows.columns().iter().zip(&columns).map(field).collect::<Result<Vec<String>, ArrowError>>()?;
        writeln!(output, "{}", fields.join(","))?;
    }
    Ok(())
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

    use arrow_array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};

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
        write_rows(&mut output, &rows).expect("in memory");
        let expected = "n,\"a,b\",t\n\
                        1,\"a,b\",1970-01-01T00:00:00Z\n\
                        ,\"\",\n\
                        -3,,1970-01-01T00:00:00.000001Z\n\
                        4,\"say \"\"hi\"\"\n\",1969-12-31T23:59:59.999999Z\n";
        assert_eq!(String::from_utf8(output).expect("text"), expected);
    }
}

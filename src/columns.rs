//! Columns and formats on the command line: `amount:decimal(12,2)`, `id:int64!`, `tags:list(string)`; `json`.
//!
//! Owns: reading this notation; `ColumnSpec` and `Format` display themselves in it.
//! Does not own: the list of formats, and the rules for valid columns (`common::topic`).

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use common::topic::{ColumnSpec, ColumnType, Format};

const ALLOWED: &str = "allowed are bool, int32, int64, float64, string, binary, date, timestamp, timestamp_s, \
    timestamp_ms, timestamp_us, decimal(precision,scale), json and list(type); structs need --schema";

/// Reads the name of a format. The help of the argument lists every format with its description.
pub(crate) fn format_parser() -> impl TypedValueParser<Value = Format> {
    let values = Format::ALL.map(|format| PossibleValue::new(format.as_str()).help(format.about()));
    PossibleValuesParser::new(values).try_map(|word| word.parse::<Format>())
}

/// Reads `name:type`, with `!` behind the type when the column must be present.
pub(crate) fn parse_column(text: &str) -> Result<ColumnSpec, String> {
    let Some((name, column_type)) = text.rsplit_once(':') else {
        return Err(format!("{text:?} is not of the form name:type"));
    };
    let (column_type, nullable) = match column_type.trim().strip_suffix('!') {
        Some(required) => (required, false),
        None => (column_type, true),
    };
    Ok(ColumnSpec { name: name.trim().to_owned(), column_type: parse_type(column_type)?, nullable })
}

fn parse_type(text: &str) -> Result<ColumnType, String> {
    let text = text.trim();
    if let Some(element) = arguments(text, "list") {
        return Ok(ColumnType::List(Box::new(parse_type(element)?)));
    }
    if let Some((precision, scale)) = arguments(text, "decimal").and_then(|pair| pair.split_once(',')) {
        let number = |digits: &str| digits.trim().parse().map_err(|_| format!("{text:?}: {ALLOWED}"));
        return Ok(ColumnType::Decimal { precision: number(precision)?, scale: number(scale)? });
    }
    // The plain names are those of the stored JSON; `decimal` and the others with arguments fail here.
    serde_json::from_value(serde_json::Value::from(text)).map_err(|_| format!("unknown type {text:?}; {ALLOWED}"))
}

fn arguments<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.strip_prefix(name)?.trim_start().strip_prefix('(')?.strip_suffix(')')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_read_back_as_shown() {
        for text in ["id:int64!", "amount:decimal(12,2)", "tags:list(list(string))", "at:timestamp_ms", "a:b:json"] {
            assert_eq!(ToString::to_string(&parse_column(text).expect(text)), text);
        }
    }

    #[test]
    fn mistakes_name_what_is_allowed() {
        assert!(parse_column("id").expect_err("no type").contains("name:type"));
        for text in ["id:varchar", "id:decimal", "id:decimal(x,2)", "id:list", "id:list(varchar)", "id:struct"] {
            assert!(parse_column(text).expect_err(text).contains("int64"), "{text}");
        }
    }
}

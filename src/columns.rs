//! Columns and formats on the command line: `amount:decimal(12,2)`, `id:int64!=_id`, `tags:list(string)`; `json`.
//!
//! Owns: the arguments. Does not own: the notation of columns, the list of formats, and the rules for valid columns
//! (`common::topic`).

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use common::topic::{ColumnSpec, Format};

/// Reads the name of a format. The help of the argument lists every format with its description.
pub(crate) fn format_parser() -> impl TypedValueParser<Value = Format> {
    let values = Format::ALL.map(|format| PossibleValue::new(format.as_str()).help(format.about()));
    PossibleValuesParser::new(values).try_map(|word| word.parse::<Format>())
}

/// Reads `name:type`, with `!` behind the type when the column must be present, and `=member` behind that when it reads
/// another member than that of its name; nothing behind the `=` means that it reads none.
pub(crate) fn parse_column(text: &str) -> Result<ColumnSpec, String> {
    text.parse()
}

/// Reads `name=new`.
pub(crate) fn parse_renaming(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, new)) if !name.is_empty() && !new.is_empty() => Ok((name.trim().to_owned(), new.trim().to_owned())),
        _ => Err(format!("{text:?} is not of the form name=new")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renaming_has_two_names() {
        assert_eq!(parse_renaming("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        for text in ["a", "=b", "a="] {
            assert!(parse_renaming(text).expect_err("one name").contains("name=new"), "{text}");
        }
    }
}

//! Columns and formats on the command line: `amount:decimal(12,2)`, `id:int64!=_id`, `tags:list(string)`; `json`.
//!
//! Owns: reading this notation; `ColumnSpec` and `Format` display themselves in it.
//! Does not own: the list of formats, and the rules for valid columns (`common::topic`).

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use common::topic::{ColumnSpec, ColumnType, Format, Member};

const ALLOWED: &str = "allowed are bool, int32, int64, float64, string, binary, date, timestamp, timestamp_s, \
    timestamp_ms, timestamp_us, decimal(precision,scale), json, list(type) and struct(name:type, …)";

/// Reads the name of a format. The help of the argument lists every format with its description.
pub(crate) fn format_parser() -> impl TypedValueParser<Value = Format> {
    let values = Format::ALL.map(|format| PossibleValue::new(format.as_str()).help(format.about()));
    PossibleValuesParser::new(values).try_map(|word| word.parse::<Format>())
}

/// Reads `name:type`, with `!` behind the type when the column must be present, and `=member` behind that when it reads
/// another member than that of its name; nothing behind the `=` means that it reads none.
pub(crate) fn parse_column(text: &str) -> Result<ColumnSpec, String> {
    // Names may hold any of these marks: the first colon that a type follows is the one that is meant.
    let mut first_error = None;
    for (at, _) in text.match_indices(':') {
        match parse_behind_name(&text[at + 1..]) {
            Ok(column) => return Ok(ColumnSpec { name: text[..at].trim().to_owned(), ..column }),
            Err(error) => _ = first_error.get_or_insert(error),
        }
    }
    Err(first_error.unwrap_or_else(|| format!("{text:?} is not of the form name:type, name:type! or name:type=member")))
}

/// The column without its name.
fn parse_behind_name(text: &str) -> Result<ColumnSpec, String> {
    let type_end = outside_of_parentheses(text, &['!', '=']).next().unwrap_or(text.len());
    let column = ColumnSpec::new("", parse_type(&text[..type_end])?);
    let behind = text[type_end..].trim_end();
    let (behind, column) = match behind.strip_prefix('!') {
        Some(behind) => (behind, column.required()),
        None => (behind, column),
    };
    match behind.strip_prefix('=') {
        Some("") => Ok(ColumnSpec { from: Member::None, ..column }),
        Some(member) => Ok(ColumnSpec { from: Member::Named(member.to_owned()), ..column }),
        None if behind.is_empty() => Ok(column),
        None => Err(format!("{behind:?} behind a type is neither ! nor =member")),
    }
}

/// Where `text` has one of `marks` and is in no parentheses.
fn outside_of_parentheses<'t>(text: &'t str, marks: &'t [char]) -> impl Iterator<Item = usize> + 't {
    let mut depth = 0_usize;
    text.char_indices().filter_map(move |(at, character)| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        (depth == 0 && marks.contains(&character)).then_some(at)
    })
}

/// Reads `name=new`.
pub(crate) fn parse_renaming(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, new)) if !name.is_empty() && !new.is_empty() => Ok((name.trim().to_owned(), new.trim().to_owned())),
        _ => Err(format!("{text:?} is not of the form name=new")),
    }
}

fn parse_type(text: &str) -> Result<ColumnType, String> {
    let text = text.trim();
    if let Some(element) = arguments(text, "list") {
        return Ok(ColumnType::List(Box::new(parse_type(element)?)));
    }
    if let Some(members) = arguments(text, "struct") {
        return Ok(ColumnType::Struct(parse_members(members)?));
    }
    if let Some((precision, scale)) = arguments(text, "decimal").and_then(|pair| pair.split_once(',')) {
        let number = |digits: &str| digits.trim().parse().map_err(|_| format!("{text:?}: {ALLOWED}"));
        return Ok(ColumnType::Decimal { precision: number(precision)?, scale: number(scale)? });
    }
    // The plain names are those of the stored JSON; `decimal` and the others with arguments fail here.
    serde_json::from_value(serde_json::Value::from(text)).map_err(|_| format!("unknown type {text:?}; {ALLOWED}"))
}

fn parse_members(text: &str) -> Result<Vec<ColumnSpec>, String> {
    let mut from = 0;
    let ends = outside_of_parentheses(text, &[',']).chain([text.len()]);
    let members = ends.map(|end| parse_column(text[std::mem::replace(&mut from, end + 1)..end].trim()));
    members.collect()
}

fn arguments<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.strip_prefix(name)?.trim_start().strip_prefix('(')?.strip_suffix(')')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_read_back_as_shown() {
        for text in [
            "id:int64!",
            "amount:decimal(12,2)",
            "tags:list(list(string))",
            "at:timestamp_ms",
            "a:b:json",
            "a=b:json",
            "amount2:decimal(12,2)=amount",
            "id:string!=_id",
            "amount:int64=",
            "x:json=a:b=c",
            "o:struct(a:int64!, b:list(struct(c:decimal(3,1), d:string=e)))!",
            "o:list(list(struct(a:int64)))=p",
        ] {
            assert_eq!(ToString::to_string(&parse_column(text).expect(text)), text);
        }
        let column = parse_column("amount2:int64=amount").expect("valid");
        assert_eq!((column.name.as_str(), column.from), ("amount2", Member::Named("amount".to_owned())));
        assert_eq!(parse_renaming("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
    }

    #[test]
    fn mistakes_name_what_is_allowed() {
        for text in ["id", "o:struct()", "o:struct(a)"] {
            assert!(parse_column(text).expect_err("no type").contains("name:type"), "{text}");
        }
        for text in ["a", "=b", "a="] {
            assert!(parse_renaming(text).expect_err("one name").contains("name=new"), "{text}");
        }
        for text in [
            "id:varchar",
            "id:decimal",
            "id:decimal(x,2)",
            "id:list",
            "id:list(varchar)",
            "id:struct",
            "o:struct(a:x)",
            "id:int64!!",
        ] {
            let error = parse_column(text).expect_err(text);
            assert!(error.contains("int64") || error.contains("neither"), "{error}");
        }
    }
}

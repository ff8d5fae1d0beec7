//! The notation of columns: `amount:decimal(12,2)`, `id:int64!=_id`, `tags:list(string)`.
//!
//! Owns: reading it, on the command line and where JSON has a type as text. Does not own: showing it (`columns`), the rules for
//! valid columns (`validity`).

use std::fmt;
use std::str::FromStr;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{self, Deserialize, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};

use super::columns::{ColumnSpec, ColumnType};
use super::member::Member;

const ALLOWED: &str = "allowed are bool, int32, int64, float64, string, binary, date, timestamp, timestamp_s, \
    timestamp_ms, timestamp_us, decimal(precision,scale), json, list(type) and struct(name:type, …)";

/// Longest text of a column or a type.
const BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting that is read; fewer levels are valid.
const DEPTH_MAX: u32 = 32;
/// Most types that are tried: a name may hold any mark, so that a text can be read in many ways.
const TRIES_MAX: u32 = 20_000;

/// One reading of a text.
struct Reader {
    depth: u32,
    tries: u32,
}

/// Reads `name:type`, with `!` behind the type when the column must be present, and `=member` behind that when it reads
/// another member than that of its name; nothing behind the `=` means that it reads none.
impl FromStr for ColumnSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Reader::of(text)?.column(text)
    }
}

/// Reads a type alone.
impl FromStr for ColumnType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Reader::of(text)?.column_type(text)
    }
}

/// In JSON a type is its notation as text, or an object for one with arguments: `{"list": "string"}`.
impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ColumnType;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type such as \"int64\", \"decimal(12,2)\" or {\"list\":\"string\"}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ColumnType, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<ColumnType, A::Error> {
                // The derived form, by the attribute `remote`.
                ColumnType::deserialize(MapAccessDeserializer::new(members))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Serialize for ColumnType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl Reader {
    fn of(text: &str) -> Result<Self, String> {
        match text.len() {
            0..=BYTES_MAX => Ok(Self { depth: 0, tries: 0 }),
            bytes => Err(format!("the notation of a column has {bytes} bytes; allowed are {BYTES_MAX}")),
        }
    }

    fn column(&mut self, text: &str) -> Result<ColumnSpec, String> {
        // Names may hold any of these marks: the first colon that a type follows is the one that is meant.
        let mut first_error = None;
        for (at, _) in text.match_indices(':') {
            match self.behind_name(&text[at + 1..]) {
                Ok(column) => return Ok(ColumnSpec { name: text[..at].trim().to_owned(), ..column }),
                Err(error) => _ = first_error.get_or_insert(error),
            }
            if self.tries > TRIES_MAX {
                break;
            }
        }
        Err(first_error
            .unwrap_or_else(|| format!("{text:?} is not of the form name:type, name:type! or name:type=member")))
    }

    /// The column without its name.
    fn behind_name(&mut self, text: &str) -> Result<ColumnSpec, String> {
        let type_end = outside_of_parentheses(text, &['!', '=']).next().unwrap_or(text.len());
        let column = ColumnSpec::new("", self.column_type(&text[..type_end])?);
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

    fn column_type(&mut self, text: &str) -> Result<ColumnType, String> {
        self.tries += 1;
        if self.depth == DEPTH_MAX || self.tries > TRIES_MAX {
            return Err("the notation of a column has too many columns or levels; give it as JSON".to_owned());
        }
        self.depth += 1;
        let read = self.type_at_depth(text.trim());
        self.depth -= 1;
        read
    }

    fn type_at_depth(&mut self, text: &str) -> Result<ColumnType, String> {
        if let Some(element) = arguments(text, "list") {
            return Ok(ColumnType::List(Box::new(self.column_type(element)?)));
        }
        if let Some(members) = arguments(text, "struct") {
            return Ok(ColumnType::Struct(self.members(members)?));
        }
        if let Some((precision, scale)) = arguments(text, "decimal").and_then(|pair| pair.split_once(',')) {
            let number = |digits: &str| digits.trim().parse().map_err(|_| format!("{text:?}: {ALLOWED}"));
            return Ok(ColumnType::Decimal { precision: number(precision)?, scale: number(scale)? });
        }
        // The plain names are those of the derived form; `decimal` and the others with arguments fail here.
        let name: StrDeserializer<'_, de::value::Error> = text.into_deserializer();
        ColumnType::deserialize(name).map_err(|_| format!("unknown type {text:?}; {ALLOWED}"))
    }

    fn members(&mut self, text: &str) -> Result<Vec<ColumnSpec>, String> {
        let mut from = 0;
        let ends = outside_of_parentheses(text, &[',']).chain([text.len()]);
        let members = ends.map(|end| self.column(text[std::mem::replace(&mut from, end + 1)..end].trim()));
        members.collect()
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

fn arguments<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.strip_prefix(name)?.trim_start().strip_prefix('(')?.strip_suffix(')')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(text: &str) -> Result<ColumnSpec, String> {
        text.parse()
    }

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
            let read = column(text).expect(text);
            assert_eq!(read.to_string(), text);
            let shown = serde_json::to_string(&read).expect("JSON");
            assert_eq!(serde_json::from_str::<ColumnSpec>(&shown).expect(&shown), read, "{shown}");
        }
        let read = column("amount2:int64=amount").expect("valid");
        assert_eq!((read.name.as_str(), read.from), ("amount2", Member::Named("amount".to_owned())));
    }

    #[test]
    fn a_type_in_json_is_its_notation_or_an_object() {
        for (text, object) in [
            (r#""int64""#, r#""int64""#),
            (r#""decimal(20,4)""#, r#"{"decimal":{"precision":20,"scale":4}}"#),
            (r#""list(string)""#, r#"{"list":"string"}"#),
            (r#"{"list":"decimal(3, 1)"}"#, r#"{"list":{"decimal":{"precision":3,"scale":1}}}"#),
            (
                r#""struct(a:int32!, b:json=c)""#,
                r#"{"struct":[{"name":"a","type":"int32","nullable":false},{"name":"b","type":"json","from":"c"}]}"#,
            ),
        ] {
            let read: ColumnType = serde_json::from_str(text).expect(text);
            assert_eq!(serde_json::to_string(&read).expect("JSON"), object, "{text}");
            assert_eq!(serde_json::from_str::<ColumnType>(object).expect(object), read);
        }
        for (text, part) in [
            (r#""decimal""#, "unknown type \"decimal\"; allowed are bool"),
            (r#""int64!""#, "unknown type \"int64!\"; allowed are bool"),
            (r#""list(varchar)""#, "unknown type \"varchar\"; allowed are"),
            (r#"{"map":"string"}"#, "unknown variant `map`"),
            ("7", "a type such as \"int64\", \"decimal(12,2)\" or {\"list\":\"string\"}"),
        ] {
            let error = serde_json::from_str::<ColumnType>(text).expect_err(text).to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn mistakes_name_what_is_allowed() {
        for text in ["id", "o:struct()", "o:struct(a)"] {
            assert!(column(text).expect_err("no type").contains("name:type"), "{text}");
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
            let error = column(text).expect_err(text);
            assert!(error.contains("int64") || error.contains("neither"), "{error}");
        }
    }

    #[test]
    fn a_text_that_is_hard_to_read_is_given_up() {
        let deep = format!("a:{}int64{}", "list(".repeat(10_000), ")".repeat(10_000));
        assert!(column(&deep).expect_err("too deep").contains("too many columns or levels"));
        let many_ways = format!("a:{}x{}", "struct(a:".repeat(30), ")".repeat(30));
        column(&many_ways).expect_err("no type");
        assert!(column(&"a:".repeat(40_000)).expect_err("too long").contains("allowed are 65536"));
        let wide: Vec<String> = (0..2_000).map(|n| format!("c{n}:int64")).collect();
        column(&format!("o:struct({})", wide.join(","))).expect("as many as a table may have");
    }
}

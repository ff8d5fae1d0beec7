//! Checking a line, and taking a key out of it.
//!
//! Owns: the rules for refused lines, and the members that can be keys. Does not own: cutting lines (`cut`).

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::looks::kind_of;

/// The fault of a line.
#[derive(Debug, thiserror::Error)]
pub enum LineProblem {
    /// It is not JSON.
    #[error("not JSON")]
    NotJson(#[source] serde_json::Error),
    /// It is data of another kind.
    #[error("not JSON: it looks like {kind}")]
    OtherKind {
        /// What it looks like.
        kind: &'static str,
    },
    /// It is the beginning of an object or an array, whose end is in no line of its own.
    #[error("not JSON: the {kind} does not end in this line, and each line must be a whole object")]
    Unfinished {
        /// An object or an array.
        kind: &'static str,
    },
    /// It is JSON, but no object.
    #[error("not a JSON object")]
    NotObject,
    /// It is not UTF-8, which a line of text must be.
    #[error("not UTF-8")]
    NotText(#[source] std::str::Utf8Error),
    /// It is not JSON, so that no key can be taken from it.
    #[error("not JSON, which a key needs")]
    NoJsonForKey(#[source] serde_json::Error),
    /// It has no member of the key's name.
    #[error("there is no member {field:?} to take the key from")]
    KeyAbsent {
        /// The name.
        field: String,
    },
    /// The member of the key's name is an array, an object or null.
    #[error("member {field:?} is no string, number or boolean and cannot be the key")]
    KeyType {
        /// The name.
        field: String,
    },
}

/// Refuses a line that is no JSON object.
pub(crate) fn check_object(line: &[u8]) -> Result<(), LineProblem> {
    serde_json::from_slice::<IgnoredAny>(line).map_err(|error| no_json(line, error, LineProblem::NotJson))?;
    if line.trim_ascii_start().first() == Some(&b'{') { Ok(()) } else { Err(LineProblem::NotObject) }
}

/// The problem of a line that is no JSON: what it looks like, or else `other`.
fn no_json(line: &[u8], error: serde_json::Error, other: fn(serde_json::Error) -> LineProblem) -> LineProblem {
    let first = line.trim_ascii_start().first();
    match (kind_of(line), error.is_eof(), first) {
        (Some(kind), ..) => LineProblem::OtherKind { kind },
        (None, true, Some(b'{')) => LineProblem::Unfinished { kind: "object" },
        (None, true, Some(b'[')) => LineProblem::Unfinished { kind: "array" },
        _ => other(error),
    }
}

/// Refuses a line that is no text.
pub(super) fn check_text(line: &[u8]) -> Result<(), LineProblem> {
    std::str::from_utf8(line).map(|_| ()).map_err(LineProblem::NotText)
}

/// The value of a member as the bytes of a key: the content of a string, and a number as it is written, so that no two numbers
/// become one key by rounding.
pub(crate) fn key_of(line: &[u8], field: &str) -> Result<Bytes, LineProblem> {
    let broken = |error| no_json(line, error, LineProblem::NoJsonForKey);
    let absent = || LineProblem::KeyAbsent { field: field.to_owned() };
    if line.trim_ascii_start().first() != Some(&b'{') {
        serde_json::from_slice::<&RawValue>(line).map_err(broken)?;
        return Err(absent());
    }
    let mut reader = serde_json::Deserializer::from_slice(line);
    let found = Member(field).deserialize(&mut reader).and_then(|found| reader.end().map(|()| found));
    let text = found.map_err(broken)?.ok_or_else(absent)?.get();
    match text.as_bytes().first() {
        Some(b'"') => {
            let content: Cow<'_, str> = serde_json::from_str(text).map_err(broken)?;
            Ok(Bytes::copy_from_slice(content.as_bytes()))
        }
        Some(b'-' | b'0'..=b'9' | b't' | b'f') => Ok(Bytes::copy_from_slice(text.as_bytes())),
        _ => Err(LineProblem::KeyType { field: field.to_owned() }),
    }
}

/// Takes the member of this name out of an object as it is written; the last one, if there are several.
struct Member<'f>(&'f str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        // A name with escapes is no part of the text.
        while let Some(name) = members.next_key::<String>()? {
            // Every value is read, since all of the line must be UTF-8.
            let value = members.next_value::<&RawValue>()?;
            if name == self.0 {
                found = Some(value);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_json_is_named_by_what_it_looks_like() {
        let told = |line: &[u8]| check_object(line).expect_err("no object").to_string();
        let keyed = |line: &[u8]| key_of(line, "id").expect_err("no object").to_string();
        for told in [told, keyed] {
            assert_eq!(told(b"\x1f\x8b\x08\0\0"), "not JSON: it looks like gzip data");
            assert_eq!(told(b"\xff\xfe{\0}\0"), "not JSON: it looks like UTF-16 text");
            assert_eq!(
                told(b" {"),
                "not JSON: the object does not end in this line, and each line must be a whole object"
            );
            assert!(told(b"[{\"id\":1},").contains("the array does not end in this line"));
            assert!(told(b"nonsense").starts_with("not JSON"));
        }
    }

    #[test]
    fn a_key_is_the_content_of_a_string_and_any_other_value_as_it_is_written() {
        for (line, key) in [
            (r#"{"id":123456789012345678901}"#, "123456789012345678901"),
            (r#"{"id": 123456789012345678902 ,"x":[{"id":1}]}"#, "123456789012345678902"),
            (r#"{"id":1.10}"#, "1.10"),
            (r#"{"id":1e5}"#, "1e5"),
            (r#"{"id":-0.0}"#, "-0.0"),
            (r#"{"id":1e999}"#, "1e999"),
            (r#"{"id":true}"#, "true"),
            (r#" {"\u0069d":"a\n\u00fc"} "#, "a\nü"),
            (r#"{"id":null,"id":2}"#, "2"),
        ] {
            assert_eq!(key_of(line.as_bytes(), "id").expect(line), key.as_bytes(), "{line}");
        }
        assert!(matches!(key_of(b"[1]", "id"), Err(LineProblem::KeyAbsent { .. })));
        assert!(matches!(key_of(br#"{"id":1} x"#, "id"), Err(LineProblem::NoJsonForKey(_))));
        assert!(matches!(key_of(b"{\"x\":\"\xff\",\"id\":1}", "id"), Err(LineProblem::NoJsonForKey(_))));
        assert!(matches!(key_of(br#"{"id":[1]}"#, "id"), Err(LineProblem::KeyType { .. })));
    }
}

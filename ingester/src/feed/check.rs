//! Checking a line, and taking a key out of it.
//!
//! Owns: the rules for refused lines, and the members that can be keys. Does not own: cutting lines (`cut`).

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;

/// The fault of a line.
#[derive(Debug, thiserror::Error)]
pub enum LineProblem {
    /// It is not JSON.
    #[error("not JSON")]
    NotJson(#[source] serde_json::Error),
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
    serde_json::from_slice::<IgnoredAny>(line).map_err(LineProblem::NotJson)?;
    if line.trim_ascii_start().first() == Some(&b'{') { Ok(()) } else { Err(LineProblem::NotObject) }
}

/// Refuses a line that is no text.
pub(super) fn check_text(line: &[u8]) -> Result<(), LineProblem> {
    std::str::from_utf8(line).map(|_| ()).map_err(LineProblem::NotText)
}

/// The value of a member as the bytes of a key.
pub(crate) fn key_of(line: &[u8], field: &str) -> Result<Bytes, LineProblem> {
    let value: Value = serde_json::from_slice(line).map_err(LineProblem::NoJsonForKey)?;
    match value.get(field) {
        Some(Value::String(text)) => Ok(Bytes::copy_from_slice(text.as_bytes())),
        Some(Value::Number(number)) => Ok(number.to_string().into()),
        Some(Value::Bool(flag)) => Ok(flag.to_string().into()),
        Some(_) => Err(LineProblem::KeyType { field: field.to_owned() }),
        None => Err(LineProblem::KeyAbsent { field: field.to_owned() }),
    }
}

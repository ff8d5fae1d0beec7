//! Conversion of the contract's types to column values.
//!
//! Owns: the checks that a value can be stored. Both databases refuse the same values here.
//! Does not own: checks that a value makes sense in its place.

use std::borrow::Cow;
use std::time::Duration;

use crate::error::{CatalogError, Result};
use crate::model::{Contact, NewObject, NewSegment, Scope};

/// An offset or watermark as a column value.
pub(crate) fn offset(offset: u64) -> Result<i64> {
    i64::try_from(offset).map_err(|_| CatalogError::InvalidOffset {
        offset,
        reason: "it is above 2^63 - 1, the largest that can be stored".to_owned(),
    })
}

/// Any other number as a column value.
pub(crate) fn number(name: &str, value: u64) -> Result<i64> {
    i64::try_from(value)
        .map_err(|_| CatalogError::Refused(format!("{name} {value} is above 2^63 - 1, the largest that can be stored")))
}

/// The same 64 bits as a signed number.
pub(crate) fn hash(hash: u64) -> i64 {
    hash.cast_signed()
}

/// Text for people. A NUL, which PostgreSQL cannot store, becomes the replacement character.
pub(crate) fn note(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// Text that must be read back unchanged.
pub(crate) fn exact<'a>(name: &str, text: &'a str) -> Result<&'a str> {
    if text.contains('\0') {
        return Err(CatalogError::Refused(format!("{name} {text:?} holds a NUL; allowed is any other text")));
    }
    Ok(text)
}

/// Checks that a new segment and its object can be stored.
pub(crate) fn segment(segment: &NewSegment) -> Result<()> {
    exact("segment id", &segment.id)?;
    number("record_count", segment.record_count)?;
    object(&segment.object)
}

/// Checks that the segment holds all rows of its object.
pub(crate) fn only_segment(segment: &NewSegment) -> Result<()> {
    if segment.record_count != segment.object.record_count {
        let (of_segment, of_object) = (segment.record_count, segment.object.record_count);
        let rows = format!("it has {of_segment} rows, its object {of_object}");
        return Err(CatalogError::Refused(format!("segment {}: {rows}; it must hold all of them", segment.id)));
    }
    Ok(())
}

/// Checks that a new object can be stored.
pub(crate) fn object(object: &NewObject) -> Result<()> {
    exact("bucket", &object.bucket)?;
    exact("key", &object.key)?;
    number("record_count", object.record_count)?;
    number("size_bytes", object.size_bytes)?;
    number("footer_bytes", object.footer_bytes)?;
    for column in &object.statistics {
        number("compressed_bytes", column.compressed_bytes)?;
        number("value_count", column.value_count)?;
        number("null_count", column.null_count)?;
    }
    Ok(())
}

/// Numbers as a JSON array, for a list of any length in one parameter.
pub(crate) fn numbers(numbers: impl IntoIterator<Item = u64>) -> Result<String> {
    let numbers = numbers.into_iter().map(|value| number("a number", value)).collect::<Result<Vec<_>>>()?;
    Ok(serde_json::to_string(&numbers).expect("numbers are JSON"))
}

/// The topics of an agent's scope, as JSON: an empty list is every topic, `null` is none.
pub(crate) fn scope(scope: &Scope) -> String {
    match scope {
        Scope::All => "[]".to_owned(),
        Scope::Only(topics) if !topics.is_empty() => serde_json::to_string(topics).expect("names are text"),
        Scope::Only(_) | Scope::Nothing => "null".to_owned(),
    }
}

/// The group and the address of an agent.
pub(crate) fn contact(contact: &Contact) -> Result<(&str, Option<&str>)> {
    let address = contact.address.as_deref().map(|address| exact("address", address)).transpose()?;
    Ok((contact.group.as_str(), address))
}

/// A lease in milliseconds, at most 10,000 years.
pub(crate) fn lease_ms(lease: Duration) -> i64 {
    const LEASE_MS_MAX: i64 = 10_000 * 366 * 24 * 3_600 * 1_000;
    i64::try_from(lease.as_millis()).unwrap_or(LEASE_MS_MAX).min(LEASE_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_column_cannot_hold_is_refused_with_its_name() {
        assert_eq!(offset(i64::MAX as u64).expect("fits"), i64::MAX);
        assert!(matches!(offset(1 << 63), Err(CatalogError::InvalidOffset { offset, .. }) if offset == 1 << 63));
        assert!(number("size", u64::MAX).expect_err("too large").to_string().contains("size"));
        assert!(exact("group id", "a\0").is_err());
        assert_eq!(note("a\0b"), "a\u{fffd}b");
        assert_eq!(hash(u64::MAX), -1);
    }
}

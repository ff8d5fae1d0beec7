//! The limits of columns: refuses the same values as SQL.
//!
//! Owns: these checks. Does not own: the sense of a value in its place.

use std::time::Duration;

use ::catalog::{CatalogError, Contact, NewObject, NewSegment, Result, Scope};

/// The largest number that a column holds.
pub(crate) const NUMBER_MAX: u64 = i64::MAX as u64;

/// Refuses an offset or watermark beyond the largest number.
pub(crate) fn offset(offset: u64) -> Result<()> {
    if offset > NUMBER_MAX {
        let reason = "it is above 2^63 - 1, the largest that can be stored".to_owned();
        return Err(CatalogError::InvalidOffset { offset, reason });
    }
    Ok(())
}

/// Refuses any other number beyond it.
pub(crate) fn number(name: &str, value: u64) -> Result<()> {
    if value > NUMBER_MAX {
        return Err(CatalogError::Refused(format!("{name} {value} is above 2^63 - 1, the largest that can be stored")));
    }
    Ok(())
}

/// Refuses a NUL in text that must read back as it was written.
pub(crate) fn exact(name: &str, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(CatalogError::Refused(format!("{name} {text:?} holds a NUL; allowed is any other text")));
    }
    Ok(())
}

/// Checks all values of a new segment and its object.
pub(crate) fn segment(segment: &NewSegment) -> Result<()> {
    number("record_count", segment.record_count)?;
    exact("segment id", &segment.id)?;
    object(&segment.object)
}

/// Refuses a segment that does not hold all rows of its object.
pub(crate) fn only_segment(segment: &NewSegment) -> Result<()> {
    let (rows, of_object) = (segment.record_count, segment.object.record_count);
    if rows == of_object {
        return Ok(());
    }
    let reason = format!("it has {rows} rows, its object {of_object}; it must hold all of them");
    Err(CatalogError::Refused(format!("segment {}: {reason}", segment.id)))
}

/// Checks all values of a new object.
pub(crate) fn object(object: &NewObject) -> Result<()> {
    number("record_count", object.record_count)?;
    number("size_bytes", object.size_bytes)?;
    number("footer_bytes", object.footer_bytes)?;
    exact("bucket", &object.bucket)?;
    exact("key", &object.key)?;
    for of in &object.statistics {
        number("column_bytes", of.compressed_bytes)?;
        number("value_count", of.value_count)?;
        number("null_count", of.null_count)?;
    }
    Ok(())
}

/// Checks the address of an agent.
pub(crate) fn contact(contact: &Contact) -> Result<()> {
    contact.address.as_deref().map_or(Ok(()), |address| exact("address", address))
}

/// Text for people: a NUL becomes the replacement character.
pub(crate) fn note(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A duration in milliseconds; longer than 10,000 years counts as that.
pub(crate) fn duration_ms(duration: Duration) -> i64 {
    const MAX: i64 = 10_000 * 366 * 24 * 3_600 * 1_000;
    i64::try_from(duration.as_millis()).map_or(MAX, |duration| duration.min(MAX))
}

/// Turns a scope of no named topics into `Nothing`.
pub(crate) fn scope(scope: &Scope) -> Scope {
    match scope {
        Scope::Only(topics) if topics.is_empty() => Scope::Nothing,
        scope => scope.clone(),
    }
}

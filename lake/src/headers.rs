//! The values of a message's headers in the map column `_headers`.
//!
//! Owns: the text that stands for all values of one name, and its values again.
//! Does not own: the column (`schema`), building it (crate `writer`).
//!
//! A name may occur in a message several times, but the keys of a map are unique: readers refuse a map with a doubled key, or
//! show its first value alone. So the values of one name are one text, joined by line feeds in the order sent. No header
//! holds a line feed, so nothing is lost, and a header that occurs once is its own value. In objects of version 0.1.0 a
//! doubled name is a doubled key.

/// The text between two values of one name.
pub const SEPARATOR: &str = "\n";

/// The values of a name, in the order sent.
pub fn values(joined: &str) -> impl Iterator<Item = &str> {
    joined.split(SEPARATOR)
}

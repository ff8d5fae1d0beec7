//! What bytes that are no JSON look like, for errors that say what to do.
//!
//! Owns: the beginnings of packed data and of other encodings, and the byte order mark. Does not own: the errors (`check`).

/// U+FEFF in UTF-8: some programs begin a file with it. It is no part of the JSON.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Beginnings of data that people take for text, with the name of each.
const BEGINNINGS: [(&[u8], &str); 8] = [
    (b"\x1f\x8b", "gzip data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"\xfd7zXZ\0", "xz data"),
    (b"BZh", "bzip2 data"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PAR1", "a Parquet file"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
];

/// The bytes without a byte order mark at their beginning.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// The name of what begins like this, if it is known.
pub(crate) fn kind_of(bytes: &[u8]) -> Option<&'static str> {
    BEGINNINGS.iter().find(|(beginning, _)| bytes.starts_with(beginning)).map(|(_, kind)| *kind)
}

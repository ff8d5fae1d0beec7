//! Payloads that are something else than the text that is expected, known by their first bytes.
//!
//! Owns: these bytes and their names, for the reasons of refusals. Does not own: refusing (each format's decoder).

/// The first bytes of payloads that are no text in UTF-8.
const MARKS: [(&[u8], &str); 13] = [
    (b"\x1f\x8b", "compressed with gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\x04\x22\x4d\x18", "compressed with lz4"),
    (b"\xff\x06\x00\x00sNaPpY", "compressed with snappy"),
    (b"\xfd7zXZ\x00", "compressed with xz"),
    (b"BZh", "compressed with bzip2"),
    (b"\x78\x01", "compressed with zlib"),
    (b"\x78\x9c", "compressed with zlib"),
    (b"\x78\xda", "compressed with zlib"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
    (b"{\x00", "text in UTF-16"),
    (b"\x00{", "text in UTF-16"),
];

/// A schema registry's frame before a payload: a zero byte and the number of a schema in four.
const FRAME_BYTES: usize = 5;

/// What `payload` is instead of JSON in UTF-8, as far as its first bytes tell.
pub(super) fn kind_of(payload: &[u8]) -> Option<&'static str> {
    let marked = MARKS.iter().find(|(mark, _)| payload.starts_with(mark)).map(|(_, kind)| *kind);
    let is_framed = payload.first() == Some(&0) && matches!(payload.get(FRAME_BYTES), Some(b'{' | b'['));
    marked
        .or(is_framed.then_some("JSON behind the frame of a schema registry (a zero byte and the number of a schema)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_payloads_are_known_by_their_first_bytes() {
        for (payload, part) in [
            (&b"\x1f\x8b\x08\x00"[..], "gzip"),
            (b"\x28\xb5\x2f\xfd\x04", "zstd"),
            (b"\x04\x22\x4d\x18\x64", "lz4"),
            (b"\xff\x06\x00\x00sNaPpY", "snappy"),
            (b"x\x9c\xab", "zlib"),
            (b"\xff\xfe{\x00", "UTF-16"),
            (b"{\x00\"\x00", "UTF-16"),
            (b"\x00\x00\x00\x00\x07{\"a\":1}", "schema registry"),
        ] {
            assert!(kind_of(payload).expect(part).contains(part), "{part}");
        }
        for payload in [&b"{\"a\":1}"[..], b"", b"\x00", b"nonsense", b"\x00\x00\x00\x00\x07\x02", b"xyz"] {
            assert_eq!(kind_of(payload), None);
        }
    }
}

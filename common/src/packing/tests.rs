//! Packed messages come back as they were packed, and no other bytes do harm.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn delivered(message: OutgoingMessage) -> Message {
    let OutgoingMessage { key, headers, payload, is_awaited, .. } = message;
    Message { offset: 7, timestamp_us: 0, key, headers, subject: Arc::from("t.0"), payload, is_awaited }
}

fn packed(payloads: &[&[u8]]) -> Message {
    let mut pack = Pack::default();
    payloads.iter().for_each(|payload| pack.push(None, payload));
    delivered(pack.finish(true))
}

fn with_header(value: &str, payload: impl Into<Bytes>) -> Message {
    delivered(OutgoingMessage {
        headers: vec![("siltstone-packed".to_owned(), value.to_owned())],
        ..OutgoingMessage::new(payload)
    })
}

fn refused(message: &Message) -> PackingError {
    open(message).expect("it has the header").map(Iterator::count).expect_err("refused")
}

#[test]
fn a_message_says_what_is_in_it() {
    let mut small = Pack::default();
    [&b"a"[..], b""].iter().for_each(|payload| small.push(None, payload));
    let small = delivered(small.finish(false));
    assert_eq!(small.headers, [(HEADER.to_owned(), "frames/1; compression=none; records=2; bytes=17".to_owned())]);
    assert_eq!(&small.payload[..], b"\x01\0\0\0\0\0\0\0a\0\0\0\0\0\0\0\0");
    let large = packed(&[&[b'x'; 1000][..]; 100]);
    assert_eq!(large.headers[0].1, "frames/1; compression=lz4; records=100; bytes=100800");
    assert!(large.payload.len() < 10_000, "{} bytes", large.payload.len());
    let (opened, payloads) = (open(&large).expect("packed").expect("whole"), vec![vec![b'x'; 1000]; 100]);
    assert_eq!(opened.map(|record| record.payload.to_vec()).collect::<Vec<_>>(), payloads);
}

#[test]
fn a_message_without_the_header_is_not_opened() {
    let message = Message { headers: vec![("Siltstone-Key".to_owned(), "frames/1".to_owned())], ..packed(&[b"a"]) };
    assert!(open(&message).is_none());
}

#[test]
fn another_form_or_version_is_named() {
    for (header, form) in [("frames/2; compression=zstd", "frames/2"), ("ndjson/1", "ndjson/1"), ("", ""), ("1", "1")] {
        let error = refused(&with_header(header, "x"));
        assert_eq!(error, PackingError::UnknownForm(form.to_owned()));
        assert!(error.to_string().ends_with("it opens \"frames/1\""), "{error}");
    }
}

#[test]
fn a_header_that_is_not_complete_is_quoted() {
    for rest in [
        "",
        "; compression=lz4",
        "; compression=zstd; records=1; bytes=9",
        "; compression=none; records=-1; bytes=9",
        "; compression=none; records=1; bytes=9x",
        "; compression=none; records=4294967296; bytes=9",
        "; compression=none; bytes=9; records=1",
        "; compression=none; records=1; bytes=9; more=1",
        "; compression=none; records=1; bytes=99999999999999999999",
    ] {
        let header = format!("frames/1{rest}");
        let error = refused(&with_header(&header, &b"\x01\0\0\0\0\0\0\0a"[..]));
        assert_eq!(error, PackingError::Header(header.clone()));
        assert!(error.to_string().contains("records=100"), "{error}");
    }
}

#[test]
fn records_beyond_the_limit_are_refused_before_memory_is_taken() {
    for bytes in [BYTES_MAX as u64 + 1, u64::MAX] {
        let header = format!("frames/1; compression=lz4; records=1; bytes={bytes}");
        assert_eq!(refused(&with_header(&header, "x")), PackingError::TooLarge(bytes));
    }
}

#[test]
fn a_block_that_holds_more_than_its_header_says_is_refused() {
    let bomb = lz4_flex::block::compress(&vec![0; BYTES_MAX]);
    assert!(bomb.len() < 20_000, "{} bytes", bomb.len());
    let header = "frames/1; compression=lz4; records=1; bytes=64";
    let error = refused(&with_header(header, bomb));
    assert!(matches!(error, PackingError::Damaged(_)), "{error}");
}

#[test]
fn damage_is_told_by_its_kind() {
    let whole = packed(&[b"abc", b"defg"]);
    let cut = |payload: &[u8], records, bytes: usize| {
        let header = format!("frames/1; compression=none; records={records}; bytes={bytes}");
        refused(&with_header(&header, payload.to_vec()))
    };
    let bytes = whole.payload.len();
    assert_eq!(cut(&whole.payload[..bytes - 1], 2, bytes), PackingError::OtherSize { found: 22, declared: 23 });
    assert_eq!(cut(&whole.payload[..bytes - 1], 2, bytes - 1), PackingError::Cut(1));
    assert_eq!(cut(&whole.payload[..bytes - 9], 2, bytes - 9), PackingError::Cut(1));
    assert_eq!(cut(&whole.payload, 3, bytes), PackingError::OtherCount { found: 2, declared: 3 });
    assert_eq!(cut(&whole.payload, 1, bytes), PackingError::OtherCount { found: 2, declared: 1 });
    assert_eq!(cut(b"", 0, 0), PackingError::Empty);
    assert_eq!(cut(b"", 1, 0), PackingError::OtherCount { found: 0, declared: 1 });
    assert_eq!(cut(&[0xff; 16], 1, 16), PackingError::Cut(0));
}

#[test]
fn a_pack_takes_no_record_that_could_not_be_opened_again() {
    let mut pack = Pack::default();
    let record = vec![b'x'; BYTES_MAX - FRAME_BYTES - 3];
    assert!(pack.has_room(Some(b"key"), &record) && !pack.has_room(Some(b"key4"), &record));
    pack.push(Some(b"key"), &record);
    assert!(!pack.has_room(None, b""));
    let opened = open(&delivered(pack.finish(true))).expect("packed").expect("whole");
    assert_eq!(opened.records(), 1);
}

proptest! {
    #[test]
    fn records_come_back_with_their_keys_in_their_order(
        records in prop::collection::vec((any::<Option<Vec<u8>>>(), any::<Vec<u8>>()), 1..40),
        may_compress: bool,
    ) {
        let mut pack = Pack::default();
        records.iter().for_each(|(key, payload)| pack.push(key.as_deref(), payload));
        let opened = open(&delivered(pack.finish(may_compress))).expect("packed").expect("whole");
        prop_assert_eq!(opened.records() as usize, records.len());
        let found = opened.map(|record| (record.key.map(|key| key.to_vec()), record.payload.to_vec()));
        prop_assert_eq!(found.collect::<Vec<_>>(), records);
    }

    #[test]
    fn any_bytes_are_opened_as_said_or_refused(
        is_compressed: bool,
        records in 0_u32..6,
        bytes in 0_u64..64,
        payload in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..64),
    ) {
        let compression = if is_compressed { "lz4" } else { "none" };
        let header = format!("frames/1; compression={compression}; records={records}; bytes={bytes}");
        if let Ok(opened) = open(&with_header(&header, payload)).expect("it has the header") {
            prop_assert_eq!(opened.records(), records);
            let found: usize = opened.map(|record| frame_bytes(record.key.as_deref(), &record.payload)).sum();
            prop_assert_eq!(found as u64, bytes);
        }
    }
}

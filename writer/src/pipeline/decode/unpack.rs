//! Messages that their header says are packed or compressed.
//!
//! Owns: the numbers of packed records; which header names a compression, and how much a payload may unpack to.
//! Does not own: the form of packed records (`common::packing`), compressed payloads without the header (`foreign`), what is
//! in a payload (each format's decoder).

use std::io::Read;

use bytes::Bytes;
use common::Message;
use common::packing::{self, PackedRecord};
use flate2::read::MultiGzDecoder;

use super::sink::{Records, RowSink};

const HEADER: &str = "Content-Encoding";
const GZIP_MARK: &[u8] = b"\x1f\x8b";

/// Largest payload after it is unpacked.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// How many times its size a payload unpacks to at most: a chunk of messages is decoded at once, and must fit in memory.
const RATIO_MAX: usize = 100;
/// Every payload may unpack to so many bytes, however small it is.
const BYTES_ALLOWED: usize = 16 * 1024;

/// Lets `take` accept or refuse each record of `messages`, whose payloads are unpacked.
pub(super) fn each_message(messages: &[Message], sink: &mut RowSink<'_>, mut take: impl FnMut(&mut Records<'_, '_>)) {
    for message in messages {
        if take_apart(message, sink, &mut take) {
            continue;
        }
        match unpacked(message) {
            None => sink.message(message, &mut take),
            Some(Ok(message)) => sink.message(&message, &mut take),
            Some(Err(reason)) => sink.refuse_whole(message, &reason),
        }
    }
}

/// The same for a format that keeps each payload as it is: only packed records are taken apart.
pub(super) fn each_record(messages: &[Message], sink: &mut RowSink<'_>, mut take: impl FnMut(&mut Records<'_, '_>)) {
    for message in messages {
        if !take_apart(message, sink, &mut take) {
            sink.message(message, &mut take);
        }
    }
}

/// Gives each record of a packed message to `take`; false if it is not packed. One that cannot be opened is refused whole:
/// none of its records is certain. Records are not unpacked a second time, so that the limits of both are not multiplied.
fn take_apart(message: &Message, sink: &mut RowSink<'_>, mut take: impl FnMut(&mut Records<'_, '_>)) -> bool {
    match packing::open(message) {
        None => return false,
        Some(Ok(records)) => {
            let template = without_packing(message);
            records.fold(0, |first, record| sink.message_from(first, &part(&template, record), &mut take));
        }
        Some(Err(error)) => sink.refuse_whole(message, &error.to_string()),
    }
    true
}

/// The message without its payload and the header that says how it is packed.
fn without_packing(message: &Message) -> Message {
    let headers = message.headers.iter().filter(|(name, _)| !packing::is_header(name));
    Message { headers: headers.cloned().collect(), payload: Bytes::new(), ..message.clone() }
}

/// A packed record as a message, with the offset, time and other headers of the one that held it.
fn part(template: &Message, record: PackedRecord) -> Message {
    let PackedRecord { key, payload } = record;
    Message { key: key.or_else(|| template.key.clone()), payload, ..template.clone() }
}

/// The message with its payload unpacked; `None` where it is not packed. A payload that does not begin as its header says was
/// unpacked before: a replayed one is.
///
/// # Errors
/// Why it cannot be unpacked.
fn unpacked(message: &Message) -> Option<Result<Message, String>> {
    let is_packed = message
        .headers
        .iter()
        .any(|(name, value)| name.eq_ignore_ascii_case(HEADER) && value.trim().eq_ignore_ascii_case("gzip"));
    if !is_packed || !message.payload.starts_with(GZIP_MARK) {
        return None;
    }
    let payload = gunzip(&message.payload);
    Some(payload.map(|payload| Message { payload: payload.into(), ..message.clone() }))
}

fn gunzip(packed: &[u8]) -> Result<Vec<u8>, String> {
    let limit = bytes_max(packed.len());
    let mut payload = Vec::new();
    let unpacking = MultiGzDecoder::new(packed).take(limit as u64 + 1).read_to_end(&mut payload);
    unpacking.map_err(|error| format!("the payload cannot be unpacked, its header says gzip: {error}"))?;
    if payload.len() > limit {
        return Err(format!(
            "the payload unpacks to more than {limit} bytes; the limits are {BYTES_MAX} bytes and {RATIO_MAX} times its size"
        ));
    }
    Ok(payload)
}

/// The bytes to which a payload of `packed_bytes` may unpack.
fn bytes_max(packed_bytes: usize) -> usize {
    packed_bytes.saturating_mul(RATIO_MAX).clamp(BYTES_ALLOWED, BYTES_MAX)
}

#[cfg(test)]
mod tests {
    mod packed;

    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(payload: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(payload).expect("in memory");
        encoder.finish().expect("in memory")
    }

    fn message(header: (&str, &str), payload: Vec<u8>) -> Message {
        Message {
            offset: 7,
            timestamp_us: 0,
            key: None,
            headers: vec![("other".to_owned(), "gzip".to_owned()), (header.0.to_owned(), header.1.to_owned())],
            subject: "t.0".into(),
            payload: payload.into(),
            is_awaited: false,
        }
    }

    #[test]
    fn a_payload_is_unpacked_where_its_header_says_so() {
        for header in [("Content-Encoding", "gzip"), ("content-encoding", " GZIP ")] {
            let found = unpacked(&message(header, gzip(b"{\"a\":1}"))).expect("packed").expect("whole");
            assert_eq!((found.offset, found.payload.as_ref()), (7, &b"{\"a\":1}"[..]));
        }
        let two = [gzip(b"{\"a\":1}"), gzip(b"{\"a\":2}")].concat();
        let found = unpacked(&message((HEADER, "gzip"), two)).expect("packed").expect("whole");
        assert_eq!(found.payload.as_ref(), b"{\"a\":1}{\"a\":2}");
        for (header, payload) in [
            ((HEADER, "identity"), gzip(b"{}")),
            (("Content-Type", "gzip"), gzip(b"{}")),
            ((HEADER, "gzip"), b"{\"a\":1}".to_vec()),
        ] {
            assert!(unpacked(&message(header, payload)).is_none(), "{header:?}");
        }
    }

    #[test]
    fn what_is_damaged_or_too_large_is_refused_with_the_limit() {
        let mut damaged = gzip(&[b'x'; 1000]);
        damaged.truncate(damaged.len() - 4);
        let refused =
            |payload: Vec<u8>| unpacked(&message((HEADER, "gzip"), payload)).expect("packed").expect_err("refused");
        assert!(refused(damaged).contains("cannot be unpacked"));
        assert!(refused(gzip(&vec![0; 4 * BYTES_ALLOWED])).contains("100 times"));
        assert!(unpacked(&message((HEADER, "gzip"), gzip(&[0; BYTES_ALLOWED]))).expect("packed").is_ok());
        assert_eq!([0, 1000, usize::MAX].map(bytes_max), [16_384, 100_000, 67_108_864]);
    }
}

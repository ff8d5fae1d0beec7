//! One record on its way into a topic, and its place there.
//!
//! Owns: the shapes of an append. Does not own: the header of a record's own time (`common`), the choice of the partition
//! (`ingester`).

use bytes::Bytes;
use common::clock::{Clock, SystemClock};
use common::timestamp::{TIMESTAMP_HEADER, timestamp_text};
use common::{OutgoingMessage, TopicName};

use super::error::{Error, Result};

/// The place of an appended record. It is assigned, not yet durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendResult {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: u32,
    /// The offset in the partition.
    pub offset: u64,
    /// The record's own time, or the time of the call, in milliseconds since 1970.
    pub timestamp: u64,
}

/// A message of a record, and the time of the record.
pub(super) fn message(key: Option<Bytes>, value: Bytes, timestamp: Option<u64>) -> Result<(OutgoingMessage, u64)> {
    let mut message = OutgoingMessage { key, ..OutgoingMessage::new(value) };
    let Some(timestamp) = timestamp else {
        return Ok((message, u64::try_from(SystemClock.now_ms()).unwrap_or_default()));
    };
    let text = i64::try_from(timestamp).ok().and_then(timestamp_text);
    message.headers.push((TIMESTAMP_HEADER.to_owned(), text.ok_or(Error::Timestamp(timestamp))?));
    Ok((message, timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_its_own_is_a_header_and_no_time_is_none() {
        let (message, timestamp) = message(Some("k".into()), "v".into(), Some(1_767_225_600_123)).expect("a time");
        let header = (TIMESTAMP_HEADER.to_owned(), "2026-01-01T00:00:00.123Z".to_owned());
        assert_eq!((message.headers, timestamp), (vec![header], 1_767_225_600_123));
        let before = u64::try_from(SystemClock.now_ms()).expect("after 1970");
        let (message, timestamp) = super::message(None, "v".into(), None).expect("no time");
        assert!(message.headers.is_empty() && timestamp >= before);
    }

    #[test]
    fn times_that_no_reader_holds_are_refused() {
        let text_of = |timestamp| message(None, "v".into(), Some(timestamp)).expect("a time").0.headers.remove(0).1;
        assert_eq!(text_of(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text_of(253_402_300_799_999), "9999-12-31T23:59:59.999Z");
        for late in [253_402_300_800_000, u64::MAX] {
            let error = message(None, "v".into(), Some(late)).expect_err("too late").to_string();
            assert!(error.contains(&late.to_string()) && error.contains("milliseconds since 1970"), "{error}");
        }
    }
}

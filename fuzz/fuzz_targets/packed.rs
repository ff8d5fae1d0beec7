//! Packed messages: any header and payload are opened as said or refused, and what is packed comes back.
//!
//! Owns: that an opened message holds what its header says. Does not own: rows of the records (target `records`).
//!
//! The input is the header's value up to a line feed, and the payload.
#![no_main]

use std::sync::Arc;

use common::packing::{self, BYTES_MAX, HEADER, Pack};
use common::{Message, OutgoingMessage};
use libfuzzer_sys::fuzz_target;

fn delivered(message: OutgoingMessage) -> Message {
    let OutgoingMessage { key, headers, payload, is_awaited, .. } = message;
    Message { offset: 0, timestamp_us: 0, key, headers, subject: Arc::from("t.0"), payload, is_awaited }
}

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let header = String::from_utf8_lossy(&input[..end]).into_owned();
    let payload = input.get(end + 1..).unwrap_or_default();
    let headers = vec![(HEADER.to_owned(), header)];
    let message = OutgoingMessage { headers, ..OutgoingMessage::new(payload.to_vec()) };
    match packing::open(&delivered(message)).expect("it has the header") {
        Ok(opened) => {
            let declared = opened.records();
            let (mut records, mut bytes) = (0, 0);
            for record in opened {
                records += 1;
                bytes += packing::frame_bytes(record.key.as_deref(), &record.payload);
            }
            assert!(records == declared && records > 0 && bytes <= BYTES_MAX);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }

    let mut pack = Pack::default();
    let records: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    for (number, record) in records.iter().enumerate() {
        pack.push((number % 2 == 0).then_some(*record), record);
    }
    let opened = packing::open(&delivered(pack.finish(true))).expect("packed").expect("whole");
    let mut count = 0;
    for ((number, record), found) in records.iter().enumerate().zip(opened) {
        assert_eq!(found.key.as_deref(), (number % 2 == 0).then_some(*record));
        assert_eq!(&found.payload[..], *record);
        count += 1;
    }
    assert_eq!(count, records.len());
});

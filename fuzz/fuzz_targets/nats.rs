//! What a NATS server sends beside payloads: headers, reply subjects, its version.
//!
//! Owns: that headers which a message may carry come back as they were sent. Does not own: payloads (target `records`).
//!
//! The input is headers as a stream stores them.
#![no_main]

use common::OutgoingMessage;
use libfuzzer_sys::fuzz_target;
use nats::fuzzing;

fuzz_target!(|input: &[u8]| {
    let (key, headers, is_awaited) = fuzzing::stored_headers(input);
    let message = OutgoingMessage { key, headers, is_awaited, ..OutgoingMessage::default() };
    if let Some(stored) = fuzzing::sent_headers(&message) {
        let again = fuzzing::stored_headers(stored.as_bytes());
        assert_eq!(again, (message.key, message.headers, message.is_awaited), "{stored:?}");
    }
    let text = String::from_utf8_lossy(input);
    _ = fuzzing::reply_subject(&text);
    fuzzing::server_version(&text);
});

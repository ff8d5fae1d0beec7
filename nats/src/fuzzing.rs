//! The parsers of what a NATS server and its clients send, for the fuzz target `nats`.
//!
//! Owns: a door that exists in fuzz builds alone. Does not own: the parsers.

use bytes::Bytes;
use common::OutgoingMessage;
use common::message::Headers;

pub use crate::ack_subject::DeliveryInfo;
use crate::headers::Decoded;

/// Key, headers and mark of a waiting producer in headers as a stream stores them.
pub fn stored_headers(bytes: &[u8]) -> (Option<Bytes>, Headers, bool) {
    let Decoded { key, headers, is_awaited } = crate::headers::decode_stored(bytes);
    (key, headers, is_awaited)
}

/// The headers of a message as a stream stores them; `None` if they are refused.
pub fn sent_headers(message: &OutgoingMessage) -> Option<String> {
    let (map, _) = crate::headers::encode(message).ok()?;
    let mut stored = "NATS/1.0\r\n".to_owned();
    for (name, values) in map.iter().flat_map(|map| map.iter()) {
        let name: &str = name.as_ref();
        values.iter().for_each(|value| stored.push_str(&format!("{name}: {}\r\n", value.as_str())));
    }
    Some(stored + "\r\n")
}

/// The numbers in the reply subject of a delivery.
pub fn reply_subject(text: &str) -> Option<DeliveryInfo> {
    crate::ack_subject::parse(text)
}

/// Reads the version that a server says of itself.
pub fn server_version(text: &str) {
    _ = crate::server_version::judge(text);
}

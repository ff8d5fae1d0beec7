//! The anchor: a fingerprint of one message, by which a later reader detects that the queue's history has changed.
//!
//! Owns: the compared fields. Does not own: when to compare (attach), where an anchor is stored (catalog).

use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

use crate::message::Message;

/// Offset, queue time and content hash of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Its offset.
    pub offset: u64,
    /// Its queue time, microseconds UTC.
    pub timestamp_us: i64,
    /// SipHash-2-4 (zero key) of subject, key and payload, each preceded by its length as u64, little endian.
    pub hash: u64,
}

impl Anchor {
    /// The anchor of `message`.
    pub fn of(message: &Message) -> Self {
        let mut hasher = SipHasher24::new_with_keys(0, 0);
        for part in [message.subject.as_bytes(), message.key.as_deref().unwrap_or_default(), &message.payload] {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part);
        }
        Self { offset: message.offset, timestamp_us: message.timestamp_us, hash: hasher.finish() }
    }
}

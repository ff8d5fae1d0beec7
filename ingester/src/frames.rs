//! Whole records in the body of a request: each with its id, key and headers, its value any bytes.
//!
//! The body begins with `SLR1`. Each record follows as a byte of flags (1: it has an id, 2: it has a key, 4: its commit is
//! awaited), then fields, each with its length before it as a `u32`, little-endian: the id and the key if there are any;
//! the number of headers, and the name and the value of each; the value.
//!
//! Owns: this form, written by the producer and read by the HTTP service. Does not own: sending (`remote`), what a queue
//! allows in a record.

use bytes::Bytes;
use common::OutgoingMessage;

/// The type of such a body.
pub const CONTENT_TYPE: &str = "application/vnd.siltstone.records";

const MAGIC: &[u8; 4] = b"SLR1";
const HAS_ID: u8 = 1;
const HAS_KEY: u8 = 2;
const IS_AWAITED: u8 = 4;

/// The body is not of this form; the text is a clause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}, at byte {at}")]
pub struct FrameError {
    reason: String,
    at: usize,
}

/// The body that holds `messages`.
///
/// # Panics
/// If a field of a message has 4 GiB or more.
pub fn encode<'m>(messages: impl Iterator<Item = &'m OutgoingMessage> + Clone) -> Vec<u8> {
    let bytes: usize = messages.clone().map(OutgoingMessage::memory_bytes).sum();
    let mut body = Vec::with_capacity(MAGIC.len() + bytes);
    body.extend_from_slice(MAGIC);
    for message in messages {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        body.push(
            flag(message.message_id.is_some(), HAS_ID)
                | flag(message.key.is_some(), HAS_KEY)
                | flag(message.is_awaited, IS_AWAITED),
        );
        message.message_id.iter().for_each(|id| put_field(&mut body, id.as_bytes()));
        message.key.iter().for_each(|key| put_field(&mut body, key));
        put_number(&mut body, message.headers.len());
        for (name, value) in &message.headers {
            put_field(&mut body, name.as_bytes());
            put_field(&mut body, value.as_bytes());
        }
        put_field(&mut body, &message.payload);
    }
    body
}

fn put_field(body: &mut Vec<u8>, field: &[u8]) {
    put_number(body, field.len());
    body.extend_from_slice(field);
}

fn put_number(body: &mut Vec<u8>, number: usize) {
    let number = u32::try_from(number).expect("a field of a message is below 4 GiB");
    body.extend_from_slice(&number.to_le_bytes());
}

/// The records of a body, in order. Ends after an error.
#[derive(Debug)]
pub struct Frames<'b> {
    body: &'b [u8],
    at: usize,
}

impl<'b> Frames<'b> {
    /// Begins to read.
    ///
    /// # Errors
    /// The body does not begin as it must.
    pub fn new(body: &'b [u8]) -> Result<Self, FrameError> {
        if !body.starts_with(MAGIC) {
            let reason = format!("a body of the type {CONTENT_TYPE} begins with SLR1");
            return Err(FrameError { reason, at: 0 });
        }
        Ok(Self { body, at: MAGIC.len() })
    }

    fn record(&mut self) -> Result<OutgoingMessage, FrameError> {
        let flags = self.take(1)?[0];
        if flags & !(HAS_ID | HAS_KEY | IS_AWAITED) != 0 {
            return Err(FrameError { reason: format!("flags {flags:#x} are unknown"), at: self.at - 1 });
        }
        let message_id = if flags & HAS_ID != 0 { Some(self.text()?) } else { None };
        let key = if flags & HAS_KEY != 0 { Some(Bytes::copy_from_slice(self.field()?)) } else { None };
        let count = self.number()?;
        // No room is taken for the number that is claimed: each header must be there.
        let mut headers = Vec::new();
        for _ in 0..count {
            headers.push((self.text()?, self.text()?));
        }
        // A copy, so that the record does not keep the whole body in memory.
        let payload = Bytes::copy_from_slice(self.field()?);
        Ok(OutgoingMessage { message_id, key, headers, payload, is_awaited: flags & IS_AWAITED != 0 })
    }

    fn text(&mut self) -> Result<String, FrameError> {
        let at = self.at;
        let text = std::str::from_utf8(self.field()?);
        text.map(str::to_owned).map_err(|error| FrameError { reason: format!("a text is not UTF-8: {error}"), at })
    }

    fn field(&mut self) -> Result<&'b [u8], FrameError> {
        let length = self.number()?;
        self.take(length)
    }

    fn number(&mut self) -> Result<usize, FrameError> {
        let bytes: [u8; 4] = self.take(4)?.try_into().expect("it has four bytes");
        Ok(u32::from_le_bytes(bytes) as usize)
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], FrameError> {
        let rest = &self.body[self.at..];
        let Some(taken) = rest.get(..length) else {
            let reason = format!("{length} bytes are announced, {} follow", rest.len());
            return Err(FrameError { reason, at: self.at });
        };
        self.at += length;
        Ok(taken)
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<OutgoingMessage, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.body.len() {
            return None;
        }
        let record = self.record();
        if record.is_err() {
            self.at = self.body.len();
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages() -> Vec<OutgoingMessage> {
        let plain = OutgoingMessage::new("");
        let mut full = OutgoingMessage::new(vec![0, 255, b'\n']).with_key(vec![1, 0]).with_message_id("é-1").awaited();
        full.headers = vec![("a".to_owned(), "x y".to_owned()), ("a".to_owned(), String::new())];
        vec![plain.clone(), full, plain.with_key("")]
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let body = encode(messages().iter());
        let read: Result<Vec<_>, _> = Frames::new(&body).expect("begins well").collect();
        assert_eq!(read, Ok(messages()));
        let none = encode([].iter());
        assert_eq!((none.as_slice(), Frames::new(&none).expect("begins well").count()), (&MAGIC[..], 0));
    }

    #[test]
    fn the_form_stays_as_it_is() {
        let message = OutgoingMessage::new("v").with_key("k").with_message_id("i");
        assert_eq!(encode([message].iter()), b"SLR1\x03\x01\0\0\0i\x01\0\0\0k\0\0\0\0\x01\0\0\0v");
    }

    #[test]
    fn a_body_that_is_cut_or_damaged_anywhere_is_refused_and_nothing_panics() {
        let body = encode(messages().iter());
        let read = |body: &[u8]| Frames::new(body).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let ends: Vec<usize> = (1..=2).map(|count| encode(messages()[..count].iter()).len()).collect();
        for end in 0..body.len() {
            let is_whole = end == MAGIC.len() || ends.contains(&end);
            assert_eq!(read(&body[..end]).is_ok(), is_whole, "cut at {end}");
        }
        for at in 0..body.len() {
            for bit in 0..8 {
                let mut damaged = body.clone();
                damaged[at] ^= 1 << bit;
                assert_ne!(read(&damaged), Ok(messages()), "byte {at}, bit {bit}");
            }
        }
        assert_eq!(
            read(b"[{}]").expect_err("JSON").to_string(),
            format!("a body of the type {CONTENT_TYPE} begins with SLR1, at byte 0")
        );
        assert_eq!(read(b"SLR1\x08").expect_err("flags").to_string(), "flags 0x8 are unknown, at byte 4");
        let claim = read(b"SLR1\0\xff\xff\xff\xff").expect_err("a claim of many headers").to_string();
        assert_eq!(claim, "4 bytes are announced, 0 follow, at byte 9");
        let text = read(b"SLR1\x01\x01\0\0\0\xff").expect_err("an id of bytes").to_string();
        assert!(text.starts_with("a text is not UTF-8") && text.ends_with("at byte 5"), "{text}");
    }
}

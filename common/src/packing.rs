//! Packing: many small records in one message of the queue.
//!
//! Owns: the form of a packed message, its header, and the limits within which it is opened.
//! Does not own: which records a producer packs (crate `ingester`), rows of the records (crate `writer`).
//!
//! The header [`HEADER`] names the form with its version, the compression, the number of the records and their bytes in
//! frames: `frames/1; compression=lz4; records=100; bytes=8123`. The payload is the frames, as they are
//! (`compression=none`) or as one block of LZ4. A frame is, with numbers of 32 bits, the smallest byte first: the length of the
//! payload; the length of the key plus one, or zero without a key; the key; the payload.
//!
//! The header decides, not the topic's option: what was packed before the option was taken back is opened too. A record of
//! a packed message is never opened again.

use std::str::FromStr;

use bytes::{Buf, Bytes};

use crate::message::{Message, OutgoingMessage};

/// The header that says how a message is packed.
pub const HEADER: &str = "Siltstone-Packed";
/// Most bytes of the frames of one message. Opening takes so much memory, whatever the message says of itself.
pub const BYTES_MAX: usize = 4 * 1024 * 1024;
/// The only form so far.
const FORM: &str = "frames/1";
/// Bytes of a frame without key and payload.
const FRAME_BYTES: usize = 8;
/// LZ4 counts where it takes off one byte of so many; opening it costs time.
const SAVED_PART: usize = 8;

/// A record of a packed message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackedRecord {
    /// The record's key, if any.
    pub key: Option<Bytes>,
    /// Its content.
    pub payload: Bytes,
}

/// Records on their way into one message.
#[derive(Clone, Debug, Default)]
pub struct Pack {
    frames: Vec<u8>,
    records: u32,
}

/// A packed message that was opened: its records, in order, at least one. Their bytes are shared, not copied.
#[derive(Clone, Debug)]
pub struct Opened {
    frames: Bytes,
    records: u32,
}

/// The reason why a packed message cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackingError {
    /// Another form or version.
    #[error("the message is packed as {0:?}, which this version cannot open; it opens {FORM:?}")]
    UnknownForm(String),
    /// The header is not complete.
    #[error(
        "the header {HEADER} is {0:?}; expected is such as \"{FORM}; compression=lz4; records=100; bytes=8123\", with the \
         compression lz4 or none"
    )]
    Header(String),
    /// The records are larger than what is opened.
    #[error("the packed records have {0} bytes; at most {BYTES_MAX} are opened")]
    TooLarge(u64),
    /// A message leaves at least one record.
    #[error("the message is packed and holds no record")]
    Empty,
    /// The payload is not one whole block of LZ4, or holds more than the header says.
    #[error("the packed records cannot be decompressed: {0}")]
    Damaged(String),
    /// The payload is whole and has another size than the header says.
    #[error("the packed records have {found} bytes, and the header says {declared}")]
    OtherSize {
        /// Bytes of the frames.
        found: usize,
        /// Bytes in the header.
        declared: u64,
    },
    /// The last record ends behind the end of the frames.
    #[error("packed record number {0} is cut off")]
    Cut(u32),
    /// The frames are whole and hold another number of records than the header says.
    #[error("the message holds {found} packed records, and its header says {declared}")]
    OtherCount {
        /// Records in the frames, as far as they were counted.
        found: u32,
        /// Records in the header.
        declared: u32,
    },
}

/// The value of the header.
#[derive(Debug, PartialEq, Eq)]
struct Envelope {
    is_compressed: bool,
    records: u32,
    bytes: u64,
}

impl Pack {
    /// True if a record of these lengths can be added, so that all records together can be opened again.
    pub fn has_room(&self, key: Option<&[u8]>, payload: &[u8]) -> bool {
        self.frames.len() + frame_bytes(key, payload) <= BYTES_MAX
    }

    /// Adds a record at the end.
    ///
    /// # Panics
    /// Without room for it ([`Pack::has_room`]).
    pub fn push(&mut self, key: Option<&[u8]>, payload: &[u8]) {
        assert!(self.has_room(key, payload), "a pack holds at most {BYTES_MAX} bytes");
        let number = |length: usize| u32::try_from(length).expect("at most BYTES_MAX").to_le_bytes();
        self.frames.extend(number(payload.len()));
        self.frames.extend(number(key.map_or(0, |key| key.len() + 1)));
        self.frames.extend(key.unwrap_or_default());
        self.frames.extend(payload);
        self.records += 1;
    }

    /// The message of these records, without an id: compressed if that `may_compress` it, and saves an eighth.
    pub fn finish(self, may_compress: bool) -> OutgoingMessage {
        let Self { frames, records } = self;
        let bytes = frames.len();
        let compressed = may_compress.then(|| lz4_flex::block::compress(&frames));
        let (payload, compression) = match compressed {
            Some(compressed) if compressed.len() + bytes / SAVED_PART <= bytes => (compressed, "lz4"),
            _ => (frames, "none"),
        };
        let value = format!("{FORM}; compression={compression}; records={records}; bytes={bytes}");
        OutgoingMessage { headers: vec![(HEADER.to_owned(), value)], ..OutgoingMessage::new(payload) }
    }
}

/// The records of `message`, if it is packed. All of them are whole: nothing has to be taken back later.
///
/// # Errors
/// Any message that is packed and cannot be opened as a whole. Memory stays below about [`BYTES_MAX`] for every payload.
pub fn open(message: &Message) -> Option<Result<Opened, PackingError>> {
    let header = message.headers.iter().find(|(name, _)| is_header(name));
    header.map(|(_, value)| Opened::of(value, &message.payload))
}

/// Bytes of a record in a packed message, before it is compressed.
pub fn frame_bytes(key: Option<&[u8]>, payload: &[u8]) -> usize {
    FRAME_BYTES + key.map_or(0, <[u8]>::len) + payload.len()
}

/// True for the name of the header, in any case.
pub fn is_header(name: &str) -> bool {
    name.eq_ignore_ascii_case(HEADER)
}

impl Opened {
    fn of(header: &str, payload: &Bytes) -> Result<Self, PackingError> {
        let Envelope { is_compressed, records: declared, bytes } = header.parse()?;
        let size =
            usize::try_from(bytes).ok().filter(|bytes| *bytes <= BYTES_MAX).ok_or(PackingError::TooLarge(bytes))?;
        if declared == 0 {
            return Err(PackingError::Empty);
        }
        let frames = if is_compressed { decompressed(payload, size)? } else { payload.clone() };
        if frames.len() != size {
            return Err(PackingError::OtherSize { found: frames.len(), declared: bytes });
        }
        let (mut rest, mut found) = (frames.clone(), 0);
        while !rest.is_empty() && found <= declared {
            take_record(&mut rest).ok_or(PackingError::Cut(found))?;
            found += 1;
        }
        match found == declared {
            true => Ok(Self { frames, records: declared }),
            false => Err(PackingError::OtherCount { found, declared }),
        }
    }

    /// Number of records that follow.
    pub fn records(&self) -> u32 {
        self.records
    }
}

impl Iterator for Opened {
    type Item = PackedRecord;

    fn next(&mut self) -> Option<PackedRecord> {
        self.records = self.records.checked_sub(1)?;
        if self.records == 0 && crate::mutation::is_off("packing.last_record") {
            return None;
        }
        Some(take_record(&mut self.frames).expect("every record was looked at when the message was opened"))
    }
}

impl FromStr for Envelope {
    type Err = PackingError;

    fn from_str(text: &str) -> Result<Self, PackingError> {
        let mut fields = text.split(';').map(str::trim);
        let form = fields.next().unwrap_or_default();
        if form != FORM {
            return Err(PackingError::UnknownForm(form.to_owned()));
        }
        let mut field = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix('=');
        let parsed = (field("compression"), field("records"), field("bytes"));
        let envelope = match (parsed, fields.next()) {
            ((Some(compression @ ("lz4" | "none")), Some(records), Some(bytes)), None) => {
                let numbers = records.parse().ok().zip(bytes.parse().ok());
                numbers.map(|(records, bytes)| Self { is_compressed: compression == "lz4", records, bytes })
            }
            _ => None,
        };
        envelope.ok_or_else(|| PackingError::Header(text.to_owned()))
    }
}

/// The block in `payload`, which may hold at most `size` bytes.
fn decompressed(payload: &[u8], size: usize) -> Result<Bytes, PackingError> {
    let mut frames = vec![0; size];
    let found = lz4_flex::block::decompress_into(payload, &mut frames)
        .map_err(|error| PackingError::Damaged(error.to_string()))?;
    frames.truncate(found);
    Ok(frames.into())
}

/// The first record of `frames`, which is taken off them; `None` if it is cut off.
fn take_record(frames: &mut Bytes) -> Option<PackedRecord> {
    let payload_bytes = frames.try_get_u32_le().ok()?;
    let key_bytes = frames.try_get_u32_le().ok()?;
    let mut take = |length: u32| {
        let length = usize::try_from(length).ok().filter(|length| *length <= frames.len())?;
        Some(frames.split_to(length))
    };
    let key = match key_bytes.checked_sub(1) {
        Some(length) => Some(take(length)?),
        None => None,
    };
    Some(PackedRecord { key, payload: take(payload_bytes)? })
}

#[cfg(test)]
mod tests;

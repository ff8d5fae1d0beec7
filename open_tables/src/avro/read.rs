//! Reading Avro back, for the audit and for tests.
//!
//! Owns: the binary decoding of values, and the container file with the one codec that is written. Does not own: the
//! records (`manifest`, `manifest_list`). No input panics.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::DeflateDecoder;

use super::{CODEC, MAGIC};

/// The bytes are no such file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a file of records as Siltstone writes them: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Values, one after the other.
#[derive(Debug)]
pub(crate) struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, Malformed> {
        Ok(self.take(1)? != [0])
    }

    pub(crate) fn long(&mut self) -> Result<i64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(Malformed("a number is too long"))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'b [u8], Malformed> {
        let length = usize::try_from(self.long()?).map_err(|_| Malformed("a length is negative"))?;
        self.take(length)
    }

    pub(crate) fn string(&mut self) -> Result<&'b str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed("a text is not UTF-8"))
    }

    /// The branch of a union of null and another type.
    pub(crate) fn is_some(&mut self) -> Result<bool, Malformed> {
        match self.long()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("a union has no such branch")),
        }
    }

    pub(crate) fn optional_long(&mut self) -> Result<Option<i64>, Malformed> {
        if self.is_some()? { self.long().map(Some) } else { Ok(None) }
    }

    pub(crate) fn array(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Malformed>) -> Result<(), Malformed> {
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                return Err(Malformed("a block of an array has a size"));
            }
            for _ in 0..count {
                item(self)?;
            }
        }
    }
}

/// A file of records.
#[derive(Debug)]
pub(crate) struct Container {
    properties: BTreeMap<String, String>,
    /// Number of its records.
    pub(crate) count: i64,
    /// The records.
    pub(crate) records: Vec<u8>,
}

impl Container {
    /// Reads a file.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(Malformed("its first bytes are others"));
        }
        let mut properties = BTreeMap::new();
        reader.array(|reader| {
            let name = reader.string()?.to_owned();
            properties.insert(name, reader.string()?.to_owned());
            Ok(())
        })?;
        if properties.get("avro.codec").map(String::as_str) != Some(CODEC) {
            return Err(Malformed("its codec is another one"));
        }
        let mark = reader.take(16)?;
        let (mut count, mut records) = (0, Vec::new());
        while !reader.0.is_empty() {
            count += reader.long()?;
            let packed = reader.bytes()?;
            DeflateDecoder::new(packed)
                .read_to_end(&mut records)
                .map_err(|_| Malformed("its records cannot be unpacked"))?;
            if reader.take(16)? != mark {
                return Err(Malformed("the mark behind a block is another one"));
            }
        }
        Ok(Self { properties, count, records })
    }

    /// A property of the file.
    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }
}

//! The sink of a Parquet writer: chunks in memory that are put as they are.
//!
//! Owns: the chunks and the running checksum. A single vector would double when it grows and be copied once more.
//! Does not own: Parquet.

use std::io::{self, Write};

use bytes::Bytes;
use common::checksum::Crc32c;

const CHUNK_BYTES: usize = 1024 * 1024;
// Most segments of slow partitions are a few kilobytes: begin small.
const FIRST_CHUNK_BYTES: usize = 16 * 1024;

/// Collects bytes and their CRC-32C.
#[derive(Debug, Default)]
pub(super) struct ChunkSink {
    full: Vec<Bytes>,
    full_bytes: usize,
    current: Vec<u8>,
    sum: Crc32c,
}

impl ChunkSink {
    /// Memory held, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.full_bytes + self.current.capacity()
    }

    /// The checksum and the chunks in order.
    pub(super) fn finish(mut self) -> (u32, Vec<Bytes>) {
        if !self.current.is_empty() {
            self.full.push(Bytes::from(self.current));
        }
        (self.sum.value(), self.full)
    }

    /// The first `bytes` of it, behind which more may be written. All of them are read again, for their checksum.
    pub(super) fn cut_to(self, bytes: usize) -> Self {
        let (_, chunks) = self.finish();
        let (mut cut, mut left) = (Self::default(), bytes);
        for chunk in chunks {
            let kept = chunk.slice(..chunk.len().min(left));
            left -= kept.len();
            cut.sum.update(&kept);
            cut.full_bytes += kept.len();
            cut.full.push(kept);
        }
        cut
    }

    fn begin_chunk(&mut self) {
        let capacity =
            if self.full.is_empty() && self.current.capacity() == 0 { FIRST_CHUNK_BYTES } else { CHUNK_BYTES };
        let done = std::mem::replace(&mut self.current, Vec::with_capacity(capacity));
        if !done.is_empty() {
            self.full_bytes += done.len();
            self.full.push(Bytes::from(done));
        }
    }
}

impl Write for ChunkSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.current.len() == self.current.capacity() {
            self.begin_chunk();
        }
        let taken = bytes.len().min(self.current.capacity() - self.current.len());
        self.current.extend_from_slice(&bytes[..taken]);
        self.sum.update(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

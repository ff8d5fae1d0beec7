//! The checksum that the catalog lists for every object.
//!
//! Owns: the choice of the algorithm. Does not own: the reaction to a difference.

use std::fmt;

use crc_fast::{CrcAlgorithm, Digest};

/// CRC-32C of a whole slice: the Castagnoli polynomial as in RFC 3720, appendix B.4.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let mut sum = Crc32c::default();
    sum.update(bytes);
    sum.value()
}

/// CRC-32C of bytes that arrive in pieces.
#[derive(Clone)]
pub struct Crc32c {
    digest: Digest,
}

impl Crc32c {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// The checksum of all bytes so far.
    pub fn value(&self) -> u32 {
        // The library returns every width as 64 bits; for this one the upper half is zero.
        self.digest.finalize() as u32
    }
}

impl Default for Crc32c {
    fn default() -> Self {
        Self { digest: Digest::new(CrcAlgorithm::Crc32Iscsi) }
    }
}

impl fmt::Debug for Crc32c {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crc32c({:08x})", self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_castagnoli_polynomial_whole_and_in_pieces() {
        // The check value of CRC-32/ISCSI, and 32 bytes of zeros from RFC 3720, B.4.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        let mut sum = Crc32c::default();
        [&b"1234"[..], b"", b"56789"].iter().for_each(|piece| sum.update(piece));
        assert_eq!(sum.value(), 0xe306_9283);
    }
}

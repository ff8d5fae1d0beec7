//! Unpacking a request's body: gzip and zstd, piece by piece.
//!
//! Owns: the encodings that are taken, and that a body which ends too early is noticed.
//! Does not own: limits on sizes and times (`body`).

use std::io::{self, Write};

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, InBuffer, Operation, OutBuffer};

use super::error::{ApiError, Code};

/// The encodings that are taken, for answers that refuse another one.
pub(super) const ENCODINGS: &str = "gzip, zstd, identity";

/// Packed bytes that are unpacked at once. A byte becomes a thousand at most, so that a step has a few MiB.
const STEP_BYTES: usize = 4 * 1024;

/// Largest window of zstd, as a power of two: 8 MiB, which RFC 9659 demands of everybody who takes zstd over HTTP.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// The unpacked bytes of one step of zstd.
const ZSTD_OUTPUT_BYTES: usize = 128 * 1024;

/// The encoding of one body.
pub(super) enum Encoding {
    Identity,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zstd { decoder: ZstdDecoder<'static>, is_at_end: bool },
}

impl Encoding {
    /// The encoding that the headers name.
    ///
    /// # Errors
    /// An encoding that is not taken; several at once are not.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let named = values.next().map_or("identity", |value| value.to_str().unwrap_or("?")).trim();
        let is_one = values.next().is_none();
        match named.to_ascii_lowercase().as_str() {
            "identity" | "" if is_one => Ok(Self::Identity),
            "gzip" | "x-gzip" if is_one => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))),
            "zstd" if is_one => Self::zstd(),
            _ => Err(ApiError::new(
                Code::UnsupportedMediaType,
                format!("Content-Encoding {named:?} is not taken; allowed is one of {ENCODINGS}"),
            )),
        }
    }

    fn zstd() -> Result<Self, ApiError> {
        let mut decoder = ZstdDecoder::new().map_err(|error| unusable(&error))?;
        decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).map_err(|error| unusable(&error))?;
        // A body without any frame is no zstd.
        Ok(Self::Zstd { decoder, is_at_end: false })
    }

    /// Unpacks the beginning of `packed`, at most one step of it, and takes that off. The result may be empty.
    ///
    /// # Errors
    /// The bytes are not of this encoding.
    pub(super) fn unpack(&mut self, packed: &mut Bytes) -> Result<Bytes, ApiError> {
        match self {
            Self::Identity => Ok(std::mem::take(packed)),
            Self::Gzip(decoder) => {
                let step = packed.split_to(packed.len().min(STEP_BYTES));
                decoder.write_all(&step).and_then(|()| decoder.flush()).map_err(|error| broken("gzip", &error))?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
            Self::Zstd { decoder, is_at_end } => {
                let mut output = vec![0; ZSTD_OUTPUT_BYTES];
                let (mut from, mut to) = (InBuffer::around(packed), OutBuffer::around(&mut output[..]));
                let hint = decoder.run(&mut from, &mut to).map_err(|error| broken("zstd", &error))?;
                let (read, written) = (from.pos(), to.pos());
                // Zero: a frame is whole, and what follows is another one.
                *is_at_end = hint == 0;
                *packed = packed.split_off(read);
                output.truncate(written);
                Ok(output.into())
            }
        }
    }

    /// The bytes that were still held back at the end of the body.
    ///
    /// # Errors
    /// The body ends too early, or its checksum is wrong.
    pub(super) fn finish(&mut self) -> Result<Bytes, ApiError> {
        match self {
            Self::Identity => Ok(Bytes::new()),
            Self::Gzip(decoder) => {
                decoder.try_finish().map_err(|error| broken("gzip", &error))?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
            Self::Zstd { decoder, is_at_end } => {
                let mut rest = Vec::new();
                let mut output = vec![0; ZSTD_OUTPUT_BYTES];
                while !*is_at_end {
                    let mut to = OutBuffer::around(&mut output[..]);
                    let ran = decoder.run(&mut InBuffer::around(&[]), &mut to);
                    let hint = ran.map_err(|error| broken("zstd", &error))?;
                    let written = to.pos();
                    if hint > 0 && written == 0 {
                        return Err(broken("zstd", &io::ErrorKind::UnexpectedEof.into()));
                    }
                    *is_at_end = hint == 0;
                    rest.extend_from_slice(&output[..written]);
                }
                Ok(rest.into())
            }
        }
    }
}

fn broken(encoding: &str, error: &io::Error) -> ApiError {
    ApiError::new(Code::InvalidBody, format!("the body is no whole {encoding}: {error}"))
}

fn unusable(error: &io::Error) -> ApiError {
    ApiError::new(Code::Internal, format!("zstd cannot be unpacked here: {error}"))
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn headers(encoding: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_ENCODING, encoding.parse().expect("a value"))])
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("in memory");
        encoder.finish().expect("in memory")
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).expect("in memory")
    }

    /// Unpacks `packed` in pieces of this size.
    fn unpacked(encoding: &str, packed: &[u8], piece: usize) -> Result<Vec<u8>, ApiError> {
        let mut encoding = Encoding::of(&headers(encoding))?;
        let mut all = Vec::new();
        for piece in packed.chunks(piece) {
            let mut piece = Bytes::copy_from_slice(piece);
            while !piece.is_empty() {
                all.extend(encoding.unpack(&mut piece)?);
            }
        }
        all.extend(encoding.finish()?);
        Ok(all)
    }

    #[test]
    fn what_was_packed_comes_out_in_pieces_of_any_size() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        for piece in [1_000, 7_777, 1 << 20] {
            assert_eq!(unpacked("identity", &text, piece).expect("as it is"), text);
            assert_eq!(unpacked("gzip", &gzip(&text), piece).expect("gzip"), text);
            assert_eq!(unpacked("X-GZIP", &gzip(&text), piece).expect("gzip"), text);
            assert_eq!(unpacked("zstd", &zstd(&text), piece).expect("zstd"), text);
        }
        assert_eq!(unpacked("gzip", &gzip(b"ab"), 1).expect("gzip"), b"ab");
        assert_eq!(unpacked("zstd", &zstd(b"ab"), 1).expect("zstd"), b"ab");
        assert_eq!(unpacked("zstd", &zstd(b""), 1).expect("zstd"), b"");
    }

    #[test]
    fn parts_that_were_packed_one_after_the_other_are_one_body() {
        for piece in [1, 1000] {
            assert_eq!(unpacked("gzip", &[gzip(b"ab"), gzip(b"cd")].concat(), piece).expect("gzip"), b"abcd");
            assert_eq!(unpacked("zstd", &[zstd(b"ab"), zstd(b"cd")].concat(), piece).expect("zstd"), b"abcd");
        }
    }

    #[test]
    fn a_body_that_is_cut_off_or_damaged_is_refused() {
        let text = b"a text of some length, a text of some length".repeat(100);
        for (encoding, packed) in [("gzip", gzip(&text)), ("zstd", zstd(&text))] {
            for end in 0..packed.len() {
                let error = unpacked(encoding, &packed[..end], 1000).expect_err("cut off");
                assert_eq!(error.code, Code::InvalidBody, "{encoding} up to {end}");
            }
        }
        let mut damaged = gzip(&text);
        let at = damaged.len() - 6;
        damaged[at] ^= 1;
        let error = unpacked("gzip", &damaged, 1000).expect_err("a wrong checksum");
        assert!(error.message.starts_with("the body is no whole gzip: "), "{error}");
        assert!(unpacked("zstd", b"no zstd", 1000).is_err());
        assert!(unpacked("gzip", &[gzip(&text), b"rest".to_vec()].concat(), 1000).is_err());
    }

    #[test]
    fn a_step_unpacks_a_few_mebibytes_at_most() {
        let bomb = vec![0; 12 << 20];
        for (name, packed) in [("gzip", gzip(&bomb)), ("zstd", zstd(&bomb))] {
            let mut encoding = Encoding::of(&headers(name)).expect("taken");
            let mut packed = Bytes::from(packed);
            while !packed.is_empty() {
                let step = encoding.unpack(&mut packed).expect(name);
                assert!(step.len() <= 5 << 20, "{name}: {} bytes", step.len());
            }
        }
    }

    #[test]
    fn other_encodings_are_refused_with_those_that_are_taken() {
        for encoding in ["br", "deflate", "gzip, gzip", "lz4"] {
            let Err(error) = Encoding::of(&headers(encoding)) else { panic!("{encoding} is not taken") };
            assert_eq!(error.code, Code::UnsupportedMediaType);
            assert!(error.message.contains(ENCODINGS) && error.message.contains(encoding), "{error}");
        }
        let mut twice = headers("gzip");
        twice.append(header::CONTENT_ENCODING, "gzip".parse().expect("a value"));
        assert!(Encoding::of(&twice).is_err());
        assert!(matches!(Encoding::of(&HeaderMap::new()), Ok(Encoding::Identity)));
    }
}

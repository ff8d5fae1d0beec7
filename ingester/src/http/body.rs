//! A request's body as a stream of unpacked bytes, within its limits.
//!
//! Owns: the limits on size, on silence, and on the bytes of all requests together. Does not own: unpacking (`encoding`),
//! what the bytes mean (`records`).

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use common::memory::{MemoryBudget, MemoryPermit};
use futures::StreamExt;
use tokio::time::timeout;

use super::encoding::Encoding;
use super::error::{ApiError, Code};
use super::metrics::count_body;

/// Longest silence of a client that sends a body.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Bytes that every request is counted for at least: what is read ahead, unpacked and on its way to the queue.
pub(super) const REQUEST_BYTES_MIN: usize = 64 * 1024;

/// A body that is read piece by piece.
pub(super) struct RequestBody {
    stream: BodyDataStream,
    encoding: Encoding,
    /// Packed bytes that were read and not unpacked.
    packed: Bytes,
    is_read: bool,
    is_finished: bool,
    received: usize,
    unpacked: usize,
    bytes_max: usize,
    budget: MemoryBudget,
    held: MemoryPermit,
}

/// The type of the body as it is given, and in lower case without parameters. Both are empty without one.
pub(super) fn media_type(headers: &HeaderMap) -> (&str, String) {
    let given = headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
    (given, given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

impl RequestBody {
    /// Begins to read. `bytes_max` limits the body as it is sent and as it is unpacked.
    ///
    /// # Errors
    /// The encoding is not taken, the length is above the limit, or too many bytes of other requests are held.
    pub(super) fn new(
        headers: &HeaderMap,
        body: Body,
        bytes_max: usize,
        budget: &MemoryBudget,
    ) -> Result<Self, ApiError> {
        let encoding = Encoding::of(headers)?;
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > bytes_max) {
            return Err(too_large(bytes_max));
        }
        let held = budget.try_acquire(REQUEST_BYTES_MIN).ok_or_else(overloaded)?;
        Ok(Self {
            stream: body.into_data_stream(),
            encoding,
            packed: Bytes::new(),
            is_read: false,
            is_finished: false,
            received: 0,
            unpacked: 0,
            bytes_max,
            budget: budget.clone(),
            held,
        })
    }

    /// The next bytes, never none; `None` at the end.
    ///
    /// # Errors
    /// A limit is passed, the client is silent or gone, or the bytes are not of their encoding.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let piece = if !self.packed.is_empty() {
                self.encoding.unpack(&mut self.packed)?
            } else if !self.is_read {
                self.read().await?;
                continue;
            } else if !self.is_finished {
                self.is_finished = true;
                self.encoding.finish()?
            } else {
                return Ok(None);
            };
            self.unpacked += piece.len();
            if self.unpacked > self.bytes_max {
                return Err(too_large(self.bytes_max));
            }
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }

    /// The whole body, whose bytes are counted as held until this is dropped.
    ///
    /// # Errors
    /// As [`RequestBody::next`], and if too many bytes of other requests are held.
    pub(super) async fn whole(&mut self) -> Result<Bytes, ApiError> {
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.next().await? else {
            self.hold(first.len())?;
            return Ok(first);
        };
        let mut whole = BytesMut::from(first);
        let mut next = Some(second);
        while let Some(piece) = next {
            self.hold(whole.len() + piece.len())?;
            whole.extend_from_slice(&piece);
            next = self.next().await?;
        }
        Ok(whole.freeze())
    }

    /// Counts this many bytes of the request as held, and no fewer than before.
    ///
    /// # Errors
    /// Too many bytes of other requests are held.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), ApiError> {
        let more = bytes.saturating_sub(self.held.bytes());
        let capacity = self.budget.capacity_bytes();
        if more > 0 && bytes > capacity {
            let text = format!(
                "a record or a body in one piece needs {bytes} bytes at once, and all requests together have {capacity}; send \
                 smaller ones (of an application/x-ndjson body only a line is held), or raise INGEST_MEMORY_BYTES"
            );
            return Err(ApiError::new(Code::TooLarge, text));
        }
        if more > 0 {
            // In steps, so that a body that arrives in small pieces takes the lock of the budget rarely.
            let more = more.max(REQUEST_BYTES_MIN);
            self.held.merge(self.budget.try_acquire(more).ok_or_else(overloaded)?);
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(), ApiError> {
        let silent = |_| {
            let seconds = SILENCE_MAX.as_secs();
            ApiError::new(Code::BodyTimeout, format!("nothing of the body arrived for {seconds} s"))
        };
        match timeout(SILENCE_MAX, self.stream.next()).await.map_err(silent)? {
            Some(Ok(bytes)) => {
                self.received += bytes.len();
                count_body(bytes.len());
                if self.received > self.bytes_max {
                    return Err(too_large(self.bytes_max));
                }
                self.packed = bytes;
            }
            Some(Err(error)) => {
                return Err(ApiError::new(Code::InvalidBody, format!("the body cannot be read: {error}")));
            }
            None => self.is_read = true,
        }
        Ok(())
    }
}

fn too_large(bytes_max: usize) -> ApiError {
    ApiError::new(
        Code::TooLarge,
        format!("the body is larger than {bytes_max} bytes as sent or unpacked; INGEST_BODY_BYTES sets the limit"),
    )
}

fn overloaded() -> ApiError {
    ApiError::new(Code::Unavailable, "too many bytes of other requests are on their way; try again")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;

    use super::*;

    fn body(pieces: Vec<&'static str>) -> Body {
        Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>)))
    }

    fn request(pieces: Vec<&'static str>, bytes_max: usize, budget: &MemoryBudget) -> Result<RequestBody, ApiError> {
        RequestBody::new(&HeaderMap::new(), body(pieces), bytes_max, budget)
    }

    #[tokio::test]
    async fn a_body_is_read_to_its_end_or_to_its_limit() {
        let budget = MemoryBudget::new(1 << 20);
        let mut pieces = request(vec!["ab", "", "cde"], 5, &budget).expect("admitted");
        assert_eq!(pieces.next().await.expect("read"), Some(Bytes::from("ab")));
        assert_eq!(pieces.next().await.expect("read"), Some(Bytes::from("cde")));
        assert_eq!(pieces.next().await.expect("read"), None);
        assert_eq!(request(vec!["ab", "cde"], 5, &budget).expect("admitted").whole().await.expect("read"), "abcde");
        assert_eq!(request(vec![], 5, &budget).expect("admitted").whole().await.expect("read"), "");
        let error = request(vec!["ab", "cde"], 4, &budget).expect("admitted").whole().await.expect_err("a limit");
        assert_eq!(error.code, Code::TooLarge);
        assert!(error.message.contains("4 bytes") && error.message.contains("INGEST_BODY_BYTES"), "{error}");
    }

    #[tokio::test]
    async fn a_length_above_the_limit_is_refused_before_anything_is_read() {
        let headers = HeaderMap::from_iter([(header::CONTENT_LENGTH, "6".parse().expect("a value"))]);
        let Err(error) = RequestBody::new(&headers, body(vec![]), 5, &MemoryBudget::new(1 << 20)) else {
            panic!("it is too long")
        };
        assert_eq!(error.code, Code::TooLarge);
    }

    #[tokio::test]
    async fn requests_beyond_the_bytes_on_their_way_are_refused_until_others_end() {
        let budget = MemoryBudget::new(2 * REQUEST_BYTES_MIN);
        let first = request(vec!["a"], 100, &budget).expect("admitted");
        let second = request(vec!["a"], 100, &budget).expect("admitted");
        let Err(error) = request(vec!["a"], 100, &budget) else { panic!("there is no room") };
        assert_eq!(error.code, Code::Unavailable);
        drop(first);
        let mut third = request(vec!["a"], 100, &budget).expect("admitted");
        assert_eq!(third.hold(REQUEST_BYTES_MIN + 1).expect_err("no room").code, Code::Unavailable);
        drop(second);
        third.hold(REQUEST_BYTES_MIN + 1).expect("room");
        assert_eq!(budget.used_bytes(), 2 * REQUEST_BYTES_MIN);
        drop(third);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_given_up() {
        let never = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        let mut body = RequestBody::new(&HeaderMap::new(), never, 5, &MemoryBudget::new(1 << 20)).expect("admitted");
        let error = body.next().await.expect_err("silence");
        assert_eq!((error.code, error.message.as_str()), (Code::BodyTimeout, "nothing of the body arrived for 10 s"));
    }
}

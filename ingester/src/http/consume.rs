//! Records of a partition over HTTP, from a place on.
//!
//! Owns: the parameters of a request, and the form of the answer. Does not own: reading (crate `consumer`).

use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use catalog::{CatalogError, Position};
use common::Incarnation;
use common::memory::MemoryPermit;
use common::timestamp::{TIMESTAMPS_ALLOWED, parse_timestamp_us};
use consumer::format::{Bytes, write_json};
use consumer::{FetchError, FetchRequest, Fetched, Limits, OutOfRange, Seen, Start};
use serde_json::{Value, json};
use service::Ending;

use super::Api;
use super::error::{ApiError, Code};
use super::parameters::{Query, wrong};
use super::path::PartitionPath;

const RECORDS_DEFAULT: u32 = 500;
const RECORDS_MAX: u32 = 10_000;
const BYTES_DEFAULT: u32 = 1 << 20;
const BYTES_MAX: u32 = 16 << 20;
const WAIT_MS_MAX: u32 = 30_000;

const PARAMETERS: [&str; 9] = [
    "binary",
    "incarnation",
    "max_bytes",
    "max_records",
    "offset",
    "out_of_range",
    "time",
    "topic_created_at",
    "wait_ms",
];

/// Bounds and form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) limits: Limits,
    wait: Duration,
    bytes: Bytes,
}

impl Wanted {
    fn read(query: &mut Query) -> Result<Self, ApiError> {
        let mut bounded = |name: &str, default: u32, (least, most): (u32, u32)| {
            let number = query.number(name)?.unwrap_or(default);
            let allowed = || wrong(name, &number.to_string(), &format!("{least} to {most}"));
            (least..=most).contains(&number).then_some(number).ok_or_else(allowed)
        };
        let records_max = bounded("max_records", RECORDS_DEFAULT, (1, RECORDS_MAX))? as usize;
        let bytes_max = bounded("max_bytes", BYTES_DEFAULT, (1, BYTES_MAX))? as usize;
        let wait = Duration::from_millis(bounded("wait_ms", 0, (0, WAIT_MS_MAX))?.into());
        let bytes = match query.take("binary") {
            None => Bytes::Base64,
            Some(word) => word.parse().map_err(|_| wrong("binary", &word, "base64 or text"))?,
        };
        Ok(Self { limits: Limits { records_max, bytes_max }, wait, bytes })
    }
}

pub(super) async fn records(
    State(api): State<Arc<Api>>,
    PartitionPath(partition): PartitionPath,
    request: Request,
) -> Result<Response, ApiError> {
    let mut query = Query::read(request.uri().query(), &PARAMETERS)?;
    let (start, out_of_range) = (start(&mut query)?, out_of_range(&mut query)?);
    let seen = Seen { topic_created_at: query.whole("topic_created_at")?, last: None };
    let wanted = Wanted::read(&mut query)?;
    let (limits, wait, of) = (wanted.limits, wanted.wait, partition.clone());
    let ending = request.extensions().get::<Ending>().cloned();
    let request = FetchRequest { partition, start, limits, wait, out_of_range, seen };
    let (fetched, _memory) = Box::pin(fetched(&api, request, &wanted, ending)).await?;
    let rest = json!({
        "topic": of.topic,
        "partition": of.partition_id,
        "first": fetched.first,
        "next": fetched.next,
        "high_watermark": fetched.high_watermark,
        "end": fetched.end,
        "skipped": fetched.skipped,
        "only_committed": fetched.only_committed,
        "topic_created_at": fetched.seen.topic_created_at,
    });
    answer(fetched.batches, rest, wanted.bytes).await
}

/// The records, after a wait that the end of the service cuts short.
async fn fetched(
    api: &Api,
    request: FetchRequest,
    wanted: &Wanted,
    ending: Option<Ending>,
) -> Result<(Fetched, MemoryPermit), ApiError> {
    let begun = async {
        match ending {
            Some(ending) => ending.begun().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        fetched = api.fetcher.fetch_within(&request, || api.reading_memory(wanted)) => return Ok(fetched?),
        () = begun => {}
    }
    let request = FetchRequest { wait: Duration::ZERO, ..request };
    Ok(api.fetcher.fetch_within(&request, || api.reading_memory(wanted)).await?)
}

/// The records, and the other members of the answer.
async fn answer(batches: Vec<RecordBatch>, rest: Value, bytes: Bytes) -> Result<Response, ApiError> {
    let text = tokio::task::spawn_blocking(move || text(&batches, &rest, bytes)).await;
    let failed = |error: &dyn std::fmt::Display| ApiError::new(Code::Internal, format!("writing records: {error}"));
    let text = text.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

fn text(batches: &[RecordBatch], rest: &Value, bytes: Bytes) -> Result<Vec<u8>, arrow_schema::ArrowError> {
    let mut text = b"{\"records\":[".to_vec();
    let before = text.len();
    for rows in batches {
        write_json(&mut text, rows, bytes)?;
    }
    // Each record is followed by a line feed, of which none is inside of one.
    text[before..].iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b',');
    if text.len() > before {
        text.pop();
    }
    text.push(b']');
    let rest = rest.to_string();
    text.push(b',');
    text.extend_from_slice(&rest.as_bytes()[1..]);
    Ok(text)
}

/// The place to begin at.
fn start(query: &mut Query) -> Result<Start, ApiError> {
    let incarnation = query.number("incarnation")?.map(Incarnation);
    let (offset, time) = (query.take("offset"), query.take("time"));
    match (offset, time, incarnation) {
        (Some(_), Some(_), _) => Err(ApiError::invalid("offset and time are different places; use one of them")),
        (None, Some(text), None) => {
            parse_timestamp_us(&text).map(Start::Time).ok_or_else(|| wrong("time", &text, TIMESTAMPS_ALLOWED))
        }
        (Some(word), None, Some(_)) if ["begin", "end"].contains(&word.as_str()) => {
            Err(ApiError::invalid(format!("incarnation says where a number counts; offset={word:?} has none")))
        }
        (Some(word), None, None) if word == "begin" => Ok(Start::Begin),
        (Some(word), None, None) if word == "end" => Ok(Start::End),
        (Some(text), None, incarnation) => {
            let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let offset = text.parse().ok().filter(|_| is_digits);
            let offset = offset.ok_or_else(|| wrong("offset", &text, "begin, end or a whole number from 0 on"))?;
            Ok(match incarnation {
                Some(incarnation) => Start::Position(Position { incarnation, offset }),
                None => Start::Offset(offset),
            })
        }
        (None, _, Some(_)) => Err(ApiError::invalid("incarnation says where an offset counts; give offset too")),
        (None, None, None) => Err(ApiError::invalid("offset or time is missing: offset is begin, end or a number")),
    }
}

fn out_of_range(query: &mut Query) -> Result<OutOfRange, ApiError> {
    let Some(word) = query.take("out_of_range") else { return Ok(OutOfRange::Error) };
    word.parse().map_err(|_| wrong("out_of_range", &word, "begin, end or error"))
}

impl From<FetchError> for ApiError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::PartitionNotFound(of) => {
                CatalogError::PartitionNotFound { topic: of.topic.to_string(), partition: of.partition_id }.into()
            }
            FetchError::Catalog(error) => error.into(),
            FetchError::Busy => {
                let text = "too many answers with records are under way; try again, or ask for fewer with max_bytes";
                Self::new(Code::Unavailable, text)
            }
            error if error.is_out_of_range() => Self::new(Code::OutOfRange, error.to_string()),
            error if error.kind() == common::ErrorKind::Unavailable => Self::passed_on(Code::Unavailable, &error),
            error @ FetchError::MadeAgain(_) => Self::new(Code::Conflict, error.to_string()),
            error => Self::passed_on(Code::Internal, &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(query: &str) -> Result<Start, String> {
        let mut query = Query::read(Some(query), &PARAMETERS).expect("known names");
        start(&mut query).map_err(|error| error.message)
    }

    #[test]
    fn a_place_is_an_offset_or_a_time() {
        assert_eq!(started("offset=begin"), Ok(Start::Begin));
        assert_eq!(started("offset=end"), Ok(Start::End));
        assert_eq!(started("offset=7"), Ok(Start::Offset(7)));
        let at = Position { incarnation: Incarnation(2), offset: 7 };
        assert_eq!(started("offset=7&incarnation=2"), Ok(Start::Position(at)));
        assert_eq!(started("time=1500"), Ok(Start::Time(1_500_000)));
        assert_eq!(started("time=1970-01-01T00:00:01Z"), Ok(Start::Time(1_000_000)));
        for (query, part) in [
            ("", "offset or time is missing"),
            ("offset=x", "begin, end or a whole number"),
            ("offset=-1", "begin, end or a whole number"),
            ("offset=1&time=2", "different places"),
            ("incarnation=1", "give offset too"),
            ("offset=begin&incarnation=3", "offset=\"begin\" has none"),
            ("time=1&incarnation=1", "give offset too"),
            ("time=soon", "milliseconds since 1970"),
            ("offset=99999999999999999999", "a whole number"),
        ] {
            let error = started(query).expect_err(query);
            assert!(error.contains(part), "{query}: {error}");
        }
    }

    #[test]
    fn bounds_are_named() {
        let read = |query: &str| Wanted::read(&mut Query::read(Some(query), &PARAMETERS).expect("known names"));
        let default = read("").expect("valid");
        assert_eq!(
            (default.limits.records_max, default.limits.bytes_max, default.wait),
            (500, 1 << 20, Duration::ZERO)
        );
        for (query, part) in [
            ("max_records=0", "1 to 10000"),
            ("max_records=10001", "1 to 10000"),
            ("max_bytes=16777217", "1 to 16777216"),
            ("wait_ms=30001", "0 to 30000"),
            ("binary=hex", "base64 or text"),
        ] {
            let error = read(query).expect_err(query);
            assert!(error.message.contains(part), "{error}");
        }
    }
}

//! The answer to a request with records: an entry for each, in order, and one status for all.
//!
//! Owns: the form of an entry, and the status that follows from them. Does not own: errors of whole requests (`error`).
//!
//! A status of success means that all records reached the state that was asked for. So a failure of a part is no 207: a
//! client that looks at the status alone would take that for success.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};

use super::error::{ApiError, Code, with_retry_after};
use super::metrics::count_records;

/// The codes of a record that did not reach the state that was asked for. `docs/http.md` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordCode {
    /// It is invalid, and not stored.
    InvalidRecord,
    /// It is too large for the queue, and not stored.
    TooLarge,
    /// It is valid, and was not sent, because another record of the request is not (`atomic=true`).
    NotSent,
    /// It is committed, in quarantine.
    Quarantined,
    /// It is not stored for certain.
    NotStored,
    /// It may or may not be stored.
    Unconfirmed,
    /// It is stored, and its commit was not seen in time.
    NotCommitted,
    /// It was stored, and is lost or out of reach: its topic was deleted, its partition halted or begun anew.
    Lost,
}

impl RecordCode {
    /// The code of a request with such records; the worst of them counts.
    fn of_request(self) -> Code {
        match self {
            Self::InvalidRecord | Self::TooLarge | Self::NotSent | Self::Quarantined => Code::Refused,
            Self::NotStored | Self::Unconfirmed => Code::Unavailable,
            Self::NotCommitted => Code::Timeout,
            Self::Lost => Code::Conflict,
        }
    }

    /// Its word in answers and metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRecord => "invalid_record",
            Self::TooLarge => "too_large",
            Self::NotSent => "not_sent",
            Self::Quarantined => "quarantined",
            Self::NotStored => "not_stored",
            Self::Unconfirmed => "unconfirmed",
            Self::NotCommitted => "not_committed",
            Self::Lost => "lost",
        }
    }

    /// Greater is worse: a client can do less, or knows less.
    fn rank(self) -> u8 {
        match self.of_request() {
            Code::Refused => 0,
            Code::Unavailable => 1,
            Code::Timeout => 2,
            _ => 3,
        }
    }
}

/// The place of a stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    pub(super) partition: u32,
    pub(super) offset: u64,
    /// The place in a packed message, whose records share the offset; 0, which is not shown, for a message of its own.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) record: u32,
    /// Nothing was stored now: an earlier request with the same key stored it.
    pub(super) duplicate: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(record: &u32) -> bool {
    *record == 0
}

impl Serialize for RecordCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct RecordError {
    pub(super) code: RecordCode,
    pub(super) message: Arc<str>,
}

/// The outcome of one record: its place, an error, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Outcome {
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<RecordError>,
}

impl Outcome {
    pub(super) fn stored(place: Place) -> Self {
        Self { place: Some(place), error: None }
    }

    pub(super) fn failed(code: RecordCode, message: impl Into<Arc<str>>) -> Self {
        Self { place: None, error: Some(RecordError { code, message: message.into() }) }
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    records: &'a [Outcome],
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ApiError>,
}

/// The answer. `failed` ended the request early; the records up to there are reported with it.
pub(super) fn answer(records: &[Outcome], failed: Option<ApiError>) -> Response {
    count_records(records);
    let codes = records.iter().filter_map(|record| Some(record.error.as_ref()?.code));
    let worst = codes.clone().max_by_key(|code| code.rank());
    let code = match (&failed, worst) {
        (Some(error), _) if records.is_empty() => return error.clone().into_response(),
        (Some(error), _) => Some(error.code),
        (None, worst) => worst.map(RecordCode::of_request),
    };
    let error = failed.or_else(|| {
        let (failed, all) = (codes.count(), records.len());
        code.map(|code| ApiError::new(code, format!("{failed} of {all} records failed; each has its reason")))
    });
    let status = code.map_or(StatusCode::OK, Code::status);
    let response = (status, Json(Answer { records, error })).into_response();
    match code {
        Some(code) => with_retry_after(code, response),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(codes: &[Option<RecordCode>]) -> u16 {
        let place = Place { partition: 0, offset: 5, record: 0, duplicate: false };
        let outcomes: Vec<Outcome> = codes
            .iter()
            .map(|code| code.map_or_else(|| Outcome::stored(place), |code| Outcome::failed(code, "why")))
            .collect();
        answer(&outcomes, None).status().as_u16()
    }

    #[test]
    fn success_means_every_record_and_the_worst_failure_gives_the_status() {
        use RecordCode::{InvalidRecord, Lost, NotCommitted, NotSent, NotStored, Quarantined, Unconfirmed};
        assert_eq!(status(&[]), 200);
        assert_eq!(status(&[None, None]), 200);
        assert_eq!(status(&[None, Some(InvalidRecord)]), 422);
        assert_eq!(status(&[Some(InvalidRecord), Some(NotSent)]), 422);
        assert_eq!(status(&[None, Some(Quarantined)]), 422);
        assert_eq!(status(&[Some(InvalidRecord), Some(NotStored), None]), 503);
        assert_eq!(status(&[Some(Unconfirmed), Some(InvalidRecord)]), 503);
        assert_eq!(status(&[Some(NotCommitted), Some(Unconfirmed)]), 504);
        assert_eq!(status(&[Some(Lost), Some(NotCommitted)]), 409);
    }

    #[test]
    fn entries_have_a_place_or_an_error_or_both() {
        let place = Place { partition: 1, offset: 5, record: 0, duplicate: true };
        let json = |outcome: &Outcome| serde_json::to_string(outcome).expect("serializes");
        assert_eq!(json(&Outcome::stored(place)), r#"{"partition":1,"offset":5,"duplicate":true}"#);
        let packed = Outcome::stored(Place { record: 3, duplicate: false, ..place });
        assert_eq!(json(&packed), r#"{"partition":1,"offset":5,"record":3,"duplicate":false}"#);
        let failed = Outcome::failed(RecordCode::InvalidRecord, "not JSON");
        assert_eq!(json(&failed), r#"{"error":{"code":"invalid_record","message":"not JSON"}}"#);
        let both = Outcome { place: Some(place), ..failed };
        assert!(json(&both).starts_with(r#"{"partition":1,"offset":5,"duplicate":true,"error":{"#));
    }

    #[test]
    fn a_temporary_failure_says_when_to_try_again() {
        let response = answer(&[Outcome::failed(RecordCode::Unconfirmed, "why")], None);
        assert_eq!(response.headers()["retry-after"], "1");
        let response = answer(&[Outcome::failed(RecordCode::InvalidRecord, "why")], None);
        assert!(!response.headers().contains_key("retry-after"));
        let early = answer(&[], Some(ApiError::new(Code::Unavailable, "full")));
        assert_eq!((early.status().as_u16(), &early.headers()["retry-after"]), (503, &"1".parse().expect("a value")));
    }
}

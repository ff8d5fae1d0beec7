//! The own time of each record of a request.
//!
//! Owns: the parameters that give it, and taking it out of a record. Does not own: the texts that are a time (`common`), the
//! table's column `_headers`, which shows it.

use axum::http::HeaderMap;
use common::timestamp::{TIMESTAMP_HEADER, TIMESTAMPS_ALLOWED, parse_timestamp};
use serde_json::{Map, Value};

use super::error::ApiError;
use super::parameters::{Query, one_text, wrong};

/// The source of the time of a request's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RecordTime {
    /// One for all of them, as the header's value.
    Given(String),
    /// This member of each.
    Member(String),
}

impl RecordTime {
    /// Reads `timestamp`, `timestamp_field` and the header, of which one may be given.
    ///
    /// # Errors
    /// Names the parameter and what is allowed.
    pub(super) fn read(query: &mut Query, headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let (in_query, member) = (query.take("timestamp"), query.take("timestamp_field"));
        let in_header = one_text(headers, TIMESTAMP_HEADER)?;
        if [in_query.is_some(), member.is_some(), in_header.is_some()].into_iter().filter(|is| *is).count() > 1 {
            return Err(ApiError::invalid(format!(
                "timestamp, timestamp_field and the header {TIMESTAMP_HEADER} are different ways to give a time; use one of \
                 them"
            )));
        }
        let name = if in_query.is_some() { "timestamp" } else { TIMESTAMP_HEADER };
        match (in_query.or(in_header), member) {
            (Some(text), _) => {
                let kept = parse_timestamp(&text).ok_or_else(|| wrong(name, &text, TIMESTAMPS_ALLOWED))?;
                Ok(Some(Self::Given(kept)))
            }
            (None, member) => Ok(member.map(Self::Member)),
        }
    }

    /// The value of the header for one record; `object` is absent for bytes, which have no members.
    ///
    /// # Errors
    /// The reason, as a clause for people.
    pub(super) fn of(&self, object: Option<&[u8]>) -> Result<String, String> {
        let name = match self {
            Self::Given(text) => return Ok(text.clone()),
            Self::Member(name) => name,
        };
        let members: Map<String, Value> = serde_json::from_slice(object.unwrap_or_default())
            .map_err(|error| format!("not a JSON object, which timestamp_field needs: {error}"))?;
        let text = match members.get(name) {
            None => return Err(format!("there is no member {name:?} to take the time from")),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        parse_timestamp(&text).ok_or_else(|| {
            let shown: String = text.chars().take(100).collect();
            format!("member {name:?} is {shown:?}; allowed is {TIMESTAMPS_ALLOWED}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str, header: Option<&'static str>) -> Result<Option<RecordTime>, ApiError> {
        let headers = header
            .map(|value| (axum::http::HeaderName::from_static("siltstone-timestamp"), value.parse().expect("a value")));
        let mut query = Query::read(Some(query), &["timestamp", "timestamp_field"])?;
        RecordTime::read(&mut query, &HeaderMap::from_iter(headers))
    }

    #[test]
    fn one_time_is_for_all_records_or_each_has_its_own() {
        let given = RecordTime::Given("2026-01-01T00:00:00.000Z".to_owned());
        assert_eq!(read("timestamp=1767225600000", None), Ok(Some(given.clone())));
        assert_eq!(read("", Some("2026-01-01T00:00:00Z")), Ok(Some(given.clone())));
        assert_eq!(given.of(None).as_deref(), Ok("2026-01-01T00:00:00.000Z"));
        assert_eq!(read("", None), Ok(None));
        let member = read("timestamp_field=at", None).expect("valid").expect("given");
        for object in [r#"{"at":1767225600000}"#, r#"{"x":1,"at":"2026-01-01T01:00:00+01:00"}"#] {
            assert_eq!(member.of(Some(object.as_bytes())).as_deref(), Ok("2026-01-01T00:00:00.000Z"), "{object}");
        }
    }

    #[test]
    fn wrong_times_are_refused_with_what_is_allowed() {
        for (query, header, part) in [
            ("timestamp=soon", None, "timestamp=\"soon\": allowed is a time with its zone"),
            ("", Some("2026-01-01"), "Siltstone-Timestamp=\"2026-01-01\": allowed is"),
            ("timestamp=1&timestamp_field=at", None, "different ways to give a time"),
            ("timestamp=1", Some("1"), "different ways to give a time"),
        ] {
            let error = read(query, header).expect_err(query);
            assert!(error.message.contains(part), "{error}");
        }
        let member = RecordTime::Member("at".to_owned());
        for (object, part) in [
            ("{}", "no member \"at\" to take the time from"),
            (r#"{"at":null}"#, "member \"at\" is \"null\"; allowed is"),
            (r#"{"at":1.5}"#, "member \"at\" is \"1.5\""),
            (r#"{"at":"2026-01-01"}"#, "with its zone"),
            ("[]", "not a JSON object"),
        ] {
            let reason = member.of(Some(object.as_bytes())).expect_err(object);
            assert!(reason.contains(part), "{reason}");
        }
    }
}

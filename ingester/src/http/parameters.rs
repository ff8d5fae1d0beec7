//! The parameters of publishing: those of the query, and headers.
//!
//! Owns: their names, and the texts that refuse them. Does not own: what a record is made of (`record`).

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use axum::http::HeaderMap;
use bytes::Bytes;
use common::message::Headers;
use form_urlencoded::parse;
use percent_encoding::percent_decode_str;

use super::error::ApiError;
use super::timestamp::RecordTime;
use crate::acks::Acks;
use crate::feed::MESSAGE_BYTES_MAX;

/// Message ids are made of it, which every queue takes as a header.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;

const KEY_HEADER: &str = "siltstone-key";
const IDEMPOTENCY_HEADER: &str = "idempotency-key";
/// Each header of a record is a header of the request with this before its name.
const HEADER_PREFIX: &str = "siltstone-header-";
/// Headers of the W3C's trace context, which records keep under their own names.
const TRACE_HEADERS: [&str; 2] = ["traceparent", "tracestate"];

/// The parameters by which the records of a request become messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) acks: Acks,
    /// Nothing is sent if one of the records is invalid.
    pub(super) is_atomic: bool,
    pub(super) partition: Option<u32>,
    /// The key of every record.
    pub(super) key: Option<Bytes>,
    /// The member of each record that is its key.
    pub(super) key_field: Option<String>,
    pub(super) idempotency_key: Option<String>,
    /// The own time of each record.
    pub(super) time: Option<RecordTime>,
    /// The headers of every record.
    pub(super) headers: Headers,
    /// Time since the first attempt of the request.
    pub(super) age: Option<Duration>,
}

impl Parameters {
    /// Reads the query and the headers of a request.
    ///
    /// # Errors
    /// Names the parameter or header, and what is allowed.
    pub(super) fn read(query: Option<&str>, headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut given = Query::read(
            query,
            &["acks", "age_ms", "atomic", "key", "key_field", "partition", "timestamp", "timestamp_field"],
        )?;
        let acks = given
            .take("acks")
            .map_or(Ok(Acks::Queued), |word| word.parse().map_err(|_| wrong("acks", &word, "queued or committed")))?;
        let is_atomic = match given.take("atomic").as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => return Err(wrong("atomic", other, "true or false")),
        };
        let partition = given.number("partition")?;
        let age = given.number("age_ms")?.map(|ms| Duration::from_millis(ms.into()));
        let (key_field, in_query) = (given.take("key_field"), given.take("key"));
        let in_header = one_text(headers, KEY_HEADER)?;
        if [key_field.is_some(), in_query.is_some(), in_header.is_some()].into_iter().filter(|is| *is).count() > 1 {
            let text = "key, key_field and the header Siltstone-Key are different ways to give a key; use one of them";
            return Err(ApiError::invalid(text));
        }
        Ok(Self {
            acks,
            is_atomic,
            partition,
            key: in_query.or(in_header).map(Bytes::from),
            key_field,
            idempotency_key: idempotency_key(headers)?,
            time: RecordTime::read(&mut given, headers)?,
            headers: record_headers(headers)?,
            age,
        })
    }

    /// True if they give the records keys, ids or times.
    pub(super) fn identifies_records(&self) -> bool {
        self.key.is_some() || self.key_field.is_some() || self.idempotency_key.is_some() || self.time.is_some()
    }
}

/// The parameters of a query, each given once at most.
#[derive(Debug)]
pub(super) struct Query {
    given: BTreeMap<String, String>,
}

impl Query {
    /// Takes these names and no others.
    ///
    /// # Errors
    /// A name that is unknown or given twice, or a text that is not UTF-8: it would become another one.
    pub(super) fn read(query: Option<&str>, allowed: &[&str]) -> Result<Self, ApiError> {
        let query = query.unwrap_or_default();
        if let Some(wrong) = query.split('&').find(|part| percent_decode_str(part).decode_utf8().is_err()) {
            return Err(ApiError::invalid(format!("{wrong:?} of the query is not UTF-8 when it is decoded")));
        }
        let mut given = BTreeMap::new();
        for (name, value) in parse(query.as_bytes()) {
            if !allowed.contains(&name.as_ref()) {
                let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
                return Err(ApiError::invalid(format!("parameter {name:?} is unknown; allowed is {allowed}")));
            }
            if given.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(ApiError::invalid(format!("parameter {name} is given twice")));
            }
        }
        Ok(Self { given })
    }

    /// The value of a parameter, which is then no longer here.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.given.remove(name)
    }

    /// The same for a whole number.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<u32>, ApiError> {
        self.whole(name)
    }

    /// The same for a whole number of another type.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn whole<N: FromStr>(&mut self, name: &str) -> Result<Option<N>, ApiError> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| is_digits);
        number.map(Some).ok_or_else(|| wrong(name, &text, "a whole number from 0 on"))
    }
}

pub(super) fn wrong(name: &str, value: &str, allowed: &str) -> ApiError {
    ApiError::invalid(format!("{name}={value:?}: allowed is {allowed}"))
}

/// The text of a header that is given once at most.
pub(super) fn one_text(headers: &HeaderMap, name: &str) -> Result<Option<String>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ApiError::invalid(format!("header {name} is given twice")));
    }
    text_of(name, value.as_bytes()).map(Some)
}

fn text_of(name: &str, value: &[u8]) -> Result<String, ApiError> {
    let text = std::str::from_utf8(value).ok().filter(|text| !text.contains(char::is_control));
    text.map(str::to_owned)
        .ok_or_else(|| ApiError::invalid(format!("the value of header {name} is not UTF-8 without control characters")))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(key) = one_text(headers, IDEMPOTENCY_HEADER)? else { return Ok(None) };
    let is_plain = key.bytes().all(|byte| byte.is_ascii_graphic());
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX || !is_plain {
        return Err(ApiError::invalid(format!(
            "Idempotency-Key: allowed is 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable ASCII characters without spaces"
        )));
    }
    Ok(Some(key))
}

/// The headers that every record of the request gets: names in lower case, as HTTP has them.
fn record_headers(headers: &HeaderMap) -> Result<Headers, ApiError> {
    let mut kept = Headers::new();
    let mut bytes = 0;
    for (name, value) in headers {
        let name = name.as_str();
        let kept_name = match name.strip_prefix(HEADER_PREFIX) {
            Some(given) => given,
            None if TRACE_HEADERS.contains(&name) => name,
            None => continue,
        };
        if kept_name.is_empty() || ["nats-", "siltstone-"].iter().any(|prefix| kept_name.starts_with(prefix)) {
            return Err(ApiError::invalid(format!(
                "header {name}: a record's header has a name that does not begin with Nats- or Siltstone-"
            )));
        }
        let value = text_of(name, value.as_bytes())?;
        bytes += name.len() + value.len();
        kept.push((kept_name.to_owned(), value.trim().to_owned()));
    }
    if bytes > MESSAGE_BYTES_MAX {
        return Err(ApiError::invalid("the headers are larger than a record may be"));
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).expect("a value");
        pairs.iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect()
    }

    fn read(query: &str, pairs: &[(&'static str, &str)]) -> Result<Parameters, String> {
        Parameters::read(Some(query), &headers(pairs)).map_err(|error| error.message)
    }

    #[test]
    fn without_parameters_the_queue_is_waited_for_and_nothing_is_chosen() {
        let expected = Parameters {
            acks: Acks::Queued,
            is_atomic: false,
            partition: None,
            key: None,
            key_field: None,
            idempotency_key: None,
            time: None,
            headers: Headers::new(),
            age: None,
        };
        assert_eq!(read("", &[("user-agent", "curl")]), Ok(expected.clone()));
        assert_eq!(Parameters::read(None, &HeaderMap::new()), Ok(expected));
    }

    #[test]
    fn everything_can_be_chosen() {
        let of_query = read("acks=committed&atomic=true&partition=3&key_field=customer%20id", &[]).expect("valid");
        assert_eq!((of_query.acks, of_query.is_atomic, of_query.partition), (Acks::Committed, true, Some(3)));
        assert_eq!(of_query.key_field.as_deref(), Some("customer id"));
        assert_eq!(read("age_ms=1500", &[]).expect("valid").age, Some(Duration::from_millis(1500)));
        assert_eq!(read("key=a%2Bb+c", &[]).expect("valid").key, Some(Bytes::from("a+b c")));
        let of_headers = [
            ("siltstone-key", "ü"),
            ("idempotency-key", "4f1c/7"),
            ("siltstone-header-source", "shop 1"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ];
        let of_headers = read("", &of_headers).expect("valid");
        assert_eq!(of_headers.key, Some(Bytes::from("ü")));
        assert_eq!(of_headers.idempotency_key.as_deref(), Some("4f1c/7"));
        let mut kept = of_headers.headers;
        kept.sort();
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(kept, [("source", "shop 1"), ("traceparent", trace)].map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn mistakes_are_named_with_what_is_allowed() {
        let long = "k".repeat(257);
        type Case<'a> = (&'a str, &'a [(&'static str, &'a str)], &'a [&'a str]);
        let cases: &[Case<'_>] = &[
            ("ack=queued", &[], &["\"ack\" is unknown", "acks, age_ms, atomic, key, key_field, partition, timestamp"]),
            ("acks=all", &[], &["acks=\"all\"", "queued or committed"]),
            ("atomic=1", &[], &["atomic=\"1\"", "true or false"]),
            ("partition=-1", &[], &["partition=\"-1\"", "whole number"]),
            ("acks=queued&key=%FF", &[], &["\"key=%FF\"", "not UTF-8"]),
            ("age_ms=soon", &[], &["age_ms=\"soon\"", "whole number"]),
            ("partition=%2B1", &[], &["partition=\"+1\"", "whole number"]),
            ("partition=99999999999", &[], &["partition=", "whole number"]),
            ("acks=queued&acks=queued", &[], &["acks is given twice"]),
            ("key=a&key_field=b", &[], &["different ways to give a key"]),
            ("key=a", &[("siltstone-key", "b")], &["Siltstone-Key"]),
            ("", &[("idempotency-key", "a b")], &["Idempotency-Key", "1 to 256 printable ASCII"]),
            ("", &[("idempotency-key", "")], &["Idempotency-Key"]),
            ("", &[("idempotency-key", &long)], &["Idempotency-Key"]),
            ("", &[("idempotency-key", "a"), ("idempotency-key", "b")], &["idempotency-key is given twice"]),
            ("", &[("siltstone-header-nats-msg-id", "a")], &["siltstone-header-nats-msg-id", "Nats- or Siltstone-"]),
            ("", &[("siltstone-header-siltstone-key", "a")], &["Nats- or Siltstone-"]),
            ("", &[("siltstone-header-", "a")], &["siltstone-header-"]),
        ];
        for (query, headers, parts) in cases {
            let error = read(query, headers).expect_err(query);
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
        let binary = HeaderMap::from_iter([(
            HeaderName::from_static("siltstone-key"),
            HeaderValue::from_bytes(b"\xff").expect("a value"),
        )]);
        assert!(Parameters::read(None, &binary).expect_err("binary").message.contains("not UTF-8"));
    }
}

//! `POST /v1/topics/{topic}/records`: a body of records becomes messages.
//!
//! Owns: the types of bodies, and cutting each into records. Does not own: a single record (`record`), sending (`send`).

use std::fmt;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Api;
use super::answer::answer;
use super::auto_create::{self, Found};
use super::body::{RequestBody, media_type};
use super::error::{ApiError, Code};
use super::lines::Lines;
use super::parameters::Parameters;
use super::path::TopicPath;
use super::record::{Records, UNPACK};
use super::send::{RECORDS_MAX, Sender};
use super::timestamp::RecordTime;
use crate::feed::{kind_of, without_mark};
use crate::frames::{self, FrameError, Frames};

/// The form in which a body holds records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// An object, or an array of objects, each a record.
    Json,
    /// One object per line, each a record.
    Ndjson,
    /// One record of any bytes.
    Bytes,
    /// Whole records with ids, keys and headers of their own.
    Frames,
}

impl Form {
    /// The form that the type of the body names. A body without a type is refused: a page of another origin could send it
    /// without asking first.
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let (given, kind) = media_type(headers);
        match kind.as_str() {
            "application/json" => Ok(Self::Json),
            "application/x-ndjson" | "application/jsonl" | "application/ndjson" => Ok(Self::Ndjson),
            "application/octet-stream" => Ok(Self::Bytes),
            frames::CONTENT_TYPE => Ok(Self::Frames),
            _ => Err(ApiError::new(
                Code::UnsupportedMediaType,
                format!(
                    "Content-Type {given:?} is not taken; allowed is application/json (an object or an array of \
                     objects), application/x-ndjson (an object in each line), application/octet-stream (one record) or \
                     {} (whole records)",
                    frames::CONTENT_TYPE
                ),
            )),
        }
    }
}

/// Publishes the records of a body, and answers with the outcome of each.
pub(super) async fn post(
    State(api): State<Arc<Api>>,
    TopicPath(name): TopicPath,
    request: Request,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let form = Form::of(&head.headers)?;
    let parameters = Parameters::read(head.uri.query(), &head.headers)?;
    if form == Form::Bytes && matches!(parameters.time, Some(RecordTime::Member(_))) {
        return Err(ApiError::invalid("timestamp_field needs records of JSON; give the time as `timestamp`"));
    }
    if form == Form::Bytes && parameters.key_field.is_some() {
        return Err(ApiError::invalid("key_field needs records of JSON; give the key as `key` or Siltstone-Key"));
    }
    if form == Form::Frames && parameters.identifies_records() {
        let text = "records of this type have keys, ids and times of their own; allowed are acks, age_ms, atomic and partition";
        return Err(ApiError::invalid(text));
    }
    let Found { known, planned } = auto_create::find(&api, &name).await?;
    let partition_count = known.topic.partition_count;
    if let Some(partition) = parameters.partition.filter(|partition| *partition >= partition_count) {
        let last = partition_count - 1;
        return Err(ApiError::invalid(format!("partition={partition}: topic {name} has partitions 0 to {last}")));
    }
    let mut body = RequestBody::new(&head.headers, body, api.options.body_bytes_max, &api.budget)?;
    let mut sender = Sender::new(&api, Records::new(known.topic, known.turns, parameters), planned);
    let taken = match form {
        Form::Json => take_json(&mut body, &mut sender).await,
        Form::Ndjson => take_lines(&mut body, &mut sender).await,
        Form::Bytes => take_bytes(&mut body, &mut sender).await,
        Form::Frames => take_frames(&mut body, &mut sender).await,
    };
    let (records, error) = sender.finish(taken.err()).await;
    Ok(answer(&records, error))
}

async fn take_bytes(body: &mut RequestBody, sender: &mut Sender<'_>) -> Result<(), ApiError> {
    let bytes = body.whole().await?;
    sender.add(|records, index| records.of_bytes(index, bytes)).await
}

/// Takes each line as soon as it is whole, so that a body of any length needs the memory of one part.
async fn take_lines(body: &mut RequestBody, sender: &mut Sender<'_>) -> Result<(), ApiError> {
    let mut lines = Lines::default();
    while let Some(piece) = body.next().await? {
        let read = piece.len();
        body.hold(read + lines.begun_bytes() + sender.part_bytes())?;
        lines.add(piece);
        while let Some(line) = lines.next() {
            // Short lines take more as messages than they have bytes.
            body.hold(read + sender.part_bytes())?;
            sender.add(|records, index| records.of_object(index, &line)).await?;
        }
    }
    match lines.last() {
        Some(line) => sender.add(|records, index| records.of_object(index, &line)).await,
        None => Ok(()),
    }
}

async fn take_json(body: &mut RequestBody, sender: &mut Sender<'_>) -> Result<(), ApiError> {
    let bytes = body.whole().await?;
    let bytes = bytes.slice_ref(without_mark(&bytes));
    let broken = |error: serde_json::Error| {
        let text = match kind_of(&bytes) {
            Some(kind) => format!("the body looks like {kind}, not JSON; {UNPACK}"),
            None => format!("the body is not JSON: {error}"),
        };
        ApiError::new(Code::InvalidBody, text)
    };
    if bytes.trim_ascii_start().first() != Some(&b'[') {
        serde_json::from_slice::<&RawValue>(&bytes).map_err(broken)?;
        return sender.add(|records, index| records.of_object(index, bytes.trim_ascii())).await;
    }
    let elements: Elements<'_> = serde_json::from_slice(&bytes).map_err(broken)?;
    for element in elements.first {
        body.hold(bytes.len() + sender.part_bytes())?;
        sender.add(|records, index| records.of_object(index, element.get().as_bytes())).await?;
    }
    Ok(())
}

async fn take_frames(body: &mut RequestBody, sender: &mut Sender<'_>) -> Result<(), ApiError> {
    let bytes = body.whole().await?;
    let broken = |error: FrameError| ApiError::new(Code::InvalidBody, format!("the body: {error}"));
    for record in Frames::new(&bytes).map_err(broken)? {
        let record = record.map_err(broken)?;
        sender.add(|records, _| records.of_message(record)).await?;
    }
    Ok(())
}

/// The elements of an array, and no more than can be sent: there may be as many as the body has bytes.
struct Elements<'b> {
    /// One more than the limit if there are too many.
    first: Vec<&'b RawValue>,
}

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Elements<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
                let mut first = Vec::new();
                while first.len() <= RECORDS_MAX {
                    let Some(element) = elements.next_element()? else { return Ok(Elements { first }) };
                    first.push(element);
                }
                while elements.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Elements { first })
            }
        }
        deserializer.deserialize_seq(Collect)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;

    fn form(content_type: &str) -> Result<Form, ApiError> {
        Form::of(&HeaderMap::from_iter([(header::CONTENT_TYPE, content_type.parse().expect("a value"))]))
    }

    #[test]
    fn the_type_of_a_body_says_how_it_holds_records() {
        assert_eq!(form("application/json"), Ok(Form::Json));
        assert_eq!(form("Application/JSON; charset=utf-8"), Ok(Form::Json));
        assert_eq!(form("application/x-ndjson"), Ok(Form::Ndjson));
        assert_eq!(form("application/octet-stream"), Ok(Form::Bytes));
        assert_eq!(form("application/vnd.siltstone.records"), Ok(Form::Frames));
        for other in ["text/plain", "application/x-www-form-urlencoded", "json", ""] {
            let error = form(other).expect_err(other);
            assert_eq!(error.code, Code::UnsupportedMediaType);
            assert!(error.message.contains("application/x-ndjson"), "{error}");
        }
        assert!(Form::of(&HeaderMap::new()).is_err(), "a type is needed");
    }

    #[test]
    fn the_elements_of_an_array_are_taken_as_they_are_written() {
        let text = br#" [ {"a": 1.50} , [2], "x" ] "#;
        let elements: Elements<'_> = serde_json::from_slice(text).expect("an array");
        let texts: Vec<&str> = elements.first.iter().map(|element| element.get()).collect();
        assert_eq!(texts, [r#"{"a": 1.50}"#, "[2]", r#""x""#]);
        assert!(serde_json::from_slice::<Elements<'_>>(b"[1,").is_err());
        assert!(serde_json::from_slice::<Elements<'_>>(b"[1] x").is_err());
        let many = format!("[{}1]", "1,".repeat(RECORDS_MAX + 5));
        let elements: Elements<'_> = serde_json::from_slice(many.as_bytes()).expect("an array");
        assert_eq!(elements.first.len(), RECORDS_MAX + 1);
    }
}

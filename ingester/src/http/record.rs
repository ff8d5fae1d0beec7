//! A record on its way to its partition: its message, or the reason why it is none.
//!
//! Owns: checking one record, its key, its id and its partition. Does not own: cutting a body into records (`records`),
//! sending (`send`).

use std::sync::Arc;

use bytes::Bytes;
use catalog::Topic;
use common::OutgoingMessage;
use common::message::Headers;
use common::packing;
use common::partitioner::RoundRobin;
use common::timestamp::TIMESTAMP_HEADER;
use common::topic::Format;

use super::parameters::Parameters;
use crate::acks::Acks;
use crate::feed::{LineProblem, MESSAGE_BYTES_MAX, check_object, key_of};

/// Makes the messages of one request.
pub(super) struct Records {
    topic: Arc<Topic>,
    turns: Arc<RoundRobin>,
    parameters: Parameters,
    /// The partition of all records that have no key, where one is given or derived.
    partition: Option<u32>,
}

impl Records {
    /// A retry must find the partition again that knows the message ids. So the records of a request with an idempotency
    /// key, and without keys of their own, go to one partition, which that key gives.
    pub(super) fn new(topic: Arc<Topic>, turns: Arc<RoundRobin>, parameters: Parameters) -> Self {
        let derived = parameters
            .idempotency_key
            .as_ref()
            .map(|key| topic.config.partitioner.partition_of(key.as_bytes(), topic.partition_count));
        Self { partition: parameters.partition.or(derived), topic, turns, parameters }
    }

    pub(super) fn topic(&self) -> &Topic {
        &self.topic
    }

    pub(super) fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The message of a JSON object, with its partition. It must be UTF-8 throughout, which the check alone does not see.
    ///
    /// # Errors
    /// The reason, as a clause for people.
    pub(super) fn of_object(&self, index: usize, object: &[u8]) -> Result<(u32, OutgoingMessage), String> {
        let key = match &self.parameters.key_field {
            Some(field) => Some(key_of(object, field).map_err(|problem| told(&problem))?),
            None => None,
        };
        match (check_object(object), std::str::from_utf8(object)) {
            (Err(problem @ LineProblem::OtherKind { .. }), _) => return Err(told(&problem)),
            (_, Err(error)) => return Err(format!("not UTF-8: {error}")),
            (checked, Ok(_)) => checked.map_err(|problem| told(&problem))?,
        }
        let time = self.time_of(Some(object))?;
        self.message(index, key, time, self.on_one_line(object))
    }

    /// The message of bytes that are taken as they are.
    ///
    /// # Errors
    /// As [`Records::of_object`].
    pub(super) fn of_bytes(&self, index: usize, bytes: Bytes) -> Result<(u32, OutgoingMessage), String> {
        let time = self.time_of(None)?;
        self.message(index, None, time, bytes)
    }

    /// The message of a whole record, as it is but for the request's headers, which come behind its own. Without a key, its
    /// id gives the partition: a repetition must find the id there.
    ///
    /// # Errors
    /// As [`Records::of_object`].
    pub(super) fn of_message(&self, mut record: OutgoingMessage) -> Result<(u32, OutgoingMessage), String> {
        if record.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(packing::HEADER)) {
            return Err(format!(
                "a record has no header {}: the service sends each as a message of its own",
                packing::HEADER
            ));
        }
        record.headers.extend(self.parameters.headers.iter().cloned());
        record.is_awaited |= self.parameters.acks == Acks::Committed;
        let key_bytes = record.key.as_ref().map_or(0, Bytes::len);
        check_size(record.payload.len() + key_bytes + bytes_of(&record.headers))?;
        let key = record.key.as_deref().or(record.message_id.as_deref().map(str::as_bytes));
        Ok((self.partition_of(key), record))
    }

    /// A row of a text topic is a line; between the tokens of JSON a blank means the same as a line break. The copy does not
    /// keep the rest of the body in memory.
    fn on_one_line(&self, object: &[u8]) -> Bytes {
        let mut bytes = object.to_vec();
        if self.topic.config.format == Format::Text {
            bytes.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        }
        bytes.into()
    }

    /// The header with the record's own time.
    fn time_of(&self, object: Option<&[u8]>) -> Result<Option<(String, String)>, String> {
        let text = self.parameters.time.as_ref().map(|time| time.of(object)).transpose()?;
        Ok(text.map(|text| (TIMESTAMP_HEADER.to_owned(), text)))
    }

    fn message(
        &self,
        index: usize,
        key: Option<Bytes>,
        time: Option<(String, String)>,
        payload: Bytes,
    ) -> Result<(u32, OutgoingMessage), String> {
        let key = key.or_else(|| self.parameters.key.clone());
        let headers: Headers = self.parameters.headers.iter().cloned().chain(time).collect();
        let bytes = payload.len() + key.as_ref().map_or(0, Bytes::len) + bytes_of(&headers);
        check_size(bytes)?;
        let partition = self.partition_of(key.as_deref());
        let message_id = self.message_id(partition, index);
        let is_awaited = self.parameters.acks == Acks::Committed;
        Ok((partition, OutgoingMessage { message_id, key, headers, payload, is_awaited }))
    }

    /// The id of a record under the request's key. Topic and partition are in it, since several of them may lie in one stream,
    /// which knows its ids by themselves alone.
    fn message_id(&self, partition: u32, index: usize) -> Option<String> {
        let key = self.parameters.idempotency_key.as_ref()?;
        Some(format!("http/{}/{partition}/{key}/{index}", self.topic.name.encoded()))
    }

    fn partition_of(&self, key: Option<&[u8]>) -> u32 {
        let topic = &self.topic;
        match (self.parameters.partition, key, self.partition) {
            (Some(chosen), ..) => chosen,
            (None, Some(key), _) => topic.config.partitioner.partition_of(key, topic.partition_count),
            (None, None, Some(derived)) => derived,
            (None, None, None) => self.turns.next(topic.partition_count),
        }
    }
}

fn check_size(bytes: usize) -> Result<(), String> {
    if bytes > MESSAGE_BYTES_MAX {
        return Err(format!("the record has {bytes} bytes; allowed are {MESSAGE_BYTES_MAX}"));
    }
    Ok(())
}

fn bytes_of(headers: &Headers) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// What to do about data that is packed, or is in another encoding.
pub(super) const UNPACK: &str =
    "Content-Encoding: gzip or zstd says so of packed data; send other data as JSON in UTF-8";

/// The problem with its cause, or with what to do.
fn told(problem: &LineProblem) -> String {
    use std::error::Error;
    match problem {
        LineProblem::OtherKind { .. } => return format!("{problem}; {UNPACK}"),
        LineProblem::Unfinished { .. } => return format!("{problem}; application/json takes one over several lines"),
        _ => {}
    }
    problem.source().map_or_else(|| problem.to_string(), |cause| format!("{problem}: {cause}"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use common::TopicName;
    use common::topic::TopicOptions;

    use super::*;

    fn records(query: &str, idempotency_key: Option<&str>, format: Format) -> Records {
        let headers = idempotency_key
            .map(|key| (axum::http::HeaderName::from_static("idempotency-key"), key.parse().expect("a value")));
        let parameters = Parameters::read(Some(query), &HeaderMap::from_iter(headers)).expect("valid");
        let topic = Topic {
            name: TopicName::new("orders").expect("valid"),
            partition_count: 7,
            retention_ms: None,
            config: TopicOptions { format, ..TopicOptions::default() },
            schema_version: 1,
            created_at: 0,
            updated_at: 0,
        };
        Records::new(Arc::new(topic), Arc::default(), parameters)
    }

    #[test]
    fn an_object_is_a_message_as_it_is_written() {
        let records = records("acks=committed", None, Format::Json);
        let (_, message) = records.of_object(0, b"{ \"a\":\n1 }").expect("valid");
        assert_eq!((message.payload.as_ref(), message.key, message.message_id), (&b"{ \"a\":\n1 }"[..], None, None));
        assert!(message.is_awaited);
    }

    #[test]
    fn a_whole_record_keeps_its_id_key_and_headers() {
        let record = OutgoingMessage::new("x").with_key("k").with_message_id("i");
        let (partition, message) = records("partition=3", None, Format::Raw).of_message(record.clone()).expect("valid");
        assert_eq!((partition, &message), (3, &record));
        let awaited = records("acks=committed", None, Format::Raw).of_message(record.clone()).expect("valid").1;
        assert_eq!(awaited, record.awaited());
        let without_key = OutgoingMessage::new("x").with_message_id("i");
        let partition = records("", None, Format::Raw).of_message(without_key).expect("valid").0;
        assert_eq!(partition, common::partitioner::Partitioner::Siphash.partition_of(b"i", 7), "a retry finds the id");
        let large = OutgoingMessage::new(vec![0; MESSAGE_BYTES_MAX]).with_key("k");
        assert!(records("", None, Format::Raw).of_message(large).expect_err("too large").contains("67108865 bytes"));
    }

    #[test]
    fn an_object_is_one_line_of_a_text_topic() {
        let (_, message) = records("", None, Format::Text).of_object(0, b"{\"a\":\r\n\"x\\n\"}").expect("valid");
        assert_eq!(message.payload.as_ref(), b"{\"a\":  \"x\\n\"}");
    }

    #[test]
    fn a_record_that_is_no_object_or_has_no_key_is_refused_with_the_reason() {
        let records = records("key_field=id", None, Format::Json);
        for (object, reason) in [
            ("{\"id\":", "not JSON: the object does not end in this line"),
            ("{\"id\" 1}", "not JSON, which a key needs: expected `:`"),
            ("[]", "no member \"id\""),
            ("{}", "no member \"id\""),
            ("{\"id\":null}", "no string, number or boolean"),
        ] {
            let error = records.of_object(0, object.as_bytes()).expect_err(object);
            assert!(error.contains(reason), "{error}");
        }
        let unkeyed = super::tests::records("", None, Format::Raw);
        assert_eq!(unkeyed.of_object(0, b"[1]").expect_err("an array"), "not a JSON object");
        assert!(unkeyed.of_object(0, b"{\"a\" 1}").expect_err("broken").starts_with("not JSON: expected `:`"));
    }

    #[test]
    fn ids_are_those_of_the_request_and_the_index_and_records_without_keys_share_a_partition() {
        let with_id = records("", Some("k-1"), Format::Json);
        let made: Vec<_> = (0..20).map(|index| with_id.of_object(index, b"{}").expect("valid")).collect();
        let id = format!("http/orders/{}/k-1/3", made[3].0);
        assert_eq!(made[3].1.message_id, Some(id), "another topic or partition of the same stream has ids of its own");
        assert!(made.iter().all(|(partition, _)| *partition == made[0].0), "a retry finds the ids again");
        let again = records("", Some("k-1"), Format::Json).of_object(0, b"{}").expect("valid").0;
        assert_eq!(again, made[0].0);
        let partitions = (0..50).map(|n| {
            let records = records("", Some(&format!("k-{n}")), Format::Json);
            records.of_object(0, b"{}").expect("valid").0
        });
        assert!(partitions.collect::<std::collections::BTreeSet<_>>().len() > 3, "requests are spread");
        let keyed = records("key_field=id", Some("k-1"), Format::Json);
        let partition = |n: u32| keyed.of_object(0, format!("{{\"id\":{n}}}").as_bytes()).expect("valid").0;
        assert!((1..20).any(|n| partition(n) != partition(0)), "keys are spread");
    }

    #[test]
    fn an_explicit_partition_wins_and_records_without_anything_take_turns() {
        let chosen = records("partition=5&key=a", Some("k"), Format::Json);
        assert_eq!(chosen.of_bytes(0, Bytes::from_static(b"x")).expect("valid").0, 5);
        let turns = records("", None, Format::Json);
        let mut taken: Vec<u32> = (0..7).map(|n| turns.of_bytes(n, Bytes::new()).expect("valid").0).collect();
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_record_beyond_the_largest_message_is_refused_by_its_size() {
        let records = records("key=abc", None, Format::Raw);
        let error = records.of_bytes(0, vec![0; MESSAGE_BYTES_MAX - 2].into()).expect_err("one byte too many");
        assert!(error.contains("67108865 bytes") && error.contains("67108864"), "{error}");
        assert!(records.of_bytes(0, vec![0; MESSAGE_BYTES_MAX - 3].into()).is_ok());
    }
}

//! Samples: a file of JSON, or the first messages of streams.
//!
//! Owns: the limits of a sample, and the place of each record in it. Does not own: records and types (`writer::infer`).

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use catalog::TopicConfig;
use common::topic::{Format, TopicOptions};
use common::{Message, Queue, TopicPartition};
use serde_json::value::RawValue;
use writer::infer::SampledMessage;

use crate::commands::topic::beginning::{self, Beginning};
use crate::input::read_text;
use crate::output::{self, UsageError};
use crate::units::count_text;

/// Most bytes of payloads of a sample from streams: as many as a file may have.
const BYTES_MAX: usize = 16 << 20;
/// Offsets of one read.
const READ_OFFSETS: u64 = 1_000;

/// A sample.
#[derive(Debug)]
pub(super) struct Sample {
    /// Its messages.
    pub(super) messages: Vec<SampledMessage>,
    /// Its name in the answer and in errors.
    pub(super) name: String,
}

/// The values of a file: objects one after the other, each on a line or on several, or arrays of them.
///
/// # Errors
/// The file cannot be read or is too long, or the line and the reason of what is no JSON.
pub(super) fn of_file(path: &Path) -> Result<Sample, UsageError> {
    let name = path.display().to_string();
    let text = if name == "-" {
        read_text(std::io::stdin().lock(), "--infer -")
    } else {
        let file = File::open(path).map_err(|error| UsageError::new(format!("--infer {name}: {error}")))?;
        read_text(file, &format!("--infer {name}"))
    };
    let text = text.map_err(|error| {
        let text = error.to_string();
        let hint =
            if text.contains("longer than") { "; a part is enough: head -n 10000 gives its first lines" } else { "" };
        UsageError::new(format!("{text}{hint}"))
    })?;
    let name = if name == "-" { "(standard input)".to_owned() } else { name };
    let messages = messages_of(&text).map_err(|error| UsageError::new(format!("{name}: {error}")))?;
    Ok(Sample { messages, name })
}

/// Each value of `text`, and each element of an array, as a message.
fn messages_of(text: &str) -> Result<Vec<SampledMessage>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = Lines { text, at: 0, line: 1 };
    let mut messages = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let value = value.map_err(|error| located(&error))?;
        if !value.get().starts_with('[') {
            messages.push(lines.message(value));
            continue;
        }
        let elements: Vec<&RawValue> = serde_json::from_str(value.get()).map_err(|error| located(&error))?;
        for element in elements {
            let message = lines.message(element);
            if element.get().starts_with('[') {
                return Err(format!("{}: an array inside of an array; an element is an object", message.place));
            }
            messages.push(message);
        }
    }
    Ok(messages)
}

/// Counts the lines of a text up to values that are parts of it, in their order.
struct Lines<'t> {
    text: &'t str,
    at: usize,
    line: usize,
}

impl<'t> Lines<'t> {
    fn message(&mut self, value: &'t RawValue) -> SampledMessage {
        // The value borrows from the text, so that its place is the distance of the two.
        let at = (value.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let between = self.text.as_bytes().get(self.at..at).unwrap_or_default();
        self.line += between.iter().filter(|byte| **byte == b'\n').count();
        self.at = self.at.max(at);
        let payload = Bytes::copy_from_slice(value.get().as_bytes());
        SampledMessage { place: format!("line {}", self.line), payload, ..SampledMessage::default() }
    }
}

/// The error with its line before its reason.
fn located(error: &serde_json::Error) -> String {
    format!("line {}, column {}: {}", error.line(), error.column(), without_position(&error.to_string()))
}

/// A parser's reason without the position that it ends with, which counts inside of one message.
pub(super) fn without_position(reason: &str) -> &str {
    reason.rsplit_once(" at line ").map_or(reason, |(reason, _)| reason)
}

/// The first `count` messages of each stream that the topic is to read.
///
/// # Errors
/// The streams cannot be read, or hold nothing.
pub(super) async fn of_streams(
    count: u64,
    config: &TopicConfig,
    beginning: Option<Beginning>,
    queue: &dyn Queue,
) -> anyhow::Result<Sample> {
    let mut definition = config.definition();
    // Without a format, for which columns are still missing.
    definition.options =
        TopicOptions { format: Format::Raw, streams: definition.options.streams, ..TopicOptions::default() };
    match beginning {
        Some(beginning) => definition.options = beginning::settle(beginning, &definition, queue).await?,
        None => queue.open_topic(&definition, None, &[]).await.context("the streams cannot be looked at")?,
    }
    let streams: Vec<&str> = definition.options.streams.iter().map(|bound| bound.stream.as_str()).collect();
    let mut sample = Sample { messages: Vec::new(), name: streams.join(", ") };
    let bytes_max = BYTES_MAX / streams.len().max(1);
    for (partition_id, bound) in (0..).zip(&definition.options.streams) {
        let partition = TopicPartition::new(definition.name.clone(), partition_id);
        let stream = if streams.len() > 1 { format!("{} ", bound.stream) } else { String::new() };
        for message in first_messages(queue, &partition, bound.from_offset, (count, bytes_max)).await? {
            let place = format!("{stream}offset {}", message.offset);
            sample.messages.push(SampledMessage { place, headers: message.headers, payload: message.payload });
        }
    }
    if sample.messages.is_empty() {
        let text = format!("{}: no message, from which columns could be inferred", sample.name);
        return Err(UsageError::new(text).into());
    }
    Ok(sample)
}

/// The first messages of a stream, or those from an offset on, up to the limits.
async fn first_messages(
    queue: &dyn Queue,
    partition: &TopicPartition,
    from_offset: Option<u64>,
    (count, bytes_max): (u64, usize),
) -> anyhow::Result<Vec<Message>> {
    let bounds = queue.bounds(partition).await?;
    let mut from = from_offset.unwrap_or(0).max(bounds.first_offset);
    let (mut messages, mut bytes) = (Vec::new(), 0);
    while from < bounds.next_offset && (messages.len() as u64) < count {
        let wanted = READ_OFFSETS.min(count - messages.len() as u64);
        let to = from.saturating_add(wanted).min(bounds.next_offset);
        for message in queue.read(partition, from, to).await? {
            bytes += message.payload.len();
            if bytes > bytes_max {
                let taken = count_text(messages.len() as u64);
                output::note(&format!("{partition}: the sample ends after {taken} messages, at {bytes_max} bytes"));
                return Ok(messages);
            }
            messages.push(message);
        }
        from = to;
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<String> {
        messages_of(text).expect("JSON").into_iter().map(|message| message.place).collect()
    }

    #[test]
    fn every_record_of_a_file_has_its_line() {
        assert_eq!(places("{}\n\n{} {}\r\n{\n}\n{}"), ["line 1", "line 3", "line 3", "line 4", "line 6"]);
        assert_eq!(places("\u{feff}[\n  {},\n  {}\n]\n[{}]\n"), ["line 2", "line 3", "line 5"]);
        assert_eq!(places(" \n"), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_json_is_named_with_its_line() {
        for (text, part) in [
            ("{}\n{\"a\":}\n", "line 2, column 6: expected value"),
            ("[{},\n{}\n", "line 3, column 0: EOF while parsing a list"),
            ("{}\n[[{}]]", "line 2: an array inside of an array"),
        ] {
            let error = messages_of(text).expect_err(text);
            assert!(error.contains(part), "{error}");
        }
    }
}

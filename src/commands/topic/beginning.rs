//! The place in an existing stream at which a new topic begins.
//!
//! Owns: the words for it, and finding the offset that they mean now. Does not own: beginning there (the writer), the
//! options that keep it (`common::topic`).

use anyhow::Context;
use chrono::DateTime;
use common::topic::TopicOptions;
use common::{Queue, TopicDefinition, TopicPartition};

use crate::output::UsageError;

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// At the first message held.
    First,
    /// Behind the last message held.
    End,
    /// At this offset.
    At(u64),
    /// At the first message that was stored at this time or later, microseconds UTC.
    Time(i64),
}

/// Reads `begin`, `end`, an offset, or a time in RFC 3339.
pub(crate) fn parse_beginning(text: &str) -> Result<Beginning, String> {
    match text {
        "begin" => return Ok(Beginning::First),
        "end" => return Ok(Beginning::End),
        _ => {}
    }
    if let Ok(offset) = text.parse() {
        return Ok(Beginning::At(offset));
    }
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| Beginning::Time(time.timestamp_micros())).map_err(|_| {
        format!("{text:?} is none of begin, end, an offset (sequence) or a time such as 2026-01-31T00:00:00Z")
    })
}

/// Writes into the options where each stream is begun. The queue must serve them, but the topic need not exist.
pub(super) async fn settle(
    beginning: Beginning,
    definition: &TopicDefinition,
    queue: &dyn Queue,
) -> anyhow::Result<TopicOptions> {
    let mut options = definition.options.clone();
    queue.open_topic(definition, None, &[]).await.context("the streams cannot be looked at")?;
    for (bound, partition_id) in options.streams.iter_mut().zip(0..) {
        let partition = TopicPartition::new(definition.name.clone(), partition_id);
        bound.from_offset = offset_of(beginning, &partition, queue).await?;
    }
    Ok(options)
}

/// `None` for the first message.
async fn offset_of(beginning: Beginning, partition: &TopicPartition, queue: &dyn Queue) -> anyhow::Result<Option<u64>> {
    let bounds = queue.bounds(partition).await?;
    let (first, next) = (bounds.first_offset, bounds.next_offset);
    Ok(match beginning {
        Beginning::First => None,
        Beginning::End => Some(next),
        Beginning::At(offset) if offset <= next => Some(offset),
        Beginning::At(offset) => {
            let text =
                format!("--from {offset}: the stream's next message gets offset {next}; the last place is `end`");
            return Err(UsageError::new(text).into());
        }
        Beginning::Time(time_us) => Some(first_at(time_us, (first, next), partition, queue).await?),
    })
}

/// The offset of the first message stored at this time or later; the end if there is none. Messages are in the order
/// of their times, and offsets may be missing.
async fn first_at(
    time_us: i64,
    (first, next): (u64, u64),
    partition: &TopicPartition,
    queue: &dyn Queue,
) -> anyhow::Result<u64> {
    let (mut low, mut high) = (first, next);
    while low < high {
        let middle = low + (high - low) / 2;
        match held_from(middle, high, partition, queue).await? {
            // Nothing is held from the middle on: the answer is before it, or is the end.
            None => high = middle,
            Some((_, stored_us)) if stored_us >= time_us => high = middle,
            Some((offset, _)) => low = offset + 1,
        }
    }
    // The first message held from there on; what lies between is missing.
    Ok(held_from(low, next, partition, queue).await?.map_or(next, |(offset, _)| offset))
}

/// Offset and time of the first message in this range that the queue holds. Asks for few at a time: payloads come along.
async fn held_from(
    from: u64,
    to: u64,
    partition: &TopicPartition,
    queue: &dyn Queue,
) -> anyhow::Result<Option<(u64, i64)>> {
    let (mut from, mut count) = (from, 1);
    while from < to {
        let end = from.saturating_add(count).min(to);
        if let Some(message) = queue.read(partition, from, end).await?.first() {
            return Ok(Some((message.offset, message.timestamp_us)));
        }
        (from, count) = (end, count * 2);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use common::queue::memory::InMemoryQueue;
    use common::{OutgoingMessage, TopicName};

    use super::*;

    #[test]
    fn beginnings_are_read_as_written() {
        for (text, beginning) in [
            ("begin", Beginning::First),
            ("end", Beginning::End),
            ("17", Beginning::At(17)),
            ("1970-01-01T00:00:02Z", Beginning::Time(2_000_000)),
        ] {
            assert_eq!(parse_beginning(text), Ok(beginning));
        }
        for text in ["", "first", "-1", "yesterday", "2026-01-31"] {
            assert!(parse_beginning(text).expect_err(text).contains("begin, end, an offset"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_time_is_the_first_message_that_is_not_older() {
        let queue = InMemoryQueue::new(1 << 20);
        let topic = TopicDefinition::new(TopicName::new("t").expect("valid"), 1);
        queue.create_topic(&topic).await.expect("made");
        let id = TopicPartition::new(topic.name.clone(), 0);
        assert_eq!(offset_of(Beginning::Time(0), &id, &queue).await.expect("empty"), Some(0));
        for _ in 0..9 {
            queue.publish(&id, vec![OutgoingMessage::new(bytes::Bytes::from_static(b"x"))]).await.expect("stored");
        }
        let times: Vec<i64> =
            queue.read(&id, 0, 9).await.expect("read").iter().map(|message| message.timestamp_us).collect();
        for time_us in [0, times[0], times[4], times[8], times[8] + 1] {
            let expected = times.iter().position(|stored| *stored >= time_us).unwrap_or(9) as u64;
            assert_eq!(offset_of(Beginning::Time(time_us), &id, &queue).await.expect("found"), Some(expected));
        }
        assert_eq!(offset_of(Beginning::End, &id, &queue).await.expect("found"), Some(9));
        assert_eq!(offset_of(Beginning::First, &id, &queue).await.expect("found"), None);
        let beyond = offset_of(Beginning::At(10), &id, &queue).await.expect_err("beyond the end").to_string();
        assert!(beyond.contains("next message gets offset 9"), "{beyond}");
    }
}

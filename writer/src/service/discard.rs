//! Discard: the margin before the queue discards uncommitted messages.
//!
//! Owns: the margin that a stream's own limits leave, and the judgement that it is too small, before anything is lost.
//! The judgement is a plain function. Does not own: the gap that the pipeline records after a loss.

use std::time::Duration;

use common::queue::{Bounds, DiscardLimits};
use common::{Queue, TopicPartition};

/// Below this fraction of a limit (a tenth), the margin is small.
const SMALL_PART: u64 = 10;
/// Above this fraction of the age limit (four fifths), an uncommitted message is old.
const OLD_PART: f64 = 0.8;

/// The room and time left before the queue discards an uncommitted message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Margin {
    /// Messages that may still be published; `None` without a limit on messages or bytes. An estimate if bytes are
    /// limited, and too low if offsets are not dense.
    pub(crate) messages: Option<u64>,
    /// Time left; `None` without a limit on age.
    pub(crate) time: Option<Duration>,
    /// The reason why the margin is too small, as a text; `None` if it is not.
    pub(crate) warning: Option<String>,
}

/// Judges one look at the queue; `oldest_us` is the queue time of the oldest uncommitted message.
pub(crate) fn margin(bounds: &Bounds, high_watermark: u64, oldest_us: Option<i64>, now_us: i64) -> Margin {
    let Some(limits) = &bounds.limits else { return Margin::default() };
    let first_needed = high_watermark.max(bounds.first_offset);
    let uncommitted = bounds.next_offset.saturating_sub(first_needed);
    let mut margin = Margin::default();
    if let Some((room_max, limit)) = room(limits) {
        let left = room_max.saturating_sub(uncommitted);
        margin.messages = Some(left);
        if uncommitted > 0 && left < room_max.div_ceil(SMALL_PART) {
            margin.warning = Some(format!(
                "{uncommitted} messages are not committed, and the stream discards the oldest after about {left} more \
                 ({limit})"
            ));
        }
    }
    if let Some(age_max) = limits.age_max {
        let age = oldest_us.map_or(Duration::ZERO, |oldest_us| {
            Duration::from_micros(now_us.saturating_sub(oldest_us).max(0).unsigned_abs())
        });
        margin.time = Some(age_max.saturating_sub(age));
        if uncommitted > 0 && age > age_max.mul_f64(OLD_PART) {
            margin.warning.get_or_insert_with(|| {
                format!(
                    "the oldest of {uncommitted} messages that are not committed is {} s old, and the stream discards it \
                     at {} s (max_age)",
                    age.as_secs(),
                    age_max.as_secs()
                )
            });
        }
    }
    margin
}

/// Messages that the stream can hold by the limit that it reaches first, and the text of that limit.
fn room(limits: &DiscardLimits) -> Option<(u64, String)> {
    let by_messages = limits.messages_max.map(|max| (max, format!("max_msgs {max}")));
    let by_bytes = limits.bytes_max.filter(|_| limits.messages > 0).map(|max| {
        let each = (limits.bytes / limits.messages).max(1);
        (max / each, format!("max_bytes {max}, about {each} bytes a message"))
    });
    by_messages.into_iter().chain(by_bytes).min_by_key(|(room, _)| *room)
}

/// The uncommitted messages of a partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uncommitted {
    /// Everything below is committed.
    pub(crate) high_watermark: u64,
    /// Queue time of the oldest fetched message, if there is one.
    pub(crate) fetched_us: Option<i64>,
}

/// The queue time of the oldest uncommitted message. The message is read only if its age can matter; else this is the
/// time of the oldest message held, which is no later.
pub(crate) async fn oldest_us(
    queue: &dyn Queue,
    partition: &TopicPartition,
    uncommitted: Uncommitted,
    bounds: &Bounds,
    now_us: i64,
) -> Option<i64> {
    let limits = bounds.limits.as_ref()?;
    let age_max_us = i64::try_from(limits.age_max?.as_micros()).unwrap_or(i64::MAX);
    let first = uncommitted.high_watermark.max(bounds.first_offset);
    if first >= bounds.next_offset {
        return None;
    }
    let held_us = limits.first_timestamp_us;
    if (now_us.saturating_sub(held_us) as f64) <= age_max_us as f64 * OLD_PART {
        return Some(held_us);
    }
    if uncommitted.fetched_us.is_some() {
        return uncommitted.fetched_us;
    }
    let read = queue.read(partition, first, first + 1).await.ok().and_then(|messages| messages.first().cloned());
    Some(read.map_or(held_us, |message| message.timestamp_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(first_offset: u64, next_offset: u64, limits: DiscardLimits) -> Bounds {
        Bounds {
            first_offset,
            next_offset,
            history: String::new(),
            limits: Some(limits),
            created_us: None,
            duplicate_window: None,
            omits: None,
        }
    }

    fn thousand_messages() -> DiscardLimits {
        DiscardLimits { messages: 1_000, messages_max: Some(1_000), ..DiscardLimits::default() }
    }

    #[test]
    fn a_full_stream_is_no_danger_while_the_watermark_keeps_up() {
        let found = margin(&bounds(5_001, 6_001, thousand_messages()), 5_990, None, 0);
        assert_eq!((found.messages, found.warning), (Some(989), None));
        let found = margin(&bounds(5_001, 6_001, thousand_messages()), 6_001, None, 0);
        assert_eq!((found.messages, found.warning), (Some(1_000), None));
    }

    #[test]
    fn the_warning_comes_before_the_first_sequence_reaches_the_watermark() {
        let at = |high_watermark| margin(&bounds(5_001, 6_001, thousand_messages()), high_watermark, None, 0);
        assert_eq!(at(5_101).warning, None);
        let near = at(5_100);
        assert_eq!(near.messages, Some(99));
        let words = near.warning.expect("less than a tenth is left");
        assert!(
            words.contains("901 messages") && words.contains("99 more") && words.contains("max_msgs 1000"),
            "{words}"
        );
        assert_eq!(at(4_000).messages, Some(0), "something was discarded already");
    }

    #[test]
    fn bytes_are_counted_in_messages_of_average_size() {
        let limits = DiscardLimits { bytes: 80_000, bytes_max: Some(100_000), ..thousand_messages() };
        let limits = DiscardLimits { messages_max: None, ..limits };
        let found = margin(&bounds(1, 1_001, limits), 1, None, 0);
        assert_eq!((found.messages, found.warning), (Some(250), None));
        let full = DiscardLimits { bytes: 95_000, ..limits };
        assert!(margin(&bounds(1, 1_001, full), 1, None, 0).warning.expect("near").contains("max_bytes 100000"));
        let both = DiscardLimits { messages_max: Some(1_010), ..limits };
        assert!(margin(&bounds(1, 1_001, both), 1, None, 0).warning.expect("near").contains("max_msgs"));
    }

    #[test]
    fn a_message_near_its_age_limit_is_warned_of_while_it_is_not_committed() {
        let limits =
            DiscardLimits { messages: 10, age_max: Some(Duration::from_secs(100)), ..DiscardLimits::default() };
        let at = |high_watermark, oldest_us| margin(&bounds(1, 11, limits), high_watermark, oldest_us, 90_000_000);
        assert!(at(5, Some(0)).warning.expect("90 of 100 s").contains("90 s old"));
        assert_eq!(at(5, Some(0)).time, Some(Duration::from_secs(10)));
        assert_eq!(at(5, Some(11_000_000)).warning, None, "79 s");
        assert_eq!(at(11, None).warning, None, "nothing is left to lose");
    }

    #[test]
    fn a_queue_without_limits_has_no_margin() {
        let free = Bounds { limits: None, ..bounds(1, 11, DiscardLimits::default()) };
        assert_eq!(margin(&free, 1, None, 0), Margin::default());
    }
}

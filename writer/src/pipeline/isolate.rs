//! Isolate: how a partition is read after its owners died, so that a message that kills its reader is found, kept in
//! quarantine and passed.
//!
//! Owns: how careful to be at an offset, and which message is condemned. Plain decisions.
//! Does not own: reading and encoding (`assemble`), the count of deaths (the catalog's).
//!
//! A first death changes nothing: most have other causes. After a second one at the same watermark a batch holds at
//! most one chunk, the unit in which messages are decoded, so that everything before the deadly chunk is committed.
//! After a third the messages of one chunk are decoded one by one, each noted in the catalog before, and in one
//! partition of the process at a time, so that a death leaves one note. One that was noted twice without an end is
//! condemned: it goes to quarantine undecoded. What came into the queue after the takeover killed nobody, so care ends
//! there.

use std::sync::{Arc, OnceLock};

use catalog::Ownership;

use crate::config::CHUNK_MESSAGES_MAX;

const TAKEOVERS_FOR_CHUNKS: u32 = 2;
const TAKEOVERS_FOR_SINGLES: u32 = 3;
const DEATHS_TO_CONDEMN: u32 = 2;
const TAKEOVERS_TO_DOUBT: u32 = 6;

/// How the reason of a record begins that was never decoded.
pub(crate) const CONDEMNED: &str = "not decoded: ";

/// How careful to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// As always.
    None,
    /// At most one chunk in a batch.
    Chunks,
    /// One message in a batch, noted before it is decoded.
    Singles,
}

/// The care for one ownership.
#[derive(Debug)]
pub(crate) struct Caution {
    takeovers: u32,
    suspect: Option<catalog::Suspect>,
    /// The queue's end when the partition was taken over.
    queue_end: Arc<OnceLock<u64>>,
    singles_left: usize,
}

impl Caution {
    /// `queue_end` is set when the queue is first attached.
    pub(crate) fn new(held: &Ownership, queue_end: Arc<OnceLock<u64>>) -> Self {
        let Ownership { takeovers, suspect, .. } = *held;
        // So many deaths with a suspect at hand: it may be another message, one before it.
        let is_doubted = takeovers > 0 && takeovers.is_multiple_of(TAKEOVERS_TO_DOUBT);
        let suspect = suspect.filter(|_| !is_doubted);
        Self { takeovers, suspect, queue_end, singles_left: CHUNK_MESSAGES_MAX }
    }

    /// The care for messages from `offset` on.
    pub(crate) fn at(&self, offset: u64) -> Care {
        if self.queue_end.get().is_some_and(|end| offset >= *end) {
            return Care::None;
        }
        let is_close = self.suspect.is_some() || self.takeovers >= TAKEOVERS_FOR_SINGLES;
        if is_close && self.singles_left > 0 {
            return Care::Singles;
        }
        if is_close || self.takeovers >= TAKEOVERS_FOR_CHUNKS { Care::Chunks } else { Care::None }
    }

    /// Whether the message at `offset` must be noted before it is decoded. One before the suspect was decoded well when
    /// the suspect was noted, and its note would replace the suspect's.
    pub(crate) fn is_to_be_noted(&self, offset: u64) -> bool {
        self.suspect.is_none_or(|suspect| offset >= suspect.offset)
    }

    /// Notes that one message was decoded by itself.
    pub(crate) fn survived(&mut self) {
        self.singles_left = self.singles_left.saturating_sub(1);
    }

    /// Why the message at `offset` must not be decoded, if so.
    pub(crate) fn condemned(&self, offset: u64) -> Option<String> {
        let suspect = self.suspect.filter(|suspect| suspect.offset == offset && suspect.times >= DEATHS_TO_CONDEMN)?;
        Some(format!(
            "{CONDEMNED}the writer died {} times while it decoded this message by itself, after {TAKEOVERS_FOR_SINGLES} deaths nearby",
            suspect.times
        ))
    }
}

#[cfg(test)]
mod tests {
    use catalog::Suspect;
    use common::{Epoch, Incarnation, OwnerId, TopicName, TopicPartition};
    use uuid::Uuid;

    use super::*;

    fn caution(takeovers: u32, suspect: Option<(u64, u32)>) -> Caution {
        let held = Ownership {
            partition: TopicPartition::new(TopicName::new("t").expect("valid"), 0),
            owner: OwnerId(Uuid::nil()),
            epoch: Epoch(1),
            incarnation: Incarnation(0),
            high_watermark: 5,
            anchor: None,
            takeovers,
            suspect: suspect.map(|(offset, times)| Suspect { offset, times }),
        };
        Caution::new(&held, Arc::new(OnceLock::from(100_000)))
    }

    #[test]
    fn care_grows_with_deaths_and_ends_where_the_queue_did() {
        assert_eq!(caution(0, None).at(5), Care::None);
        assert_eq!(caution(1, None).at(5), Care::None);
        assert_eq!(caution(2, None).at(5), Care::Chunks);
        assert_eq!(caution(3, None).at(5), Care::Singles);
        assert_eq!(caution(1, Some((5, 1))).at(5), Care::Singles);
        assert_eq!(caution(9, Some((5, 1))).at(100_000), Care::None);
        let mut long = caution(3, None);
        (0..CHUNK_MESSAGES_MAX).for_each(|_| long.survived());
        assert_eq!(long.at(5), Care::Chunks, "the deadly chunk was the first one");
    }

    #[test]
    fn only_the_message_that_killed_twice_is_condemned() {
        assert_eq!(caution(3, Some((7, 1))).condemned(7), None);
        assert!(caution(3, Some((7, 2))).condemned(7).is_some_and(|reason| reason.contains("2 times")));
        assert_eq!(caution(3, Some((7, 2))).condemned(8), None);
        assert!(caution(6, Some((7, 1))).is_to_be_noted(6), "perhaps it is one before the suspect");
        let noted = |offset| caution(3, Some((7, 1))).is_to_be_noted(offset);
        assert_eq!([noted(6), noted(7), noted(8)], [false, true, true]);
    }
}

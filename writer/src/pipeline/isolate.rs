//! Isolate: chooses the care of reading after a partition's owners died, so that a message that kills its reader is
//! found, quarantined and passed.
//!
//! Owns: the care at an offset, and condemning a message. Plain decisions.
//! Does not own: reading and encoding (`assemble`), the count of takeovers (the catalog's).
//!
//! A first death changes nothing: most have other causes. After a second one at the same watermark a batch holds at
//! most one chunk, the unit of decoding, so that everything before the deadly chunk is committed. After a third the
//! messages of one chunk are decoded one by one, in one partition of the process at a time; each is recorded in the
//! catalog as the suspect first, so that a death leaves one suspect. A message recorded twice whose decoding never
//! ended is condemned: it goes to quarantine undecoded. Messages stored after the takeover killed no reader, so care
//! ends there.

use std::sync::{Arc, OnceLock};

use catalog::Ownership;

use crate::config::CHUNK_MESSAGES_MAX;

/// From this many takeovers from dead owners at one watermark, a batch holds at most one chunk. A single death mostly
/// has another cause than a message.
const TAKEOVERS_FOR_CHUNKS: u32 = 2;
/// From this many takeovers from dead owners at one watermark, the messages of one chunk are decoded one by one.
const TAKEOVERS_FOR_SINGLES: u32 = 3;
/// After this many deaths of a reader during its decoding, a suspect is condemned. A single death may have another
/// cause.
const DEATHS_TO_CONDEMN: u32 = 2;
/// At every multiple of this many takeovers from dead owners, the suspect is ignored for one ownership: an earlier
/// message may be the deadly one.
const TAKEOVERS_TO_DOUBT: u32 = 6;

/// The start of the reason in the quarantine record of a condemned message.
pub(crate) const CONDEMNED: &str = "not decoded: ";

/// The care taken in reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// Batches of any size.
    None,
    /// At most one chunk in a batch.
    Chunks,
    /// Messages are decoded one by one, each recorded as the suspect first.
    Singles,
}

/// The care taken during one ownership.
#[derive(Debug)]
pub(crate) struct Caution {
    takeovers: u32,
    suspect: Option<catalog::Suspect>,
    /// The queue's end at the takeover.
    queue_end: Arc<OnceLock<u64>>,
    singles_left: usize,
}

impl Caution {
    /// `queue_end` is set by the first attach.
    pub(crate) fn new(held: &Ownership, queue_end: Arc<OnceLock<u64>>) -> Self {
        let Ownership { takeovers, suspect, .. } = *held;
        // After this many deaths the suspect is doubted: an earlier message may be the deadly one.
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

    /// True if the message at `offset` must be recorded as the suspect before its decoding. The reader that recorded
    /// the suspect had decoded the messages before it, and recording one of them would replace the suspect.
    pub(crate) fn is_to_be_noted(&self, offset: u64) -> bool {
        self.suspect.is_none_or(|suspect| offset >= suspect.offset)
    }

    /// Counts one message that was decoded by itself.
    pub(crate) fn survived(&mut self) {
        self.singles_left = self.singles_left.saturating_sub(1);
    }

    /// The reason why the message at `offset` is condemned, if it is.
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
